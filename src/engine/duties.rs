//! What the engine does by itself, between two turns: it writes marks, merges what has arrived,
//! removes what was deleted or is too old, seals, tells of those who came and went, and comes back after a failure.
//!
//! **Nobody waits for a duty** longer than for one slice of it.

use std::time::{Duration, Instant};

use crate::engine::turn::Engine;
use crate::limits::{MARK_FLUSH_SECS, REOPEN_MAX, SEAL_EVERY_SECS, SEAL_IDLE_SECS};
use crate::store::{Look, StoreError};

/// What was deleted for everybody is removed once nothing has changed for so long,
pub(super) const REMOVAL_IDLE: Duration = Duration::from_secs(1);
/// a slice at a time with this between two.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);
/// After a failure what can wait does so for so long. It may be a full disk, which is no reason to
/// fail again and again until the process ends.
const REST: Duration = Duration::from_secs(10);
/// How often sessions that nobody uses are looked for.
pub(super) const SWEEP: Duration = Duration::from_secs(60);
/// A session's last use is written at most this often: it only decides when it expires.
pub(super) const USE_NOTED: u64 = 24 * 60 * 60 * 1000;

impl Engine {
    /// When the thread must wake up by itself, if ever.
    pub(super) fn next_duty(&self) -> Option<Instant> {
        let seal = self.store.is_unsealed().then(|| {
            let quiet = self.changed_at + Duration::from_secs(SEAL_IDLE_SECS);
            let next = self.sealed_at.map(|at| at + Duration::from_secs(SEAL_EVERY_SECS));
            next.map_or(quiet, |next| next.max(quiet))
        });
        let sweep = (!self.by_account.is_empty()).then_some(self.sweep_at);
        let removal = self.store.is_unswept().then(|| self.removal_due());
        // What can wait.
        let keeping = Some(self.keeping_due());
        let later = [seal, removal, self.merge_at, keeping].into_iter().flatten().min();
        let later = later.map(|at| self.rest_until.map_or(at, |rest| rest.max(at)));
        let arrival = self.core.here.has_arrivals().then(Instant::now);
        let departure = self.core.here.next_departure(self.grace());
        let lapse = self.typing.next_end();
        let duties = [self.flush_at, sweep, later, arrival, departure, lapse, self.next_news()];
        duties.into_iter().flatten().min()
    }

    pub(super) fn do_duties(&mut self) -> Result<(), String> {
        let now = Instant::now();
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_at = None;
            let flushed = self.store.flush();
            self.settle(flushed)?;
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP;
            self.sweep(now)?;
        }
        if self.rest_until.is_none_or(|rest| rest <= now) {
            self.rest_until = None;
            self.tidy_up(now)?;
        }
        Ok(())
    }

    /// One piece of what can wait, and waits for everybody who asks something.
    fn tidy_up(&mut self, now: Instant) -> Result<(), String> {
        if self.merge_at.is_some_and(|at| at <= now) && self.core.inbox.is_empty() {
            if self.store.has_room() {
                let merged = self.store.merge();
                self.settle(merged)?;
                self.merge_at = self.store.is_ripe().then_some(now);
                self.core.metrics.set_work(self.store.work());
            } else {
                // Its pages are needed before it frees any. The others go on: what was deleted is
                // what makes room.
                self.merge_at = Some(now + REST);
            }
        }
        if self.is_keeping_due(now) {
            self.keep(now)?;
        }
        if self.store.is_unswept() && now >= self.removal_due() {
            self.put_off_removal(now);
            if !self.store.has_room() {
                self.store.drop_ballast();
            }
            let removed = self.store.sweep();
            self.settle(removed)?;
        }
        let seal_due = self.store.is_unsealed()
            && now >= self.changed_at + Duration::from_secs(SEAL_IDLE_SECS)
            && self.sealed_at.is_none_or(|at| now >= at + Duration::from_secs(SEAL_EVERY_SECS));
        if seal_due {
            self.sealed_at = Some(now);
            let sealed = self.store.seal();
            self.settle(sealed)?;
            self.core.metrics.set_work(self.store.work());
        }
        Ok(())
    }

    /// When nothing has changed for a moment, and not right after the last slice.
    pub(super) fn removal_due(&self) -> Instant {
        self.removal_at.max(self.changed_at + REMOVAL_IDLE)
    }

    pub(super) fn put_off_removal(&mut self, now: Instant) {
        self.removal_at = now + REMOVAL_PAUSE;
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_secs(self.core.config().limits.presence_grace)
    }

    pub(super) fn flush_soon(&mut self) {
        if self.flush_at.is_none() && self.store.has_marks() {
            self.flush_at = Some(Instant::now() + Duration::from_secs(MARK_FLUSH_SECS));
        }
    }

    /// Drops the mailboxes of sessions that nobody used for `mailbox_ttl`, and notes once a day that
    /// the others are in use.
    pub(super) fn sweep(&mut self, now: Instant) -> Result<(), String> {
        let config = self.core.config();
        let ttl = Duration::from_secs(config.limits.mailbox_ttl);
        let wall = self.core.times().now;
        let mut stale = Vec::new();
        let mut used = Vec::new();
        for seat in self.core.seats().iter() {
            if now.checked_sub(ttl).is_some_and(|limit| seat.is_stale(limit)) {
                stale.push(seat.key);
            } else if seat.note_use(wall, USE_NOTED) {
                used.push(seat.key);
            }
        }
        for key in stale {
            self.stand_up(key);
        }
        if used.is_empty() || !self.store.has_room() {
            return Ok(());
        }
        let written = self.store.write(|tx| {
            for key in &used {
                if let Some(mut session) = tx.session(*key)? {
                    session.used = wall;
                    tx.put_session(*key, &session)?;
                }
            }
            Ok(())
        });
        self.settle(written)
    }

    pub(super) fn settle(&mut self, result: Result<(), StoreError>) -> Result<(), String> {
        match result {
            Ok(()) => {
                self.failures = 0;
                Ok(())
            }
            Err(error) => {
                log::error!("the database could not be written: {error}");
                self.rest_until = Some(Instant::now() + REST);
                self.reopen()
            }
        }
    }

    /// After an I/O error: redb refuses everything until it is opened anew.
    pub(super) fn reopen(&mut self) -> Result<(), String> {
        self.flush_at = None;
        self.failures += 1;
        while self.failures <= REOPEN_MAX {
            match self.store.reopen() {
                Ok(()) => {
                    log::warn!("the database is open again after a failure");
                    return Ok(());
                }
                Err(error) => log::error!("the database could not be opened again: {error}"),
            }
            self.failures += 1;
        }
        Err(format!("the database failed {REOPEN_MAX} times in a row; see the errors above"))
    }
}
