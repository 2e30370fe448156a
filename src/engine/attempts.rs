//! Failed logins and the delays they cost (mSIM 2, decision 35): of one account from one address,
//! and of one address over all accounts. Never of an account alone: that would let anybody lock its
//! owner out. Unknown logins count alike, or the delay would tell which exist.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{
    LOGIN_DELAY_MAX_SECS, LOGIN_FAILURES_KEPT, LOGIN_FREE_FAILURES, LOGIN_FREE_FAILURES_ADDRESS,
    LOGIN_WINDOW_SECS,
};

#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: Mutex<HashMap<Key, Failures>>,
}

/// `None` stands for all accounts.
type Key = (Option<Box<str>>, IpAddr);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Attempts {
    /// Whether an attempt may be made now; else after how many seconds.
    pub(super) fn check(&self, login: &str, peer: IpAddr, now: Instant) -> Result<(), u32> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, free) in keys(login, peer) {
            let Some(past) = failures.get(&key).filter(|f| f.is_recent(now)) else { continue };
            if past.count < free {
                continue;
            }
            let delay = (1_u32 << (past.count - free).min(16)).min(LOGIN_DELAY_MAX_SECS);
            let until = past.last + Duration::from_secs(delay.into());
            if now < until {
                return Err((until - now).as_secs_f32().ceil().max(1.0) as u32);
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, login: &str, peer: IpAddr, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= LOGIN_FAILURES_KEPT {
            failures.retain(|_, f| f.is_recent(now));
        }
        if failures.len() >= LOGIN_FAILURES_KEPT {
            // One attacker with many names must not push the count of his address out: that is one
            // entry, and the youngest.
            let mut ages: Vec<Instant> = failures.values().map(|f| f.last).collect();
            let middle = ages.len() / 2;
            let (_, median, _) = ages.select_nth_unstable(middle);
            let median = *median;
            failures.retain(|_, f| f.last > median);
        }
        for (key, _) in keys(login, peer) {
            let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
            if !entry.is_recent(now) {
                entry.count = 0;
            }
            entry.count += 1;
            entry.last = now;
        }
    }

    /// Forgets the failures of this account from this address.
    pub(super) fn succeeded(&self, login: &str, peer: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&(Some(login.into()), peer));
    }
}

impl Failures {
    fn is_recent(&self, now: Instant) -> bool {
        now.duration_since(self.last) < Duration::from_secs(LOGIN_WINDOW_SECS)
    }
}

fn keys(login: &str, peer: IpAddr) -> [(Key, u32); 2] {
    [((Some(login.into()), peer), LOGIN_FREE_FAILURES), ((None, peer), LOGIN_FREE_FAILURES_ADDRESS)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn after_five_failures_the_delay_doubles_up_to_a_minute() {
        let (attempts, mut now) = (Attempts::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(attempts.check("bob", HERE, now), Ok(()));
            attempts.failed("bob", HERE, now);
        }
        for delay in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(attempts.check("bob", HERE, now), Err(delay));
            assert_eq!(attempts.check("bob", THERE, now), Ok(()), "nobody is locked out");
            assert_eq!(attempts.check("alice", HERE, now), Ok(()));
            now += Duration::from_secs(delay.into());
            assert_eq!(attempts.check("bob", HERE, now), Ok(()));
            attempts.failed("bob", HERE, now);
        }
        now += Duration::from_secs(LOGIN_WINDOW_SECS);
        assert_eq!(attempts.check("bob", HERE, now), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_names_is_delayed_for_all_of_them() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..50 {
            attempts.failed(&format!("user{n}"), HERE, now);
        }
        assert_eq!(attempts.check("anybody", HERE, now), Err(1));
        assert_eq!(attempts.check("anybody", THERE, now), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (attempts, mut now) = (Attempts::default(), Instant::now());
        for n in 0..3 * LOGIN_FAILURES_KEPT {
            now += Duration::from_millis(1);
            attempts.failed(&format!("user{n}"), HERE, now);
        }
        assert!(attempts.failures.lock().unwrap().len() <= LOGIN_FAILURES_KEPT + 2);
        assert!(attempts.check("anybody", HERE, now).is_err(), "the address is not forgotten");
    }
}
