//! Who is in a group or a channel: the index on the disk, and what the engine remembers of it.
//!
//! A message to a group asks who hears it. Reading a thousand rows for that would cost more than the
//! message, so the rosters of the groups in use are kept, marks included; like everything the
//! engine remembers they may be forgotten at any time.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::id::{AccountNo, ChatId};
use crate::domain::nouns::{Access, Mark, Member, Message};
use crate::limits::ROSTER_PARTS_MAX;
use crate::store::marks::raise;
use crate::store::{Look, StoreError, Tx};

/// What a roster weighs without its parts: its place in the map, its list of readers, and the room
/// that a vector of few parts takes beyond them.
const ROSTER_PARTS: usize = 5;

/// Everybody who has a part in a group, whoever gave it to them.
#[derive(Debug, Default)]
pub struct Roster {
    /// Ascending by account.
    parts: Vec<(AccountNo, Member)>,
    readers: Arc<[AccountNo]>,
}

impl Roster {
    fn of(parts: Vec<(AccountNo, Member)>) -> Roster {
        let mut roster = Roster { parts, readers: Arc::default() };
        roster.count_readers();
        roster
    }

    fn count_readers(&mut self) {
        self.readers = self.reading().map(|(account, _)| *account).collect();
    }

    /// Everybody with a row: members, those who were invited, who asked, and who are banned.
    pub fn parts(&self) -> &[(AccountNo, Member)] {
        &self.parts
    }

    /// Who may read, and so hears what is written.
    pub fn readers(&self) -> &Arc<[AccountNo]> {
        &self.readers
    }

    pub fn part(&self, account: AccountNo) -> Option<&Member> {
        Some(&self.parts[self.place(account).ok()?].1)
    }

    fn place(&self, account: AccountNo) -> Result<usize, usize> {
        self.parts.binary_search_by_key(&account, |(who, _)| *who)
    }

    /// Those who are there.
    pub fn members(&self) -> impl Iterator<Item = &(AccountNo, Member)> {
        self.parts.iter().filter(|(_, member)| member.mode().is_member())
    }

    /// Those of them who may read.
    pub fn reading(&self) -> impl Iterator<Item = &(AccountNo, Member)> {
        self.parts.iter().filter(|(_, member)| member.mode().has(Access::READ))
    }

    pub fn owner(&self) -> Option<AccountNo> {
        self.members().find(|(_, member)| member.mode().has(Access::OWN)).map(|(who, _)| *who)
    }
}

/// The rosters in use.
#[derive(Debug, Default)]
pub(super) struct Rosters {
    known: HashMap<ChatId, Roster>,
    /// About what they weigh, in parts.
    parts: usize,
}

impl Rosters {
    /// Somebody's part is another one now, with every mark that is known of it.
    fn put(&mut self, account: AccountNo, chat: ChatId, member: Member) {
        let Some(roster) = self.known.get_mut(&chat) else { return };
        match roster.place(account) {
            Ok(place) => roster.parts[place].1 = member,
            Err(place) => {
                roster.parts.insert(place, (account, member));
                self.parts += 1;
            }
        }
        roster.count_readers();
        if self.parts > ROSTER_PARTS_MAX {
            *self = Rosters::default();
        }
    }

    fn remove(&mut self, account: AccountNo, chat: ChatId) {
        let Some(roster) = self.known.get_mut(&chat) else { return };
        if let Ok(place) = roster.place(account) {
            roster.parts.remove(place);
            self.parts -= 1;
            roster.count_readers();
        }
    }

    fn keep(&mut self, chat: ChatId, roster: Roster) {
        let parts = ROSTER_PARTS + roster.parts.len();
        if self.parts + parts > ROSTER_PARTS_MAX {
            *self = Rosters::default();
        }
        self.parts += parts;
        self.known.insert(chat, roster);
    }

    /// Somebody has come as far as this.
    pub(super) fn mark(&mut self, account: AccountNo, chat: ChatId, to: &Member) {
        if let Some(roster) = self.known.get_mut(&chat)
            && let Ok(place) = roster.place(account)
        {
            raise(&mut roster.parts[place].1, to.delivered, to.read);
        }
    }

    /// Whoever writes has read.
    pub(super) fn wrote(&mut self, message: &Message) {
        if message.chat.is_group() {
            let own = Mark { id: message.id, seq: message.seq };
            let part = Member { delivered: own, read: own, ..Member::default() };
            self.mark(message.from, message.chat, &part);
        }
    }
}

impl Tx<'_> {
    /// Who is in a group or a channel, marks that are not yet written included.
    pub fn roster(&mut self, chat: ChatId) -> Result<&Roster, StoreError> {
        if !self.state.rosters.known.contains_key(&chat) {
            // First, so that nobody's last message has to be looked for.
            self.window(chat)?;
            let accounts = self.members_of(chat)?;
            let mut parts = Vec::with_capacity(accounts.len());
            for account in accounts {
                if let Some(member) = self.member(account, chat)? {
                    parts.push((account, member));
                }
            }
            self.state.rosters.keep(chat, Roster::of(parts));
        }
        Ok(&self.state.rosters.known[&chat])
    }

    /// After the row was written.
    pub(super) fn enlist(&mut self, account: AccountNo, chat: ChatId) -> Result<(), StoreError> {
        if let Some(member) = self.member(account, chat)? {
            self.state.rosters.put(account, chat, member);
        }
        let table = self.tables.members_by_chat_mut()?;
        let key = (chat.0, u64::from(account.0));
        if table.has(key)? { Ok(()) } else { table.put(key, 0, |_| {}) }
    }

    pub(super) fn strike(&mut self, account: AccountNo, chat: ChatId) -> Result<(), StoreError> {
        self.state.rosters.remove(account, chat);
        self.tables.members_by_chat_mut()?.remove((chat.0, account.0.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_without_members_takes_room_too() {
        for parts in [0, 1] {
            let mut rosters = Rosters::default();
            let mut most = 0;
            for chat in 0..ROSTER_PARTS_MAX as u64 {
                let part = (AccountNo(1), Member::default());
                rosters.keep(ChatId(chat), Roster::of(vec![part; parts]));
                most = most.max(rosters.known.len());
            }
            assert!(most <= ROSTER_PARTS_MAX / 4, "{most} of {parts}");
        }
    }

    #[test]
    fn rosters_that_grow_are_forgotten_too() {
        let mut rosters = Rosters::default();
        let chats = [ChatId(1), ChatId(2)];
        for chat in chats {
            rosters.keep(chat, Roster::of(Vec::new()));
        }
        let mut most = 0;
        for no in 0..ROSTER_PARTS_MAX as u32 {
            rosters.put(AccountNo(no), chats[no as usize % 2], Member::default());
            let parts = rosters.known.values().map(|roster| roster.parts.len());
            most = most.max(parts.sum());
        }
        assert!(most < ROSTER_PARTS_MAX, "{most}");
    }
}
