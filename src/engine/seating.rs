//! Where everybody sits: the seats in use by their sessions and by their accounts, in as little room
//! as that takes, because there is a place in both of every idle connection.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::slice;
use std::sync::Arc;

use crate::domain::id::{AccountNo, SessionKey};
use crate::engine::Seat;

/// By session. A seat knows its key, so the table does not repeat it.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashSet<ByKey>);

#[derive(Debug)]
struct ByKey(Arc<Seat>);

impl Borrow<SessionKey> for ByKey {
    fn borrow(&self) -> &SessionKey {
        &self.0.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &ByKey) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

impl Sessions {
    pub(super) fn get(&self, key: &SessionKey) -> Option<&Arc<Seat>> {
        self.0.get(key).map(|ByKey(seat)| seat)
    }

    /// Instead of another one with its key.
    pub(super) fn insert(&mut self, seat: Arc<Seat>) {
        self.0.replace(ByKey(seat));
    }

    pub(super) fn remove(&mut self, key: &SessionKey) -> Option<Arc<Seat>> {
        self.0.take(key).map(|ByKey(seat)| seat)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Seat>> {
        self.0.iter().map(|ByKey(seat)| seat)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// By account. A tree: a hash table of a thousand has room for two.
#[derive(Debug, Default)]
pub(super) struct Accounts(BTreeMap<AccountNo, Seats>);

/// Most have one.
#[derive(Debug)]
enum Seats {
    One(Arc<Seat>),
    More(Box<[Arc<Seat>]>),
}

impl Accounts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn of(&self, who: AccountNo) -> &[Arc<Seat>] {
        match self.0.get(&who) {
            Some(Seats::One(seat)) => slice::from_ref(seat),
            Some(Seats::More(seats)) => seats,
            None => &[],
        }
    }

    pub(super) fn insert(&mut self, seat: Arc<Seat>) {
        let who = seat.account;
        let seats = match self.0.remove(&who) {
            None => Seats::One(seat),
            Some(Seats::One(first)) => Seats::More([first, seat].into()),
            Some(Seats::More(seats)) => {
                let mut seats = seats.into_vec();
                seats.reserve_exact(1);
                seats.push(seat);
                Seats::More(seats.into())
            }
        };
        self.0.insert(who, seats);
    }

    pub(super) fn remove(&mut self, seat: &Seat) {
        let is_other = |other: &Arc<Seat>| other.key != seat.key;
        let left = match self.0.remove(&seat.account) {
            Some(Seats::One(first)) => Some(first).filter(is_other).map(Seats::One),
            Some(Seats::More(seats)) => {
                let mut seats = seats.into_vec();
                seats.retain(is_other);
                match <[Arc<Seat>; 1]>::try_from(seats) {
                    Ok([last]) => Some(Seats::One(last)),
                    Err(seats) => (!seats.is_empty()).then(|| Seats::More(seats.into())),
                }
            }
            None => None,
        };
        if let Some(left) = left {
            self.0.insert(seat.account, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountNo = AccountNo(1);
    const BOB: AccountNo = AccountNo(2);

    fn seat(account: AccountNo, key: u8) -> Arc<Seat> {
        Arc::new(Seat::alone(account, SessionKey([key; 16]), false))
    }

    #[test]
    fn a_seat_is_found_by_its_session() {
        let mut sessions = Sessions::default();
        sessions.insert(seat(ALICE, 1));
        sessions.insert(seat(BOB, 2));
        let found = |sessions: &Sessions, key| {
            sessions.get(&SessionKey([key; 16])).map(|seat| seat.account)
        };
        assert_eq!((found(&sessions, 1), found(&sessions, 2)), (Some(ALICE), Some(BOB)));
        assert_eq!(found(&sessions, 3), None);
        let newer = seat(ALICE, 1);
        sessions.insert(newer.clone());
        assert!(sessions.get(&newer.key).is_some_and(|seat| Arc::ptr_eq(seat, &newer)));
        assert!(sessions.remove(&newer.key).is_some() && sessions.remove(&newer.key).is_none());
        assert_eq!(sessions.iter().map(|seat| seat.account).collect::<Vec<_>>(), [BOB]);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn all_seats_of_an_account_are_found_in_their_order() {
        let mut accounts = Accounts::default();
        let keys = |accounts: &Accounts, who| {
            accounts.of(who).iter().map(|seat| seat.key.0[0]).collect::<Vec<_>>()
        };
        let seats = [1, 2, 3].map(|key| seat(ALICE, key));
        for seat in &seats {
            accounts.insert(seat.clone());
        }
        accounts.insert(seat(BOB, 4));
        assert_eq!((keys(&accounts, ALICE), keys(&accounts, BOB)), (vec![1, 2, 3], vec![4]));
        accounts.remove(&seats[1]);
        assert_eq!(keys(&accounts, ALICE), [1, 3]);
        accounts.remove(&seats[1]);
        accounts.remove(&seats[0]);
        assert_eq!(keys(&accounts, ALICE), [3]);
        accounts.remove(&seats[0]);
        assert_eq!(keys(&accounts, ALICE), [3], "another one's");
        accounts.remove(&seats[2]);
        accounts.remove(&seats[2]);
        assert!(keys(&accounts, ALICE).is_empty() && !accounts.is_empty());
    }
}
