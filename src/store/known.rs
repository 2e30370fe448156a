//! Rows that the engine has read and may need again with the next message: who sends it, whom the
//! address names, whether they let each other in.
//!
//! Whatever changes such a row forgets it, whatever fails forgets everything, and nobody but the
//! engine writes: what is known here is what a read would find. For one more message in a chat in
//! use nothing is read, and no table is opened but the one that is written.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use crate::domain::id::{AccountNo, Address, ChatId, SessionKey};
use crate::domain::nouns::{Account, Contact, Member, Session};
use crate::limits::KNOWN_ROWS_MAX;
use crate::store::StoreError;
use crate::store::rows::Named;

/// See the module. That a row is not there is known, too.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) accounts: Kept<AccountNo, Option<Account>>,
    pub(super) names: Kept<Address, Option<Named>>,
    pub(super) sessions: Kept<SessionKey, Option<Session>>,
    /// Of each owner the one that was asked for last.
    pub(super) contacts: Kept<AccountNo, (Address, Option<Contact>)>,
    pub(super) parts: Kept<(AccountNo, ChatId), Option<Member>>,
}

/// The rows of one kind: all are forgotten when one more would be too many.
#[derive(Debug)]
pub(super) struct Kept<K, T>(RefCell<HashMap<K, T>>);

impl<K, T> Default for Kept<K, T> {
    fn default() -> Kept<K, T> {
        Kept(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash, T> Kept<K, T> {
    /// What is known, or else what `read` finds.
    pub(super) fn recall(
        &self,
        key: &K,
        read: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError>
    where
        T: Clone,
    {
        if let Some(known) = self.0.borrow().get(key) {
            return Ok(known.clone());
        }
        let found = read()?;
        self.keep(key, found.clone());
        Ok(found)
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.0.get_mut().remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.0.get_mut().clear();
    }

    fn keep(&self, key: &K, value: T) {
        let mut rows = self.0.borrow_mut();
        if rows.len() >= KNOWN_ROWS_MAX && !rows.contains_key(key) {
            rows.clear();
        }
        rows.insert(key.clone(), value);
    }
}

impl Kept<AccountNo, (Address, Option<Contact>)> {
    /// The same for one of the owner's contacts.
    pub(super) fn recall_one(
        &self,
        owner: AccountNo,
        who: &Address,
        read: impl FnOnce() -> Result<Option<Contact>, StoreError>,
    ) -> Result<Option<Contact>, StoreError> {
        if let Some((known, contact)) = self.0.borrow().get(&owner)
            && known == who
        {
            return Ok(contact.clone());
        }
        let found = read()?;
        self.keep(&owner, (who.clone(), found.clone()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never<T>() -> Result<T, StoreError> {
        panic!("it is known")
    }

    #[test]
    fn what_was_read_is_known_until_it_is_forgotten() {
        let mut kept = Kept::default();
        assert_eq!(kept.recall(&1, || Ok("one")).unwrap(), "one");
        assert_eq!(kept.recall(&1, never).unwrap(), "one");
        kept.forget(&1);
        assert_eq!(kept.recall(&1, || Ok("two")).unwrap(), "two");
        kept.clear();
        assert!(kept.recall(&1, || Err(StoreError::Io("no".into()))).is_err());
        assert_eq!(kept.recall(&1, || Ok("three")).unwrap(), "three");
    }

    #[test]
    fn rows_that_are_kept_have_an_end() {
        let kept = Kept::default();
        for key in 0..3 * KNOWN_ROWS_MAX {
            kept.recall(&key, || Ok(())).unwrap();
            assert!(kept.0.borrow().len() <= KNOWN_ROWS_MAX);
            kept.recall(&key, never).unwrap();
        }
    }

    #[test]
    fn of_contacts_the_last_one_is_known() {
        let kept = Kept::default();
        let [bob, eve] = ["bob", "eve"].map(|who| Address::parse(who, "im.test").unwrap());
        let owner = AccountNo(1);
        assert_eq!(kept.recall_one(owner, &bob, || Ok(None)).unwrap(), None);
        assert_eq!(kept.recall_one(owner, &bob, never).unwrap(), None);
        let mut asked = false;
        let read = || {
            asked = true;
            Ok(None)
        };
        assert_eq!(kept.recall_one(owner, &eve, read).unwrap(), None);
        assert!(asked);
    }
}
