//! A part of the memory ceiling, handed out in bytes to whoever holds something in memory for
//! somebody else. What is full refuses; nobody waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub struct Pool {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Pool {
    pub fn new(bytes_max: usize) -> Pool {
        Pool { used: AtomicUsize::new(0), bytes_max }
    }

    /// Whether so many more bytes may be held; they are counted then.
    pub fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Only what was taken.
    pub fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one holder has taken; it goes back with it.
#[derive(Debug)]
pub struct Share<'a> {
    pool: &'a Pool,
    bytes: usize,
}

impl<'a> Share<'a> {
    pub fn none(pool: &'a Pool) -> Share<'a> {
        Share { pool, bytes: 0 }
    }

    /// Makes it so many bytes, more or less than before. False: there is no room for more, and it
    /// stays as it was.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes && !self.pool.take(bytes - self.bytes) {
            return false;
        }
        if bytes < self.bytes {
            self.pool.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_add_up_to_more_than_the_pool() {
        let pool = Pool::new(100);
        let (mut one, mut two) = (Share::none(&pool), Share::none(&pool));
        assert!(one.resize(70));
        assert!(!two.resize(31) && two.resize(30));
        assert!(!one.resize(71), "what does not fit changes nothing");
        assert!(one.resize(10) && two.resize(90));
        drop(two);
        assert!(one.resize(100));
        drop(one);
        assert!(pool.take(100));
    }
}
