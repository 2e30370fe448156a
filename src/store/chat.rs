//! Chats: sending, cookies, members and their marks.

use std::sync::Arc;

use redb::Value;

use crate::domain::id::{AccountNo, ChatId, MessageId, Seq, Timestamp};
use crate::domain::nouns::{Chat, Entry, Head, Mark, Member, Message};
use crate::domain::words::Kind;
use crate::limits::{COOKIE_WINDOW, ID_BLOCK, ID_MAX, SALT_BLOCK};
use crate::store::history::History;
use crate::store::line;
use crate::store::look::Books;
use crate::store::marks::raise;
use crate::store::noted::{Note, Young};
use crate::store::rows::{self, Named};
use crate::store::tables::Shelf;
use crate::store::tx::{Ids, State};
use crate::store::window::Window;
use crate::store::{Look, StoreError, Tx, failure, open_or_skip, tlv};

impl Tx<'_> {
    /// Writes a chat that is not direct, and its address.
    pub fn put_chat(&mut self, chat: &Chat) -> Result<(), StoreError> {
        self.begin()?;
        let table = self.tables.chats_mut()?;
        table.put(chat.id.0, rows::CHAT_TAGS, |out| rows::put_chat(chat, out))?;
        self.put_public(chat.public_id, Named::Chat(chat.id))?;
        self.put_name(&chat.address.to_string(), Named::Chat(chat.id))
    }

    /// An account's part in a chat, marks not yet written and marks implied by its own messages
    /// included; `None` for who is no member.
    pub fn member(
        &mut self,
        account: AccountNo,
        chat: ChatId,
    ) -> Result<Option<Member>, StoreError> {
        let Some(mut member) = self.part(account, chat)? else { return Ok(None) };
        self.state.marks.lift(account, chat, &mut member);
        let own = match self.state.chats.peek(chat) {
            Some(window) => window.own(account),
            None => self.own_after(account, chat, member.read)?,
        };
        let own = own.unwrap_or_default();
        raise(&mut member, own, own);
        Ok(Some(member))
    }

    /// An author's last message in the window, as far as it lies after `read`: where the disk
    /// knows better already, this reads next to nothing.
    fn own_after(
        &self,
        account: AccountNo,
        chat: ChatId,
        read: Mark,
    ) -> Result<Option<Mark>, StoreError> {
        let unread = read.id.0.saturating_add(1)..=u64::MAX;
        let history = History::among(self, chat, &unread)?;
        for entry in history.range(unread)?.rev().take(COOKIE_WINDOW as usize) {
            let entry = entry?;
            let own = entry.read(|line| Ok((line.from == account).then(|| line.mark(entry.id))));
            if let Some(own) = open_or_skip(own)? {
                return Ok(Some(own));
            }
        }
        Ok(None)
    }

    /// Writes now, with this commit: joining, access, clearing. Marks never move back by it.
    pub fn put_member(
        &mut self,
        account: AccountNo,
        chat: ChatId,
        member: &Member,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let mut member = *member;
        self.state.marks.settle(account, chat, &mut member);
        self.state.known.parts.forget(&(account, chat));
        let table = self.tables.members_mut()?;
        let key = (account.0, chat.0);
        table.put(key, rows::MEMBER_TAGS, |out| rows::put_member(&member, out))?;
        if chat.is_group() {
            self.enlist(account, chat)?;
        }
        Ok(())
    }

    /// Ends an account's part in a group or a channel, with its marks.
    pub fn remove_member(&mut self, account: AccountNo, chat: ChatId) -> Result<(), StoreError> {
        self.begin()?;
        self.state.marks.forget(account, chat);
        self.state.known.parts.forget(&(account, chat));
        self.tables.members_mut()?.remove((account.0, chat.0))?;
        self.strike(account, chat)
    }

    /// Moves marks, never back: answered at once, written with a later commit. After a power cut
    /// they may stand where they stood `MARK_FLUSH_SECS` earlier.
    pub fn move_marks(
        &mut self,
        account: AccountNo,
        chat: ChatId,
        delivered: Mark,
        read: Mark,
    ) -> Result<(), StoreError> {
        let Some(now) = self.member(account, chat)? else {
            return Ok(());
        };
        let mut then = now;
        raise(&mut then, delivered, read);
        if then != now {
            self.state.rosters.mark(account, chat, &then);
            self.state.marks.put(account, chat, then.delivered, then.read);
            self.make_room_for_marks()?;
        }
        Ok(())
    }

    /// The first message of this author in this chat with this cookie, within the last
    /// `COOKIE_WINDOW` messages of the chat.
    pub fn cookie(
        &mut self,
        chat: ChatId,
        from: AccountNo,
        cookie: &str,
    ) -> Result<Option<Head>, StoreError> {
        let trace = self.state.chats.trace(from, cookie);
        let candidates: Vec<usize> = self.window(chat)?.candidates(trace).collect();
        if candidates.is_empty() {
            return Ok(None);
        }
        let history = History::of(self, chat)?;
        for newer in candidates {
            let Some(id) = history.id_before(newer)? else { continue };
            let Some(entry) = history.get(id)? else { continue };
            let found = entry.read(|line| {
                let same = line.from == from && line.cookie == Some(cookie);
                Ok(same.then_some(Head { id, seq: line.seq, time: line.time }))
            });
            if let Some(found) = open_or_skip(found)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The one write of a send. Gives the message its id, its seq and a time that never runs
    /// backwards in its chat.
    pub fn append(
        &mut self,
        chat: ChatId,
        from: AccountNo,
        now: Timestamp,
        kind: Kind,
        text: &Arc<str>,
        cookie: Option<&str>,
    ) -> Result<Message, StoreError> {
        self.record(chat, from, now, Entry { kind, text: text.clone(), cookie, extra: None })
    }

    /// The same for any record.
    pub fn record(
        &mut self,
        chat: ChatId,
        from: AccountNo,
        now: Timestamp,
        entry: Entry<'_>,
    ) -> Result<Message, StoreError> {
        if !self.daybook.is_open() {
            self.begin()?;
        }
        let head = self.window(chat)?.head;
        let seq = head.seq.0.checked_add(u32::from(entry.kind.has_place())).map(Seq);
        let message = Message {
            chat,
            id: self.next_id()?,
            previous: head.id,
            seq: seq.ok_or_else(|| StoreError::Io(format!("chat {} is full", chat.0)))?,
            time: now.max(head.time),
            from,
            kind: entry.kind,
            text: entry.text,
            cookie: entry.cookie.map(Arc::from),
            extra: entry.extra,
        };
        let key = (message.id.0, chat.0);
        let cookie_bytes = entry.cookie.map_or(0, str::len);
        let mut record = Vec::with_capacity(64 + message.text.len() + cookie_bytes);
        line::put_message(&message, &mut record);
        tlv::seal(&mut record, <(u64, u64)>::as_bytes(&key).as_ref());
        let place = (chat.0, message.id.0);
        if self.writes() {
            self.tables.recent_mut()?.insert(key, &record)?;
        } else {
            self.state.noted.push(Note { place, record: record.into() });
        }
        self.state.arrived.push(place);
        self.note(&message)?;
        self.state.rosters.wrote(&message);
        Ok(message)
    }

    /// Replaces what an existing message says, wherever it lies. What links it to the others (id,
    /// previous id, seq, time) must be what it was.
    pub fn rewrite(&mut self, message: &Message) -> Result<(), StoreError> {
        self.begin()?;
        let (chat, id) = (message.chat.0, message.id.0);
        let waits = !self.tail(message.chat, &(id..=id))?.is_empty();
        let (table, key) = match waits {
            true => (self.tables.recent_mut()?, (id, chat)),
            false => (self.tables.messages_mut()?, (chat, id)),
        };
        let same = table.row(key, |fields| {
            let line = line::line(fields)?;
            Ok(line.previous(message.id)? == message.previous
                && (line.seq, line.time) == (message.seq, message.time))
        })?;
        match same {
            Some(true) => {}
            Some(false) => return Err(table.damaged(&key, "it has another place in its chat")),
            None => return Err(table.damaged(&key, "it is gone")),
        }
        table.put(key, line::MESSAGE_TAGS, |out| line::put_message(message, out))
    }

    /// What is remembered of a chat, read where it is not.
    pub(super) fn window(&mut self, chat: ChatId) -> Result<&mut Window, StoreError> {
        let writes = self.writes();
        let State { chats, arrived, noted, .. } = &mut *self.state;
        let (tables, arrivals) = (&self.tables, self.arrivals);
        chats.load(chat, || {
            let young = Young { noted: (!writes).then(|| arrivals.noted()), own: noted };
            History::with(tables, chat, arrivals.tail(chat, &(0..=u64::MAX), arrived), young)
        })
    }

    /// Takes a new message into what is remembered of its chat.
    fn note(&mut self, message: &Message) -> Result<(), StoreError> {
        let chat = message.chat;
        let Some(window) = self.state.chats.note(message) else {
            return Ok(());
        };
        while let Some((author, mark)) = window.overdue() {
            let row = self.tables.members()?.row((author.0, chat.0), rows::member);
            if open_or_skip(row)?.is_some_and(|member| member.read < mark) {
                self.state.marks.put_implied(author, chat, mark);
            }
        }
        Ok(())
    }

    pub(super) fn next_id(&mut self) -> Result<MessageId, StoreError> {
        let missing = || StoreError::Damaged("meta \"ids\": it is gone".into());
        let known = match self.state.ids {
            Some(ids) => Some(ids),
            None => self.unreserved("ids")?,
        };
        let (id, rest) = self.take_number("ids", known.ok_or_else(missing)?, ID_BLOCK)?;
        self.state.ids = Some(rest);
        Ok(MessageId(id))
    }

    /// The number of the next salt; one that was given before is never given again. Writes once in
    /// `SALT_BLOCK` times.
    pub fn next_salt(&mut self) -> Result<u64, StoreError> {
        let known = match self.state.salts {
            Some(salts) => Some(salts),
            None => self.unreserved("salts")?,
        };
        // A database from before there were salts has given none.
        let (number, rest) =
            self.take_number("salts", known.unwrap_or(Ids { next: 1, end: 1 }), SALT_BLOCK)?;
        self.state.salts = Some(rest);
        Ok(number)
    }

    /// The number of the next group; never one that was given before.
    pub fn next_chat(&mut self) -> Result<ChatId, StoreError> {
        // Rows of chats are never removed, so the last one has the largest number.
        let last = match self.tables.chats()?.range(..)?.next_back() {
            Some(entry) => entry.map_err(failure)?.0.value(),
            None => ChatId::FIRST_GROUP,
        };
        let next = ChatId(last + 1);
        if !next.is_group() {
            return Err(StoreError::Io("every number of a chat was given".into()));
        }
        Ok(next)
    }

    /// Where the numbers begin that no block on the disk holds.
    fn unreserved(&self, name: &'static str) -> Result<Option<Ids>, StoreError> {
        let end = self.tables.meta()?.row(name, rows::one)?;
        Ok(end.map(|end| Ids { next: end, end }))
    }

    /// The next of a row of numbers, and what is left. Whatever becomes of this transaction, the
    /// number is not taken again: a block's end is on the disk before the first number of the block.
    fn take_number(
        &mut self,
        name: &'static str,
        mut numbers: Ids,
        block: u64,
    ) -> Result<(u64, Ids), StoreError> {
        if numbers.next == numbers.end {
            numbers.end += block;
            if numbers.end > ID_MAX {
                return Err(StoreError::Io(format!("every number of {name} was given")));
            }
            self.begin()?;
            let meta = self.tables.meta_mut()?;
            meta.put(name, rows::NUMBER_TAGS, |out| rows::put_one(numbers.end, out))?;
        }
        numbers.next += 1;
        Ok((numbers.next - 1, numbers))
    }
}
