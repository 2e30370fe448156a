//! The deadlines of one conversation.

use std::task::{Context, Poll};
use std::time::Instant;

use crate::net::alarm::Alarm;

/// In a box of its own, which is gone when there is no deadline any more: mostly that is once a
/// session was named.
#[derive(Debug)]
pub(super) struct Deadlines(Option<Box<Set>>);

#[derive(Debug, Default)]
struct Set {
    /// By then a session must have been named.
    nameless: Option<Instant>,
    /// By then the packet that has begun must have ended.
    unfinished: Option<Instant>,
    /// The next heartbeat.
    beat: Option<Instant>,
    alarm: Alarm,
}

impl Deadlines {
    pub(super) fn new(nameless: Instant, beat: Option<Instant>) -> Deadlines {
        let set = Set { nameless: Some(nameless), beat, ..Set::default() };
        Deadlines(Some(Box::new(set)))
    }

    /// A session was named. A timer that nothing else needs is taken back.
    pub(super) fn note_named(&mut self) {
        if let Some(set) = &mut self.0
            && set.nameless.take().is_some()
            && set.next().is_none()
        {
            self.0 = None;
        }
    }

    /// A packet has begun, which must end by `end` unless one was under way already.
    pub(super) fn begin(&mut self, end: impl FnOnce() -> Instant) {
        self.0.get_or_insert_default().unfinished.get_or_insert_with(end);
    }

    /// No packet is under way.
    pub(super) fn finish(&mut self) {
        if let Some(set) = &mut self.0 {
            set.unfinished = None;
        }
    }

    /// Whether something was not done in time.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.0.as_ref().is_some_and(|set| passed(set.nameless) || passed(set.unfinished))
    }

    pub(super) fn is_beat_due(&self, now: Instant) -> bool {
        self.0.as_ref().is_some_and(|set| set.beat.is_some_and(|at| at <= now))
    }

    pub(super) fn set_beat(&mut self, next: Option<Instant>) {
        if let Some(set) = &mut self.0 {
            set.beat = next;
        }
    }

    /// Ready once the next of them has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(set) = &mut self.0 else { return Poll::Pending };
        set.alarm.set(set.next());
        let rings = set.alarm.poll(cx);
        if set.alarm.is_off() && set.next().is_none() {
            self.0 = None;
        }
        rings
    }
}

impl Set {
    fn next(&self) -> Option<Instant> {
        [self.nameless, self.unfinished, self.beat].into_iter().flatten().min()
    }
}
