//! Marks and last-seen times that are answered but not yet written.
//!
//! They are the one thing that is told before it is durable: losing one means that something is
//! read again. They ride along with a commit that happens anyway once they have waited half of
//! `MARK_FLUSH_SECS`, so that a busy server writes them in bunches; the engine flushes the rest.
//! A mark that follows from one's own message needs none of this, see `window`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::id::{AccountNo, ChatId, Timestamp};
use crate::domain::nouns::{Mark, Member};
use crate::limits::MARK_FLUSH_SECS;
use crate::store::rows;
use crate::store::tables::Tables;
use crate::store::{StoreError, open_or_skip};

/// Younger marks wait for company.
const RIDE_AFTER: Duration = Duration::from_millis(MARK_FLUSH_SECS * 500);
/// More do not wait: the commit at hand takes them, or one is made for them.
const WAITING_MAX: usize = 4096;
/// A last-seen time that moved by less never causes a write of its own, it only rides along: it
/// is shown to people, by the minute.
const SEEN_GRAIN_MS: u64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct Marks {
    members: BTreeMap<(AccountNo, ChatId), Waiting>,
    seen: BTreeMap<AccountNo, Seen>,
    /// When the oldest of those that must not wait forever came.
    since: Option<Instant>,
    /// They have to be part of the next commit, however young.
    urgent: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    delivered: Mark,
    read: Mark,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Timestamp,
    stored: Timestamp,
}

impl Marks {
    /// Whether something waits that nothing may come along for.
    pub(super) fn wait(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.seen.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.members.len() + self.seen.len() >= WAITING_MAX
    }

    /// Whether a commit that happens anyway should take them along.
    pub(super) fn ride(&self) -> bool {
        self.urgent || self.since.is_some_and(|since| since.elapsed() >= RIDE_AFTER)
    }

    /// Lifts a stored member's marks to where they are known to be.
    pub(super) fn lift(&self, account: AccountNo, chat: ChatId, member: &mut Member) {
        if let Some(waiting) = self.members.get(&(account, chat)) {
            raise(member, waiting.delivered, waiting.read);
        }
    }

    pub(super) fn seen(&self, account: AccountNo) -> Option<Timestamp> {
        self.seen.get(&account).map(|seen| seen.at)
    }

    pub(super) fn put(&mut self, account: AccountNo, chat: ChatId, delivered: Mark, read: Mark) {
        let waiting = self.members.entry((account, chat)).or_default();
        waiting.delivered = waiting.delivered.max(delivered);
        waiting.read = waiting.read.max(read);
        self.since.get_or_insert_with(Instant::now);
    }

    /// The same for a mark that is about to leave the window it followed from.
    pub(super) fn put_implied(&mut self, account: AccountNo, chat: ChatId, mark: Mark) {
        self.put(account, chat, mark, mark);
        self.urgent = true;
    }

    pub(super) fn put_seen(&mut self, account: AccountNo, at: Timestamp, stored: Timestamp) {
        let seen = self.seen.entry(account).or_insert(Seen { at, stored });
        seen.at = at;
        if seen.at.0.abs_diff(seen.stored.0) >= SEEN_GRAIN_MS {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// A row that is written now takes its waiting marks along.
    pub(super) fn settle(&mut self, account: AccountNo, chat: ChatId, member: &mut Member) {
        self.lift(account, chat, member);
        self.members.remove(&(account, chat));
    }

    /// Its row goes.
    pub(super) fn forget(&mut self, account: AccountNo, chat: ChatId) {
        self.members.remove(&(account, chat));
    }

    /// Writes all of them. They are forgotten by `clear`, after the commit.
    pub(super) fn write(&self, tables: &mut Tables<'_>) -> Result<(), StoreError> {
        if !self.members.is_empty() {
            let table = tables.members_mut()?;
            for (&(account, chat), waiting) in &self.members {
                let key = (account.0, chat.0);
                // A damaged row is reported to whoever reads it; here it would keep every other
                // mark from being written.
                let Some(mut member) = open_or_skip(table.row(key, rows::member))? else {
                    continue;
                };
                raise(&mut member, waiting.delivered, waiting.read);
                table.put(key, rows::MEMBER_TAGS, |out| rows::put_member(&member, out))?;
            }
        }
        if !self.seen.is_empty() {
            let table = tables.seen_mut()?;
            for (account, seen) in &self.seen {
                if open_or_skip(table.row(account.0, rows::one).map(|_| Some(())))?.is_some() {
                    table.put(account.0, rows::NUMBER_TAGS, |o| rows::put_one(seen.at.0, o))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        *self = Marks::default();
    }

    /// As if they had waited long enough.
    #[cfg(test)]
    pub(super) fn age(&mut self) {
        self.since = self.since.and_then(|since| since.checked_sub(RIDE_AFTER));
    }
}

/// Moves marks, never back, and never the read one past the delivered one.
pub(super) fn raise(member: &mut Member, delivered: Mark, read: Mark) {
    member.read = member.read.max(read);
    member.delivered = member.delivered.max(delivered).max(member.read);
}
