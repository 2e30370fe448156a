//! Waking up all whom one turn tells something, at once.
//!
//! Woken one by one, the first would take the processor from the engine on a busy machine, find one
//! thing to do, sleep again and be woken for the next.

use std::mem;
use std::sync::OnceLock;
use std::task::Waker;

/// How many are woken at the price of one.
type Ringer = Box<dyn Fn(Vec<Waker>) + Send + Sync>;

/// Who does it for those who are tasks of connections.
#[derive(Default)]
pub(super) struct Belfry(OnceLock<Ringer>);

/// Those who are to be woken. Dropping it wakes them.
pub(super) struct Peal<'b> {
    belfry: &'b Belfry,
    wakers: Vec<Waker>,
}

impl Belfry {
    /// The first ringer stays.
    pub(super) fn hire(&self, ring: impl Fn(Vec<Waker>) + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(ring));
    }
}

impl<'b> Peal<'b> {
    pub(super) fn new(belfry: &'b Belfry) -> Peal<'b> {
        Peal { belfry, wakers: Vec::new() }
    }

    pub(super) fn add(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }
}

impl Drop for Peal<'_> {
    fn drop(&mut self) {
        let wakers = mem::take(&mut self.wakers);
        match self.belfry.0.get() {
            Some(ring) if 1 < wakers.len() => ring(wakers),
            Some(_) | None => wakers.into_iter().for_each(Waker::wake),
        }
    }
}
