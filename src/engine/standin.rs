//! The engine's work done by the thread that has brought it.
//!
//! Where one message comes alone, waking the engine's thread up and being woken by it again costs
//! more than what lies between, the sync aside. So the one thread that waits for the network does
//! such a turn itself when nothing else is left for it to do. It does so only while the disk is
//! quick: whoever waits for a slow card in there cannot read what comes in.
//!
//! **There is one [`Engine`], and whoever works with it has its lock.** The engine's thread sleeps
//! without the lock, wakes up for what others put in and for every duty, and is the only one that
//! opens and closes the store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use crate::engine::inbox::Woken;
use crate::engine::turn::{End, Engine};
use crate::engine::{Core, Exchange};

/// Where the engine is while nobody works with it. Empty before the start and after the end.
#[derive(Default)]
pub(super) struct Desk(Mutex<Option<Engine>>);

/// Does the engine's work on the thread that holds it.
#[derive(Debug)]
pub struct StandIn {
    core: Arc<Core>,
}

impl Desk {
    pub(super) fn put(&self, engine: Engine) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine);
    }

    /// Takes it away for good, also after a panic in the middle of a turn: then only to drop it.
    pub(super) fn clear(&self) -> Option<Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// `None` where there is no engine that could be worked with: it is gone, or somebody panicked.
    pub(super) fn work<T>(&self, work: impl FnOnce(&mut Engine) -> T) -> Option<T> {
        self.0.lock().ok()?.as_mut().map(work)
    }
}

/// What the engine's thread does: it runs until the inbox is closed and empty, then closes the
/// database.
pub(super) fn run(core: &Core) -> End {
    let mut inputs = Vec::new();
    while let Some(due) = core.desk.work(Engine::plan) {
        let woken = core.inbox.take(&mut inputs, due);
        if matches!(woken, Woken::Closed) {
            break;
        }
        match core.desk.work(|engine| engine.wake_up(&mut inputs)) {
            Some(Ok(())) => {}
            Some(Err(why)) => return End::Failed(why),
            None => break,
        }
    }
    match core.desk.0.lock().map(|mut desk| desk.take()) {
        Ok(Some(engine)) => engine.finish(),
        Ok(None) | Err(_) => End::Failed("the engine panicked; please report what it said".into()),
    }
}

impl Exchange {
    /// For the thread that asks most of what is asked.
    pub fn stand_in(&self) -> StandIn {
        StandIn { core: self.core.clone() }
    }
}

impl StandIn {
    /// From now on what this thread asks waits until it calls [`StandIn::work`] or
    /// [`StandIn::call`], which it has to do before it sleeps or does anything long.
    pub fn begin(&self) {
        self.core.inbox.attend();
    }

    /// Does what this thread has asked meanwhile, or has it done by the engine's thread where that
    /// is at work or the disk is slow. Whether something was done: then somebody has been woken.
    pub fn work(&self) -> bool {
        if !self.core.inbox.holds_back() {
            return false;
        }
        let mut desk = match self.core.desk.0.try_lock() {
            Ok(desk) => desk,
            // It takes everything when it is done. Or it never will: see `run`.
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {
                self.core.inbox.call();
                return false;
            }
        };
        if !desk.as_ref().is_some_and(Engine::is_quick) {
            self.core.inbox.call();
            return false;
        }
        let mut inputs = Vec::new();
        self.core.inbox.take_held_back(&mut inputs);
        if inputs.is_empty() {
            return false;
        }
        // A panic must poison the lock, and end the engine and not this thread.
        let turn = move || desk.as_mut().map(|engine| engine.stand_in(&mut inputs));
        if catch_unwind(AssertUnwindSafe(turn)).is_err() {
            self.core.inbox.close();
        }
        true
    }

    /// Leaves it to the engine's thread.
    pub fn call(&self) {
        self.core.inbox.call();
    }
}
