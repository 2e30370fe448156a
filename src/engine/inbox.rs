//! What waits for the engine: bounded, many writers, one reader that takes everything at once, so
//! that a busy server pays one lock a turn and not one a command.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use event_listener::Event;

use crate::limits::INBOX_COMMANDS_MAX;

#[derive(Debug)]
pub(super) struct Inbox<T> {
    state: Mutex<State<T>>,
    /// The engine sleeps on it.
    filled: Condvar,
    /// Carriers wait on it when the engine is behind.
    taken: Event,
    /// The attentive thread has put something in and woken nobody. Only that thread looks at it.
    held_back: AtomicBool,
}

#[derive(Debug)]
struct State<T> {
    queue: Vec<T>,
    /// Nothing more is let in; what is there is still taken.
    closed: bool,
    /// Whether the engine sleeps: a wake-up costs a system call, and only then is one needed.
    asleep: bool,
    /// Something beside the queue wants the engine's attention.
    nudged: bool,
    /// Since when something waits.
    waiting_since: Option<Instant>,
    /// Looks after what it puts in by itself, see [`Inbox::attend`].
    attentive: Option<ThreadId>,
}

/// What the engine woke up for.
pub(super) enum Woken {
    /// Something is in the batch.
    Filled,
    /// The time has come, or somebody nudged.
    Late,
    /// Closed, and nothing is left.
    Closed,
}

impl<T> Inbox<T> {
    pub(super) fn new() -> Inbox<T> {
        let state = State {
            queue: Vec::new(),
            closed: false,
            asleep: false,
            nudged: false,
            waiting_since: None,
            attentive: None,
        };
        Inbox {
            state: Mutex::new(state),
            filled: Condvar::new(),
            taken: Event::new(),
            held_back: AtomicBool::new(false),
        }
    }

    /// Puts something in, at once where there is room and else as soon as there is; gives it back
    /// when the inbox is closed.
    pub(super) fn push(&self, item: T) -> impl Future<Output = Result<(), T>> + use<'_, T> {
        // Whoever waits for an answer keeps room for this as long, so it is small while all goes well.
        let late = self.try_push(item).err().map(|full| Box::pin(self.push_late(full)));
        async move {
            match late {
                Some(late) => late.await,
                None => Ok(()),
            }
        }
    }

    async fn push_late(&self, full: Full<T>) -> Result<(), T> {
        let mut item = match full {
            Full::Closed(item) => return Err(item),
            Full::Full(item) => item,
        };
        loop {
            let listener = self.taken.listen();
            // Room may have come up between the attempt and the listener.
            item = match self.try_push(item) {
                Ok(()) => return Ok(()),
                Err(Full::Closed(item)) => return Err(item),
                Err(Full::Full(item)) => item,
            };
            listener.await;
            item = match self.try_push(item) {
                Ok(()) => return Ok(()),
                Err(Full::Closed(item)) => return Err(item),
                Err(Full::Full(item)) => item,
            };
        }
    }

    fn try_push(&self, item: T) -> Result<(), Full<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Full::Closed(item));
        }
        if state.queue.len() >= INBOX_COMMANDS_MAX {
            return Err(Full::Full(item));
        }
        if state.queue.is_empty() {
            state.waiting_since = Some(Instant::now());
        }
        state.queue.push(item);
        if state.asleep && state.attentive == Some(thread::current().id()) {
            self.held_back.store(true, Ordering::Relaxed);
        } else {
            self.rouse(state);
        }
        Ok(())
    }

    /// What this thread puts in wakes the engine no more: this thread promises to ask
    /// [`Inbox::holds_back`] before it sleeps or does something long, and then to take it or to
    /// call. There is one such thread at most, the last one that said so.
    pub(super) fn attend(&self) {
        self.lock().attentive = Some(thread::current().id());
    }

    /// Whether the attentive thread, which must be this one, has put something in of which the
    /// engine has not been told.
    pub(super) fn holds_back(&self) -> bool {
        self.held_back.load(Ordering::Relaxed)
    }

    /// Takes it all, without the engine's thread.
    pub(super) fn take_held_back(&self, batch: &mut Vec<T>) {
        debug_assert!(batch.is_empty());
        self.held_back.store(false, Ordering::Relaxed);
        self.swap(self.lock(), batch);
    }

    /// Tells the engine after all.
    pub(super) fn call(&self) {
        if self.holds_back() {
            self.held_back.store(false, Ordering::Relaxed);
            self.rouse(self.lock());
        }
    }

    fn swap(&self, mut state: MutexGuard<'_, State<T>>, batch: &mut Vec<T>) {
        mem::swap(&mut state.queue, batch);
        state.waiting_since = None;
        drop(state);
        self.taken.notify(usize::MAX);
    }

    /// Wakes the engine up though nothing is put in.
    pub(super) fn nudge(&self) {
        let mut state = self.lock();
        state.nudged = true;
        self.rouse(state);
    }

    /// Wakes the engine up if it sleeps, with the lock open: it would wake up only to wait for that.
    fn rouse(&self, mut state: MutexGuard<'_, State<T>>) {
        let was_asleep = mem::take(&mut state.asleep);
        drop(state);
        if was_asleep {
            self.filled.notify_one();
        }
    }

    /// Waits until something is there or `deadline`, and swaps it all into the empty `batch`.
    pub(super) fn take(&self, batch: &mut Vec<T>, deadline: Option<Instant>) -> Woken {
        debug_assert!(batch.is_empty());
        let mut state = self.lock();
        loop {
            if !state.queue.is_empty() {
                self.swap(state, batch);
                return Woken::Filled;
            }
            if state.closed {
                return Woken::Closed;
            }
            if mem::take(&mut state.nudged) {
                state.asleep = false;
                return Woken::Late;
            }
            state.asleep = true;
            state = match deadline {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let now = Instant::now();
                    if now >= deadline {
                        state.asleep = false;
                        return Woken::Late;
                    }
                    self.filled
                        .wait_timeout(state, deadline - now)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// Lets nothing more in and wakes everybody.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.asleep = false;
        drop(state);
        self.filled.notify_all();
        self.taken.notify(usize::MAX);
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    #[cfg(test)]
    pub(super) fn is_nudged(&self) -> bool {
        self.lock().nudged
    }

    /// Since when something waits to be taken, and how much.
    pub(super) fn backlog(&self) -> (Option<Instant>, usize) {
        let state = self.lock();
        (state.waiting_since, state.queue.len())
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in here can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Full<T> {
    Full(T),
    Closed(T),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn everything_that_waits_is_taken_at_once_and_in_order() {
        let inbox = Inbox::new();
        smol::block_on(async {
            for n in 0..5 {
                assert!(inbox.push(n).await.is_ok());
            }
        });
        let mut batch = Vec::new();
        assert!(matches!(inbox.take(&mut batch, None), Woken::Filled));
        assert_eq!(batch, [0, 1, 2, 3, 4]);
        batch.clear();
        let soon = Instant::now() + Duration::from_millis(1);
        assert!(matches!(inbox.take(&mut batch, Some(soon)), Woken::Late));
    }

    #[test]
    fn a_full_inbox_makes_its_writers_wait_and_a_closed_one_gives_back() {
        let inbox = Arc::new(Inbox::new());
        smol::block_on(async {
            for n in 0..INBOX_COMMANDS_MAX {
                assert!(inbox.push(n).await.is_ok());
            }
        });
        let late = smol::spawn({
            let inbox = inbox.clone();
            async move { inbox.push(usize::MAX).await }
        });
        let mut batch = Vec::new();
        let mut seen = 0;
        while seen <= INBOX_COMMANDS_MAX {
            assert!(matches!(inbox.take(&mut batch, None), Woken::Filled));
            seen += batch.len();
            batch.clear();
        }
        assert!(smol::block_on(late).is_ok());
        inbox.close();
        assert_eq!(smol::block_on(inbox.push(7)), Err(7));
        assert!(matches!(inbox.take(&mut batch, None), Woken::Closed));
    }

    /// This thread is attentive, and the engine asleep until it is told of something.
    fn attended() -> (Arc<Inbox<u8>>, thread::JoinHandle<Vec<u8>>) {
        let inbox = Arc::new(Inbox::new());
        inbox.attend();
        let engine = thread::spawn({
            let inbox = inbox.clone();
            move || {
                let mut batch = Vec::new();
                assert!(matches!(inbox.take(&mut batch, None), Woken::Filled));
                batch
            }
        });
        while !inbox.lock().asleep {
            thread::yield_now();
        }
        (inbox, engine)
    }

    #[test]
    fn what_the_attentive_thread_puts_in_wakes_nobody_until_it_calls() {
        let (inbox, engine) = attended();
        assert!(!inbox.holds_back());
        smol::block_on(inbox.push(1)).unwrap();
        assert!(inbox.holds_back());
        assert!(inbox.lock().asleep);
        // It takes that itself, and the engine never hears of it.
        let mut own = Vec::new();
        inbox.take_held_back(&mut own);
        assert_eq!(own, [1]);
        assert!(!inbox.holds_back() && inbox.is_empty());
        inbox.call();
        assert!(inbox.lock().asleep);
        smol::block_on(inbox.push(2)).unwrap();
        inbox.call();
        assert_eq!(engine.join().unwrap(), [2]);
        assert!(!inbox.holds_back());
    }

    #[test]
    fn other_threads_wake_the_engine_also_for_what_was_held_back() {
        let (inbox, engine) = attended();
        smol::block_on(inbox.push(1)).unwrap();
        let other = inbox.clone();
        std::thread::spawn(move || smol::block_on(other.push(2)).unwrap()).join().unwrap();
        assert_eq!(engine.join().unwrap(), [1, 2]);
        // It was taken away meanwhile.
        let mut own = Vec::new();
        inbox.take_held_back(&mut own);
        assert!(own.is_empty());
    }
}
