//! How fast anybody may ask: a token bucket per account, or per address where there is no account.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::domain::id::AccountNo;
use crate::limits::{Limits, RATES_KEPT, Switch};

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Account(AccountNo),
    Address(IpAddr),
}

#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: Mutex<HashMap<Asker, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f32,
    at: Instant,
}

impl Rates {
    /// Counts a request as `weight` of them; a refusal says after how many seconds to come back.
    pub(super) fn count(
        &self,
        asker: Asker,
        weight: u32,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), u32> {
        if limits.rate == Switch::Off {
            return Ok(());
        }
        let rate = limits.rate_per_second.max(1) as f32;
        let burst = limits.rate_burst.max(1) as f32;
        // More than can ever be saved up would be refused for good.
        let weight = (weight as f32).min(burst);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= RATES_KEPT && !buckets.contains_key(&asker) {
            // A bucket that is full again says nothing that a new one would not.
            buckets.retain(|_, b| b.refilled(rate, burst, now) < burst);
            if buckets.len() >= RATES_KEPT {
                // So many askers at once are one flood: make room rather than grow.
                buckets.clear();
            }
        }
        let bucket = buckets.entry(asker).or_insert(Bucket { tokens: burst, at: now });
        bucket.tokens = bucket.refilled(rate, burst, now);
        bucket.at = now;
        if bucket.tokens < weight {
            return Err((((weight - bucket.tokens) / rate).ceil() as u32).max(1));
        }
        bucket.tokens -= weight;
        Ok(())
    }
}

impl Bucket {
    fn refilled(&self, rate: f32, burst: f32, now: Instant) -> f32 {
        (self.tokens + now.duration_since(self.at).as_secs_f32() * rate).min(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_granted_then_the_rate_holds() {
        let limits = Limits { rate_per_second: 10, rate_burst: 3, ..Limits::default() };
        let (rates, start) = (Rates::default(), Instant::now());
        let asker = Asker::Account(AccountNo(1));
        for _ in 0..3 {
            assert_eq!(rates.count(asker, 1, &limits, start), Ok(()));
        }
        assert_eq!(rates.count(asker, 1, &limits, start), Err(1));
        let other = Asker::Account(AccountNo(2));
        assert_eq!(rates.count(other, 1, &limits, start), Ok(()));
        let later = start + Duration::from_millis(101);
        assert_eq!(rates.count(asker, 1, &limits, later), Ok(()));
        assert_eq!(rates.count(asker, 1, &limits, later), Err(1));
    }

    #[test]
    fn what_costs_more_counts_for_more_and_never_for_too_much() {
        let limits = Limits { rate_per_second: 10, rate_burst: 30, ..Limits::default() };
        let (rates, start) = (Rates::default(), Instant::now());
        let asker = Asker::Account(AccountNo(1));
        assert_eq!(rates.count(asker, 25, &limits, start), Ok(()));
        assert_eq!(rates.count(asker, 25, &limits, start), Err(2));
        for _ in 0..5 {
            assert_eq!(rates.count(asker, 1, &limits, start), Ok(()));
        }
        assert_eq!(rates.count(asker, 1, &limits, start), Err(1));
        let rested = start + Duration::from_secs(3);
        assert_eq!(rates.count(asker, 1000, &limits, rested), Ok(()));
    }

    #[test]
    fn a_flood_of_askers_takes_no_more_memory() {
        let (rates, now) = (Rates::default(), Instant::now());
        for n in 0..3 * RATES_KEPT as u32 {
            let _ = rates.count(Asker::Account(AccountNo(n)), 1, &Limits::default(), now);
        }
        assert!(rates.buckets.lock().unwrap().len() <= RATES_KEPT);
    }
}
