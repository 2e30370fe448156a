//! Accounts, their sessions, invitations, and when somebody was last seen.

use crate::domain::id::{AccountNo, SessionKey, Timestamp};
use crate::domain::nouns::{Account, Invite, Session};
use crate::limits::CLOCK_LEAP_SECS;
use crate::store::look::Books;
use crate::store::rows::{self, Named};
use crate::store::tables::Shelf;
use crate::store::{Look, StoreError, Tx};

/// Account numbers stay below this, see `ChatId::FIRST_GROUP`.
const ACCOUNTS_END: u32 = 1 << 31;

impl Tx<'_> {
    /// The next account number; never one that was given before.
    pub fn next_account(&mut self) -> Result<AccountNo, StoreError> {
        // Rows of accounts are never removed, so the last one has the largest number.
        let last = match self.tables.accounts()?.range(..)?.next_back() {
            Some(entry) => entry.map_err(crate::store::failure)?.0.value(),
            None => 0,
        };
        let next = last.max(self.state.account.0) + 1;
        if next >= ACCOUNTS_END {
            return Err(StoreError::Io("every account number was given".into()));
        }
        self.state.account = AccountNo(next);
        Ok(AccountNo(next))
    }

    /// Writes an account; the first time its address, too.
    pub fn put_account(&mut self, account: &Account) -> Result<(), StoreError> {
        self.begin()?;
        self.state.known.accounts.forget(&account.no);
        let table = self.tables.accounts_mut()?;
        table.put(account.no.0, rows::ACCOUNT_TAGS, |out| rows::put_account(account, out))?;
        self.put_public(account.public_id, Named::Account(account.no))?;
        self.put_name(&account.address.to_string(), Named::Account(account.no))
    }

    /// Makes a random number name something, unless it does already. 0 is the number of what was
    /// made before there were any.
    pub(super) fn put_public(&mut self, id: u64, named: Named) -> Result<(), StoreError> {
        let table = self.tables.public_mut()?;
        if id == 0 || table.row(id, rows::name)? == Some(named) {
            return Ok(());
        }
        table.put(id, rows::NAME_TAGS, |out| rows::put_name(named, out))
    }

    /// With what somebody was last here; written with their last-seen time.
    pub fn put_agent(&mut self, account: AccountNo, agent: &str) -> Result<(), StoreError> {
        let at = self.last_seen(account)?.unwrap_or_default();
        self.begin()?;
        let table = self.tables.seen_mut()?;
        table.put(account.0, rows::SEEN_TAGS, |out| rows::put_seen(at, agent, out))
    }

    /// Makes an address name something, unless it does already.
    pub(super) fn put_name(&mut self, address: &str, named: Named) -> Result<(), StoreError> {
        let table = self.tables.addresses_mut()?;
        if table.row(address, rows::name)? == Some(named) {
            return Ok(());
        }
        self.state.known.names.clear();
        table.put(address, rows::NAME_TAGS, |out| rows::put_name(named, out))
    }

    pub fn put_session(&mut self, key: SessionKey, session: &Session) -> Result<(), StoreError> {
        self.begin()?;
        self.state.known.sessions.forget(&key);
        let table = self.tables.sessions_mut()?;
        table.put(&key.0, rows::SESSION_TAGS, |out| rows::put_session(session, out))?;
        let index = (session.account.0, &key.0);
        let table = self.tables.sessions_by_account_mut()?;
        if table.has(index)? {
            return Ok(());
        }
        table.put(index, 0, |_| {})
    }

    pub fn remove_session(&mut self, key: SessionKey) -> Result<(), StoreError> {
        let Some(session) = self.session(key)? else {
            return Ok(());
        };
        self.begin()?;
        self.state.known.sessions.forget(&key);
        self.tables.sessions_mut()?.remove(&key.0)?;
        self.tables.sessions_by_account_mut()?.remove((session.account.0, &key.0))
    }

    pub fn put_invite(&mut self, code: &[u8; 16], invite: &Invite) -> Result<(), StoreError> {
        self.begin()?;
        let table = self.tables.invites_mut()?;
        table.put(code, rows::INVITE_TAGS, |out| rows::put_invite(invite, out))
    }

    pub fn remove_invite(&mut self, code: &[u8; 16]) -> Result<(), StoreError> {
        self.begin()?;
        self.tables.invites_mut()?.remove(code)
    }

    /// Coalesced like marks; a move of less than a minute is only written when something else is.
    pub fn touch_last_seen(&mut self, account: AccountNo, at: Timestamp) -> Result<(), StoreError> {
        let known = match self.known_seen(account) {
            Some(seen) => seen,
            None => self.last_seen(account)?.unwrap_or_default(),
        };
        // One that lies further ahead than clocks are corrected by came of a clock that was wrong.
        if known < at || at.0.saturating_add(CLOCK_LEAP_SECS * 1000) < known.0 {
            // Where it waits already, what is stored is known from then.
            self.state.marks.put_seen(account, at, known);
            self.make_room_for_marks()?;
        }
        Ok(())
    }

    /// Writes the marks with this turn when too many of them wait.
    pub(super) fn make_room_for_marks(&mut self) -> Result<(), StoreError> {
        if self.state.marks.is_full() {
            self.write_marks()?;
            self.state.marks.clear();
        }
        Ok(())
    }
}
