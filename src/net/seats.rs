//! The seats that one connection holds.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use crate::domain::id::{SessionId, SessionKey};
use crate::engine::{Holder, Mail, Seat};
use crate::limits::SEATS_PER_CONNECTION_MAX;

/// Sessions attached to one connection, whose pushes go there; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seats {
    holder: Holder,
    held: Held,
}

type Session = (SessionId, Arc<Seat>);

/// Nearly all connections have one, which costs no memory of its own.
#[derive(Debug)]
enum Held {
    One(Option<Session>),
    Many(Vec<Session>),
}

impl Held {
    fn sessions(&self) -> &[Session] {
        match self {
            Held::One(one) => one.as_slice(),
            Held::Many(many) => many,
        }
    }

    fn find(&mut self, session: &SessionId) -> Option<&mut Arc<Seat>> {
        let sessions = match self {
            Held::One(one) => one.as_mut_slice(),
            Held::Many(many) => many,
        };
        sessions.iter_mut().find(|(id, _)| id == session).map(|(_, seat)| seat)
    }

    fn push(&mut self, session: Session) {
        match self {
            Held::One(one @ None) => *one = Some(session),
            Held::One(one) => *self = Held::Many(one.take().into_iter().chain([session]).collect()),
            Held::Many(many) => many.push(session),
        }
    }

    /// Those after it are no longer where they were.
    fn remove(&mut self, place: usize) {
        match self {
            Held::One(one) => *one = None,
            Held::Many(many) => drop(many.swap_remove(place)),
        }
    }

    fn keep(&mut self, session: &SessionId) {
        match self {
            Held::One(one) => *one = one.take().filter(|(id, _)| id == session),
            Held::Many(many) => {
                *self = Held::One(mem::take(many).into_iter().find(|(id, _)| id == session));
            }
        }
    }
}

impl Seats {
    pub(super) fn new() -> Seats {
        Seats { holder: Holder::new(), held: Held::One(None) }
    }

    pub(super) fn is_full(&self) -> bool {
        SEATS_PER_CONNECTION_MAX <= self.held.sessions().len()
    }

    pub(super) fn has(&self, session: &SessionId) -> bool {
        self.held.sessions().iter().any(|(id, _)| id == session)
    }

    /// What a session is looked up by. Of one that is attached it is known, and need not be hashed for
    /// each message.
    pub(super) fn key_of(&self, session: &SessionId) -> SessionKey {
        let attached = self.held.sessions().iter().find(|(id, _)| id == session);
        attached.map_or_else(|| session.key(), |(_, seat)| seat.key)
    }

    pub(super) fn at(&self, place: usize) -> Option<(SessionId, Arc<Seat>)> {
        self.held.sessions().get(place).cloned()
    }

    /// The next mail with an order below `before`, and whose it is. Seats that went to somebody
    /// else, or whose session is over, are forgotten here: nothing is said about either.
    pub(super) fn take(&mut self, before: u64) -> Option<(usize, Mail)> {
        let mut place = 0;
        while let Some((_, seat)) = self.held.sessions().get(place) {
            match seat.take_until(self.holder, before) {
                None => place += 1,
                Some(Mail::Moved | Mail::Ended) => self.held.remove(place),
                Some(mail @ (Mail::Event { .. } | Mail::Lost)) => return Some((place, mail)),
            }
        }
        None
    }

    /// Makes a session's pushes come to the task that polls this. Nothing happens when there is no
    /// room or the session is held already.
    pub(super) async fn attach(&mut self, session: SessionId, seat: Arc<Seat>) {
        let full = self.is_full();
        match self.held.find(&session) {
            Some(held) if Arc::ptr_eq(held, &seat) => return,
            Some(held) => *held = seat.clone(),
            None if full => return,
            None => self.held.push((session, seat.clone())),
        }
        poll_fn(|cx| {
            seat.hold(self.holder, cx.waker());
            Poll::Ready(())
        })
        .await;
    }

    /// Gives up every seat but that of `session`.
    pub(super) fn leave_all_but(&mut self, session: &SessionId) {
        for (_, seat) in self.held.sessions().iter().filter(|(id, _)| id != session) {
            seat.release(self.holder);
        }
        self.held.keep(session);
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        for (_, seat) in self.held.sessions() {
            seat.release(self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::AccountNo;

    #[test]
    fn the_key_of_an_attached_session_is_known() {
        let [one, other] = [1, 2].map(|byte| SessionId::new([byte; 32]));
        let mut seats = Seats::new();
        assert_eq!(seats.key_of(&one), one.key());
        // So that it shows where it comes from.
        let key = SessionKey([7; 16]);
        smol::block_on(seats.attach(one, Arc::new(Seat::alone(AccountNo(1), key, false))));
        assert_eq!(seats.key_of(&one), key);
        assert_eq!(seats.key_of(&other), other.key());
    }
}
