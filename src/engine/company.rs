//! Sessions that keep company: those that follow everybody here, and those that sit at tables. It
//! lasts as long as the session is in use, and nothing of it is written.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::id::{AccountNo, SessionKey};
use crate::limits::{TABLE_SEATS_MAX, TABLES_OF_SESSION_MAX};

#[derive(Debug, Default)]
pub(super) struct Company(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    followers: HashMap<SessionKey, AccountNo>,
    tables: HashMap<Box<str>, HashMap<SessionKey, AccountNo>>,
    /// At how many tables a session sits.
    seated: HashMap<SessionKey, usize>,
    seats: usize,
}

impl Company {
    pub(super) fn follow(&self, key: SessionKey, who: AccountNo, on: bool) {
        let mut state = self.write();
        match on {
            true => drop(state.followers.insert(key, who)),
            false => drop(state.followers.remove(&key)),
        }
    }

    /// Seats a session at a table, unless it sits there. False: there is no room.
    pub(super) fn sit(&self, key: SessionKey, who: AccountNo, table: &str) -> bool {
        let mut state = self.write();
        if state.tables.get(table).is_some_and(|there| there.contains_key(&key)) {
            return true;
        }
        let seated = state.seated.get(&key).copied().unwrap_or(0);
        if TABLES_OF_SESSION_MAX <= seated || TABLE_SEATS_MAX <= state.seats {
            return false;
        }
        state.tables.entry(table.into()).or_default().insert(key, who);
        state.seated.insert(key, seated + 1);
        state.seats += 1;
        true
    }

    /// A session is over, or nobody uses it any more.
    pub(super) fn leave(&self, key: SessionKey) {
        let mut state = self.write();
        state.followers.remove(&key);
        if let Entry::Occupied(seated) = state.seated.entry(key) {
            state.seats -= seated.remove();
            state.tables.retain(|_, there| {
                there.remove(&key);
                !there.is_empty()
            });
        }
    }

    pub(super) fn followers(&self) -> Vec<AccountNo> {
        distinct(self.read().followers.values())
    }

    pub(super) fn at_table(&self, table: &str) -> Vec<AccountNo> {
        self.read().tables.get(table).map(|there| distinct(there.values())).unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing in here can panic half-way through a change.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn distinct<'a>(accounts: impl Iterator<Item = &'a AccountNo>) -> Vec<AccountNo> {
    let distinct: HashSet<AccountNo> = accounts.copied().collect();
    let mut distinct: Vec<AccountNo> = distinct.into_iter().collect();
    distinct.sort_unstable();
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> SessionKey {
        SessionKey([n; 16])
    }

    #[test]
    fn an_account_follows_while_one_of_its_sessions_does() {
        let company = Company::default();
        let (alice, bob) = (AccountNo(1), AccountNo(2));
        for (n, who) in [(1, alice), (2, alice), (3, bob)] {
            company.follow(key(n), who, true);
        }
        assert_eq!(company.followers(), [alice, bob]);
        company.leave(key(1));
        company.follow(key(3), bob, false);
        assert_eq!(company.followers(), [alice]);
        company.leave(key(2));
        assert!(company.followers().is_empty());
    }

    #[test]
    fn tables_have_room_for_so_many_and_are_gone_with_the_last() {
        let company = Company::default();
        let (alice, bob) = (AccountNo(1), AccountNo(2));
        assert!(company.sit(key(1), alice, "chess") && company.sit(key(2), bob, "chess"));
        assert_eq!(company.at_table("chess"), [alice, bob]);
        for n in 1..TABLES_OF_SESSION_MAX {
            assert!(company.sit(key(1), alice, &n.to_string()));
        }
        assert!(!company.sit(key(1), alice, "one more"));
        assert!(company.sit(key(1), alice, "chess"), "it sits there");
        company.leave(key(1));
        assert_eq!(company.at_table("chess"), [bob]);
        company.leave(key(2));
        let state = company.read();
        assert!(state.tables.is_empty() && state.seated.is_empty() && state.seats == 0);
    }
}
