//! Reading: the questions of [`Look`], answered once for a turn and for a snapshot.

use std::hash::Hash;
use std::ops::{Bound, RangeInclusive};

use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq, SessionKey, Timestamp};
use crate::domain::nouns::{
    Account, Chat, Contact, Head, Invite, Mark, Member, Message, Profile, Secret, Session,
};
use crate::domain::words::{KeyId, Kind, Range, Take};
use crate::limits::ANSWER_BYTES_MAX;
use crate::store::history::{Entry, History};
use crate::store::known::{Kept, Known};
use crate::store::line::{self, Line};
use crate::store::noted::Young;
use crate::store::quarantine::{self, Quarantine};
use crate::store::rows::{self, Named};
use crate::store::tables::{self, Shelf};
use crate::store::{Look, StoreError, days, failure, verify};

/// Whoever has tables, and perhaps knows some answers without them.
pub(super) trait Books {
    type Tables: Shelf;
    fn tables(&self) -> &Self::Tables;
    /// Where damaged records are named.
    fn quarantine(&self) -> &Quarantine;
    /// The ids of a chat's messages that lie in `recent` or are noted, among `ids`, ascending.
    fn tail(&self, chat: ChatId, ids: &RangeInclusive<u64>) -> Result<Vec<u64>, StoreError>;
    /// What is noted, and in no table.
    fn young(&self) -> Result<Young<'_>, StoreError>;
    /// A head that is known in memory.
    fn known_head(&self, chat: ChatId) -> Option<Head>;
    /// A last-seen time that is not on the disk yet.
    fn known_seen(&self, account: AccountNo) -> Option<Timestamp>;
    /// Rows that were read before and have not changed since.
    fn known(&self) -> Option<&Known>;
}

impl<B: Books> Look for B {
    fn account(&self, no: AccountNo) -> Result<Option<Account>, StoreError> {
        recall(self.known().map(|known| &known.accounts), &no, || {
            match self.tables().accounts()?.row(no.0, |fields| rows::account(no, fields)) {
                Err(StoreError::Damaged(what)) => {
                    let known = quarantine::nameless(self.tables(), no)?;
                    self.quarantine().name(what.clone());
                    known.map(Some).ok_or(StoreError::Damaged(what))
                }
                row => row,
            }
        })
    }

    fn account_by_address(&self, address: &Address) -> Result<Option<AccountNo>, StoreError> {
        Ok(match named(self, address)? {
            Some(Named::Account(no)) => Some(no),
            Some(Named::Chat(_)) | None => None,
        })
    }

    fn chat_by_address(&self, address: &Address) -> Result<Option<ChatId>, StoreError> {
        Ok(match named(self, address)? {
            Some(Named::Chat(chat)) => Some(chat),
            Some(Named::Account(_)) | None => None,
        })
    }

    fn chat(&self, chat: ChatId) -> Result<Option<Chat>, StoreError> {
        self.tables().chats()?.row(chat.0, |fields| rows::chat(chat, fields))
    }

    fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.accounts_after(AccountNo(0), usize::MAX)
    }

    fn accounts_after(&self, after: AccountNo, count: usize) -> Result<Vec<Account>, StoreError> {
        let table = self.tables().accounts()?;
        let mut accounts = Vec::new();
        for entry in table.range((Bound::Excluded(after.0), Bound::Unbounded))?.take(count) {
            let row = table.entry(entry, |no, f| rows::account(AccountNo(*no), f));
            accounts.extend(self.quarantine().skip(row)?);
        }
        Ok(accounts)
    }

    fn session(&self, key: SessionKey) -> Result<Option<Session>, StoreError> {
        recall(self.known().map(|known| &known.sessions), &key, || {
            self.tables().sessions()?.row(&key.0, rows::session)
        })
    }

    fn sessions_of(&self, account: AccountNo) -> Result<Vec<SessionKey>, StoreError> {
        let table = self.tables().sessions_by_account()?;
        let mut keys = Vec::new();
        for entry in table.range((account.0, &[0; 16])..=(account.0, &[0xFF; 16]))? {
            keys.push(table.entry(entry, |key, _| Ok(SessionKey(*key.1)))?);
        }
        Ok(keys)
    }

    fn contact(&self, owner: AccountNo, who: &Address) -> Result<Option<Contact>, StoreError> {
        let read = || {
            let table = self.tables().contacts()?;
            table.row((owner.0, &who.to_string()), |fields| rows::contact(who.clone(), fields))
        };
        match self.known() {
            Some(known) => known.contacts.recall_one(owner, who, read),
            None => read(),
        }
    }

    fn contacts(
        &self,
        owner: AccountNo,
        after: Option<&Address>,
        count: usize,
    ) -> Result<Vec<Contact>, StoreError> {
        let after = after.map(Address::to_string);
        let start = match &after {
            Some(address) => Bound::Excluded((owner.0, address.as_str())),
            None => Bound::Included((owner.0, "")),
        };
        let table = self.tables().contacts()?;
        let mut contacts = Vec::new();
        for entry in table.range((start, end_of(owner)))? {
            // Not so many rows but so many contacts: who gets fewer takes them for the last.
            if contacts.len() == count {
                break;
            }
            let row = table.entry(entry, |key, fields| {
                rows::contact(rows::address_of(key.1.as_bytes())?, fields)
            });
            contacts.extend(self.quarantine().skip(row)?);
        }
        Ok(contacts)
    }

    fn contact_count(&self, owner: AccountNo) -> Result<usize, StoreError> {
        let table = self.tables().contacts()?;
        let start = Bound::Included((owner.0, ""));
        let mut count = 0;
        for entry in table.range((start, end_of(owner)))? {
            entry.map_err(failure)?;
            count += 1;
        }
        Ok(count)
    }

    fn chats_of(&self, account: AccountNo) -> Result<Vec<(ChatId, Member)>, StoreError> {
        let table = self.tables().members()?;
        let mut chats = Vec::new();
        for entry in table.range((account.0, 0)..=(account.0, u64::MAX))? {
            let row = table.entry(entry, |key, f| Ok((ChatId(key.1), rows::member(f)?)));
            let chat = self.quarantine().skip(row)?;
            chats.extend(chat.into_iter().filter(|(_, member)| !member.left));
        }
        Ok(chats)
    }

    fn part(&self, account: AccountNo, chat: ChatId) -> Result<Option<Member>, StoreError> {
        recall(self.known().map(|known| &known.parts), &(account, chat), || {
            let row = self.tables().members()?.row((account.0, chat.0), rows::member)?;
            Ok(row.filter(|member| !member.left))
        })
    }

    fn left(&self, account: AccountNo, chat: ChatId) -> Result<Option<Member>, StoreError> {
        let row = self.tables().members()?.row((account.0, chat.0), rows::member)?;
        Ok(row.filter(|member| member.left))
    }

    fn begun(&self, account: AccountNo) -> Result<Vec<ChatId>, StoreError> {
        let table = self.tables().members()?;
        let mut begun = Vec::new();
        // The numbers of groups come after those of direct chats.
        for entry in table.range((account.0, 0)..(account.0, ChatId::FIRST_GROUP))? {
            let (chat, member) =
                table.entry(entry, |key, f| Ok((ChatId(key.1), rows::member(f)?)))?;
            begun.extend(Some(chat).filter(|_| member.begun));
        }
        Ok(begun)
    }

    fn members_of(&self, chat: ChatId) -> Result<Vec<AccountNo>, StoreError> {
        let table = self.tables().members_by_chat()?;
        let mut accounts = Vec::new();
        for entry in table.range((chat.0, 0)..=(chat.0, u64::MAX))? {
            accounts.push(table.entry(entry, |key, _| Ok(AccountNo(key.1 as u32)))?);
        }
        Ok(accounts)
    }

    fn chats_in(&self, space: ChatId) -> Result<Vec<ChatId>, StoreError> {
        let table = self.tables().spaces()?;
        let mut chats = Vec::new();
        // The general chat was made before the others, so its number is the smallest.
        for entry in table.range((space.0, 0)..=(space.0, u64::MAX))? {
            chats.push(table.entry(entry, |key, _| Ok(ChatId(key.1)))?);
        }
        Ok(chats)
    }

    fn floor(&self, chat: ChatId) -> Result<Option<Mark>, StoreError> {
        self.tables().floors()?.row(chat.0, rows::floor)
    }

    fn hidden(
        &self,
        account: AccountNo,
        chat: ChatId,
        after: MessageId,
        before: MessageId,
    ) -> Result<Vec<MessageId>, StoreError> {
        let table = self.tables().hidden()?;
        let low = after.0.saturating_add(1);
        let mut ids = Vec::new();
        if low < before.0 {
            let (low, high) = (tables::place(chat.0, low), tables::place(chat.0, before.0));
            for entry in table.range((account.0, &low)..(account.0, &high))? {
                ids.push(table.entry(entry, |key, _| Ok(MessageId(tables::id_at(key.1))))?);
            }
        }
        Ok(ids)
    }

    fn glance(
        &self,
        chat: ChatId,
        after: MessageId,
        before: MessageId,
        each: &mut dyn FnMut(Glance<'_>) -> bool,
    ) -> Result<usize, StoreError> {
        let low = after.0.saturating_add(1);
        if low >= before.0 {
            return Ok(0);
        }
        let within = low..=before.0 - 1;
        let history = History::among(self, chat, &within)?;
        let mut seen = 0;
        for entry in history.range(within)?.rev() {
            seen += 1;
            let entry = entry?;
            let goes_on = entry.read(|line| {
                let kind = line::kind(line.kind)?;
                Ok(each(Glance { id: entry.id, from: line.from, kind, text: line.text }))
            });
            match goes_on {
                Ok(true) => {}
                Ok(false) => break,
                Err(StoreError::Damaged(what)) => pass_over(self, &entry, &what),
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    fn profile(&self, who: AccountNo) -> Result<Option<Profile>, StoreError> {
        self.tables().profiles()?.row(who.0, rows::profile)
    }

    fn card(&self, of: AccountNo, chat: ChatId) -> Result<Option<Box<str>>, StoreError> {
        self.tables().cards()?.row((of.0, chat.0), rows::card)
    }

    fn account_by_public(&self, id: u64) -> Result<Option<AccountNo>, StoreError> {
        Ok(match self.tables().public()?.row(id, rows::name)? {
            Some(Named::Account(no)) => Some(no),
            Some(Named::Chat(_)) | None => None,
        })
    }

    fn chat_by_public(&self, id: u64) -> Result<Option<ChatId>, StoreError> {
        Ok(match self.tables().public()?.row(id, rows::name)? {
            Some(Named::Chat(chat)) => Some(chat),
            Some(Named::Account(_)) | None => None,
        })
    }

    fn agent(&self, who: AccountNo) -> Result<Box<str>, StoreError> {
        Ok(self.tables().seen()?.row(who.0, rows::agent)?.unwrap_or_default())
    }

    fn head(&self, chat: ChatId) -> Result<Head, StoreError> {
        match self.known_head(chat) {
            Some(head) => Ok(head),
            None => head_of(&History::of(self, chat)?),
        }
    }

    fn message(&self, chat: ChatId, id: MessageId) -> Result<Option<Message>, StoreError> {
        let entry = History::among(self, chat, &(id.0..=id.0))?.get(id)?;
        entry.map(|entry| whole(self, &entry)).transpose()
    }

    fn message_at(&self, chat: ChatId, seq: Seq) -> Result<Option<MessageId>, StoreError> {
        let history = History::of(self, chat)?;
        let low = first_where(&history, |line| line.seq >= seq)?;
        // The one that is looked for may be damaged, and have its place by counting only.
        let mut damaged = Vec::new();
        let mut last = None;
        for entry in history.range(low..=u64::MAX)? {
            let entry = entry?;
            let Ok(line) = entry.fields().and_then(line::line) else {
                damaged.push(entry.id);
                continue;
            };
            // What shares a place comes after the message whose it is, and stays where that is gone.
            let has_place = line::kind(line.kind).is_ok_and(Kind::has_place);
            if has_place && line.seq == seq {
                return Ok(Some(entry.id));
            }
            last = Some(line.seq.0.saturating_sub(u32::from(has_place)));
            break;
        }
        let last = last.map_or_else(|| head_of(&history).map(|head| head.seq.0), Ok)?;
        let behind = last.checked_sub(seq.0).and_then(|n| usize::try_from(n).ok());
        let place = behind.and_then(|behind| damaged.len().checked_sub(behind + 1));
        Ok(place.map(|place| damaged[place]))
    }

    fn messages(&self, chat: ChatId, range: &Range) -> Result<(Vec<Message>, bool), StoreError> {
        let mut low = range.after.0.saturating_add(1);
        let history = match range.since {
            None => History::among(self, chat, &(low..=range.before.0))?,
            Some(since) => {
                let history = History::of(self, chat)?;
                low = low.max(first_where(&history, |line| line.time >= since)?);
                history
            }
        };
        if low >= range.before.0 {
            return Ok((Vec::new(), false));
        }
        let within = history.range(low..=range.before.0 - 1)?;
        let count = range.count as usize;
        match range.take {
            Take::First => page(self, within, count),
            Take::Last => {
                let (mut messages, more) = page(self, within.rev(), count)?;
                messages.reverse();
                Ok((messages, more))
            }
        }
    }

    fn day(&self, by: Timestamp) -> Result<Option<(Timestamp, MessageId)>, StoreError> {
        days::noted(self.tables(), by)
    }

    fn last_seen(&self, account: AccountNo) -> Result<Option<Timestamp>, StoreError> {
        match self.known_seen(account) {
            Some(seen) => Ok(Some(seen)),
            None => self.tables().seen()?.row(account.0, |f| rows::one(f).map(Timestamp)),
        }
    }

    fn invite(&self, code_hash: &[u8; 16]) -> Result<Option<Invite>, StoreError> {
        self.tables().invites()?.row(code_hash, rows::invite)
    }

    fn has_secret(&self, owner: AccountNo, name: &str) -> Result<bool, StoreError> {
        self.tables().secrets()?.has((owner.0, name))
    }

    fn secret_names(&self, owner: AccountNo) -> Result<Vec<Box<str>>, StoreError> {
        let table = self.tables().secrets()?;
        let mut names = Vec::new();
        for entry in table.range((Bound::Included((owner.0, "")), end_of(owner)))? {
            names.push(entry.map_err(failure)?.0.value().1.into());
        }
        Ok(names)
    }

    fn secrets(&self, owner: AccountNo) -> Result<Vec<Secret>, StoreError> {
        let table = self.tables().secrets()?;
        let mut secrets = Vec::new();
        for entry in table.range((Bound::Included((owner.0, "")), end_of(owner)))? {
            let row = table.entry(entry, |key, fields| rows::secret(key.1, fields));
            secrets.extend(self.quarantine().skip(row)?);
        }
        Ok(secrets)
    }

    fn sealed_counts(&self, key: Option<KeyId>) -> Result<(u64, u64), StoreError> {
        let table = self.tables().secrets()?;
        let (mut all, mut fitting) = (0, 0);
        for entry in table.range(..)? {
            let row = table.entry(entry, |name, fields| rows::secret(name.1, fields));
            let secret = self.quarantine().skip(row)?;
            all += 1;
            fitting += u64::from(secret.is_some_and(|secret| Some(secret.sealed.key) == key));
        }
        Ok((all, fitting))
    }
}

/// What there is to see of a message without taking it out of its page.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'r> {
    pub id: MessageId,
    pub from: AccountNo,
    pub kind: Kind,
    pub text: &'r str,
}

/// Up to `count` messages in the order they come, and whether there was one more.
fn page<'t>(
    books: &impl Books,
    entries: impl Iterator<Item = Result<Entry<'t>, StoreError>>,
    count: usize,
) -> Result<(Vec<Message>, bool), StoreError> {
    let mut messages: Vec<Message> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        if messages.len() >= count || bytes > ANSWER_BYTES_MAX {
            return Ok((messages, true));
        }
        let message = whole(books, &entry?)?;
        bytes += message.text.len();
        messages.push(message);
    }
    Ok((messages, false))
}

/// A message, or what there is to show for one that is damaged.
fn whole(books: &impl Books, entry: &Entry<'_>) -> Result<Message, StoreError> {
    match entry.message() {
        Err(StoreError::Damaged(what)) => {
            let stand_in = quarantine::stand_in(&History::of(books, entry.chat)?, entry)?;
            pass_over(books, entry, &what);
            stand_in.ok_or(StoreError::Damaged(what))
        }
        message => message,
    }
}

/// Names a damaged message as people know it.
fn pass_over(books: &impl Books, entry: &Entry<'_>, what: &str) {
    let flaw = what.rsplit_once(": ").map_or(what, |(_, flaw)| flaw);
    books.quarantine().name(verify::fault_of(books.tables(), entry, flaw));
}

/// The end of a chat as its last record has it. Where that one is damaged, what it must have held
/// follows from those before it: nobody is kept from writing by one rotten record.
pub(super) fn head_of(history: &History<'_>) -> Result<Head, StoreError> {
    let mut head = Head::default();
    let mut seq = 0;
    for entry in history.newest_first()? {
        let entry = entry?;
        if seq == 0 {
            head.id = entry.id;
        }
        match entry.fields().and_then(line::line) {
            Ok(line) => {
                head.time = line.time;
                seq += line.seq.0;
                break;
            }
            Err(_flaw) => seq += 1,
        }
    }
    head.seq = Seq(seq);
    Ok(head)
}

/// The smallest id from which on `holds` is true for every message of the chat; one more than the
/// last id where it is true for none. Whatever `holds` asks must, once true, stay true along the
/// chat: seq and time do. A few dozen reads at most, however long the chat.
fn first_where(
    history: &History<'_>,
    holds: impl Fn(&Line<'_>) -> bool,
) -> Result<u64, StoreError> {
    let (mut low, mut high) = (0, head_of(history)?.id.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_from(history, middle, |id, line| (id.0, holds(line)))? {
            Some((id, false)) => low = id + 1,
            Some((_, true)) | None => high = middle,
        }
    }
    Ok(low)
}

/// The first from an id on that can be read.
fn first_from<T>(
    history: &History<'_>,
    id: u64,
    read: impl FnOnce(MessageId, &Line<'_>) -> T,
) -> Result<Option<T>, StoreError> {
    for entry in history.range(id..=u64::MAX)? {
        let entry = entry?;
        if let Ok(line) = entry.fields().and_then(line::line) {
            return Ok(Some(read(entry.id, &line)));
        }
    }
    Ok(None)
}

fn named(books: &impl Books, address: &Address) -> Result<Option<Named>, StoreError> {
    recall(books.known().map(|known| &known.names), address, || {
        books.tables().addresses()?.row(&address.to_string(), rows::name)
    })
}

/// What is known, or else what `read` finds.
fn recall<K: Clone + Eq + Hash, T: Clone>(
    kept: Option<&Kept<K, T>>,
    key: &K,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match kept {
        Some(kept) => kept.recall(key, read),
        None => read(),
    }
}

/// Behind everything of an account in a table with a text as the second half of its key.
fn end_of(owner: AccountNo) -> Bound<(u32, &'static str)> {
    match owner.0.checked_add(1) {
        Some(next) => Bound::Excluded((next, "")),
        None => Bound::Unbounded,
    }
}
