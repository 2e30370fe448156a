//! Latencies in log-linear buckets: 32 steps for every power of two, so that no figure is off by
//! more than 3 % and adding one costs a few instructions.

use std::time::Duration;

const STEPS_LOG2: u32 = 5;
const STEPS: usize = 1 << STEPS_LOG2;
/// Enough for every u64 of nanoseconds.
const BUCKETS: usize = (64 - STEPS_LOG2 as usize + 1) * STEPS;

#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u32>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS] }
    }
}

impl Histogram {
    pub fn add(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let count = &mut self.counts[bucket(nanos)];
        *count = count.saturating_add(1);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The latency that `share` (0..=1) of all stay within; zero when nothing was added.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += u64::from(*count);
            if below >= rank {
                return Duration::from_nanos(top(index));
            }
        }
        Duration::ZERO
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS as u64 {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEPS_LOG2;
    (shift as usize + 1) * STEPS + ((nanos >> shift) as usize - STEPS)
}

/// The largest value that falls into a bucket.
fn top(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    let step = (index % STEPS + STEPS) as u128;
    u64::try_from(((step + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_holds_it() {
        for value in (0..2000).chain((0..64).map(|bit| 1 << bit)).chain([u64::MAX]) {
            let index = bucket(value);
            assert!(index < BUCKETS, "{value}");
            assert!(value <= top(index), "{value}");
            assert!(index == 0 || value > top(index - 1), "{value}");
            assert!(top(index) as f64 <= value as f64 * 1.032, "{value}");
        }
    }

    #[test]
    fn quantiles_name_the_value_at_their_rank() {
        let mut half = Histogram::default();
        let mut rest = Histogram::default();
        for micros in 1..=50 {
            half.add(Duration::from_micros(micros));
            rest.add(Duration::from_micros(micros + 50));
        }
        half.merge(&rest);
        assert_eq!(half.count(), 100);
        let near = |share, micros: f64| {
            let found = half.quantile(share).as_secs_f64() * 1e6;
            assert!((micros..micros * 1.032).contains(&found), "{share}: {found}");
        };
        near(0.0, 1.0);
        near(0.5, 50.0);
        near(0.99, 99.0);
        near(1.0, 100.0);
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
