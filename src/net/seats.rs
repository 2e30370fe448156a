//! The seats that one connection holds.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use crate::domain::id::SessionId;
use crate::engine::{Holder, Mail, Seat};
use crate::limits::SEATS_PER_CONNECTION_MAX;

/// Sessions attached to one connection, whose pushes go there; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seats {
    holder: Holder,
    held: Vec<(SessionId, Arc<Seat>)>,
}

impl Seats {
    pub(super) fn new() -> Seats {
        Seats { holder: Holder::new(), held: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        SEATS_PER_CONNECTION_MAX <= self.held.len()
    }

    pub(super) fn has(&self, session: &SessionId) -> bool {
        self.held.iter().any(|(id, _)| id == session)
    }

    pub(super) fn at(&self, place: usize) -> Option<(SessionId, Arc<Seat>)> {
        self.held.get(place).cloned()
    }

    /// The next mail with an order below `before`, and whose it is. Seats that went to somebody
    /// else, or whose session is over, are forgotten here: nothing is said about either.
    pub(super) fn take(&mut self, before: u64) -> Option<(usize, Mail)> {
        let mut place = 0;
        while let Some((_, seat)) = self.held.get(place) {
            match seat.take_until(self.holder, before) {
                None => place += 1,
                Some(Mail::Moved | Mail::Ended) => {
                    self.held.swap_remove(place);
                }
                Some(mail @ (Mail::Event { .. } | Mail::Lost)) => return Some((place, mail)),
            }
        }
        None
    }

    /// Makes a session's pushes come to the task that polls this. Nothing happens when there is no
    /// room or the session is held already.
    pub(super) async fn attach(&mut self, session: SessionId, seat: Arc<Seat>) {
        let full = self.is_full();
        match self.held.iter_mut().find(|(id, _)| *id == session) {
            Some((_, held)) if Arc::ptr_eq(held, &seat) => return,
            Some((_, held)) => *held = seat.clone(),
            None if full => return,
            None => {
                // Nearly all connections have one.
                self.held.reserve_exact(1);
                self.held.push((session, seat.clone()));
            }
        }
        poll_fn(|cx| {
            seat.hold(self.holder, cx.waker());
            Poll::Ready(())
        })
        .await;
    }

    /// Gives up every seat but that of `session`.
    pub(super) fn leave_all_but(&mut self, session: &SessionId) {
        let holder = self.holder;
        self.held.retain(|(id, seat)| {
            let stays = id == session;
            if !stays {
                seat.release(holder);
            }
            stays
        });
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        for (_, seat) in &self.held {
            seat.release(self.holder);
        }
    }
}
