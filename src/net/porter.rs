//! Wakes many tasks at the price of one: a task that wakes the others. Whoever has something for
//! many wakes this one, so the helmsman gets up once, and for all of them.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_executor::Executor;

/// What the porter has to carry. No lock is held while somebody is woken, who would wait for it.
#[derive(Debug, Default)]
struct Load(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    wakers: Vec<Waker>,
    porter: Option<Waker>,
    /// The executor is gone, and the porter with it.
    over: bool,
}

/// The task's own hold of its load; its end is noticed.
struct Porter(Arc<Load>);

/// Starts the porter, who stays as long as the executor.
pub(super) fn hire(executor: &Executor<'static>) -> impl Fn(Vec<Waker>) + use<> {
    let load = Arc::new(Load::default());
    let porter = Porter(load.clone());
    executor.spawn(async move { poll_fn(|cx| porter.poll(cx)).await }).detach();
    move |wakers| load.add(wakers)
}

impl Load {
    fn add(&self, mut wakers: Vec<Waker>) {
        let mut state = self.lock();
        if state.over {
            drop(state);
            return wake(wakers);
        }
        match state.wakers.is_empty() {
            true => state.wakers = wakers,
            false => state.wakers.append(&mut wakers),
        }
        let porter = state.porter.take();
        drop(state);
        if let Some(porter) = porter {
            porter.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Porter {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        // Before anybody is woken: what comes in the meantime wakes the porter again.
        state.porter = Some(cx.waker().clone());
        let wakers = mem::take(&mut state.wakers);
        drop(state);
        wake(wakers);
        Poll::Pending
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let left = mem::replace(&mut *state, State { over: true, ..State::default() });
        drop(state);
        wake(left.wakers);
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn everybody_is_woken_by_the_porter_and_without_one_at_once() {
        let woken = Arc::new(Woken::default());
        let times = || woken.0.load(Ordering::Relaxed);
        let crowd = |n| vec![Waker::from(woken.clone()); n];
        let executor = Executor::new();
        let ring = hire(&executor);
        // Before the porter is there, then while it waits, then while it has not come yet.
        ring(crowd(2));
        assert_eq!(times(), 0);
        while executor.try_tick() {}
        assert_eq!(times(), 2);
        ring(crowd(3));
        ring(crowd(4));
        while executor.try_tick() {}
        assert_eq!(times(), 9);
        // What has not been carried yet is not lost with it.
        ring(crowd(5));
        drop(executor);
        assert_eq!(times(), 14);
        ring(crowd(6));
        assert_eq!(times(), 20);
    }
}
