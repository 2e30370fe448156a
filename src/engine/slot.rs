//! Where one answer is waited for: a channel for exactly one value, one allocation, gone with it.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
enum State<T> {
    Empty,
    Waiting(Waker),
    Full(T),
    /// The answering side went away without an answer, or the answer was taken.
    Over,
}

/// The side that answers. Dropping it without an answer tells the other side so.
#[derive(Debug)]
pub(super) struct Answering<T>(Arc<Mutex<State<T>>>);

/// The side that waits: `None` when no answer will come.
#[derive(Debug)]
pub(super) struct Waiting<T>(Arc<Mutex<State<T>>>);

pub(super) fn slot<T>() -> (Answering<T>, Waiting<T>) {
    let state = Arc::new(Mutex::new(State::Empty));
    (Answering(state.clone()), Waiting(state))
}

impl<T> Answering<T> {
    /// `wake`: how whoever waits is woken up.
    pub(super) fn answer(self, value: T, wake: impl FnOnce(Waker)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *state, State::Full(value));
        drop(state);
        if let State::Waiting(waker) = old {
            wake(waker);
        }
    }
}

impl<T> Drop for Answering<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting(_) | State::Empty = *state {
            let old = mem::replace(&mut *state, State::Over);
            drop(state);
            if let State::Waiting(waker) = old {
                waker.wake();
            }
        }
    }
}

impl<T> Future for Waiting<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(&mut *state, State::Over) {
            State::Full(value) => Poll::Ready(Some(value)),
            State::Over => Poll::Ready(None),
            State::Empty => {
                *state = State::Waiting(cx.waker().clone());
                Poll::Pending
            }
            State::Waiting(mut waker) => {
                waker.clone_from(cx.waker());
                *state = State::Waiting(waker);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_arrives_and_a_dropped_one_is_noticed() {
        let (answering, waiting) = slot();
        answering.answer(7, Waker::wake);
        assert_eq!(smol::block_on(waiting), Some(7));
        let (answering, waiting) = slot::<u8>();
        let task = smol::spawn(waiting);
        drop(answering);
        assert_eq!(smol::block_on(task), None);
    }
}
