//! What is written: messages, edits, deletions, clearings, and pages of them.

use std::collections::BTreeMap;

use msimd::domain::access::Access;
use msimd::domain::id::{MessageId, Seq, Timestamp};
use msimd::domain::words::{
    Act, Event, ExtraView, Kind, MessageView, Notice, Range, Refusal, Reply, Take,
};

use super::chats::{Chat, Part, letter};
use super::naive::{Model, is_at_home, named, tidy_reply};
use super::people::State;
use super::words::{Letter, Me, bold_spans};

#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) id: u64,
    /// The one before it in its chat, and how many that count there are with it.
    pub(super) previous: u64,
    pub(super) seq: u32,
    pub(super) from: u32,
    pub(super) time: u64,
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) cookie: Option<String>,
    pub(super) reply_to: u64,
    pub(super) target: u64,
    pub(super) person: Option<u32>,
    pub(super) place: Option<usize>,
    pub(super) access: Option<Access>,
    pub(super) edited: u64,
    pub(super) deleted: bool,
    /// Of a clearing: the last place that went.
    pub(super) reach: u32,
    pub(super) notice: Option<Notice>,
}

impl Record {
    /// One that tells of something.
    pub(super) fn of(kind: Kind) -> Record {
        Record { kind, ..Record::default() }
    }

    /// Whether it counts: what people write, change and take back, and invite to. Nobody has to
    /// read what the chat is called and who comes and goes.
    pub(super) fn counts(&self) -> bool {
        self.is_message() || {
            matches!(self.kind, Kind::Edited | Kind::Deleted | Kind::Invited | Kind::Notice)
        }
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Formatted | Kind::Blob)
    }
}

impl Model {
    pub(super) fn send(
        &mut self,
        me: Me,
        letter: &Letter,
        answer: &Result<Reply, Refusal>,
    ) -> Result<Reply, Refusal> {
        let Letter { to, kind, text, cookie, reply_to } = letter;
        if text.is_empty() {
            return Err(Refusal::TextEmpty);
        }
        let most = match kind {
            Kind::Blob => self.limits.max_blob_bytes.div_ceil(3) * 4,
            _ => self.limits.max_text_bytes,
        };
        if text.len() > most {
            return Err(Refusal::TextTooLong);
        }
        if cookie.as_ref().is_some_and(|c| c.is_empty() || c.len() > 128) {
            return Err(Refusal::BadField);
        }
        if !is_at_home(to) {
            return Err(Refusal::NoFederation);
        }
        if self.account(to).is_none() && self.group_at(to).is_none() {
            return Err(Refusal::NoSuchAccount);
        }
        if let Some(first) = self.sent_before(me.no, letter, answer) {
            return Ok(sent(first, true));
        }
        self.may_write(me.no, to)?;
        if *reply_to != 0 {
            self.find(me.no, to, *reply_to)?;
        }
        let record = Record {
            text: text.clone(),
            cookie: cookie.clone(),
            reply_to: *reply_to,
            ..Record::of(*kind)
        };
        let chat = self.open_chat(me.no, to);
        let record = self.post(me, chat, record);
        Ok(sent(&record, false))
    }

    /// The first message with this cookie. One that is gone for everybody may be known still, or
    /// not any more: who cleared the chat does not wait for a retry.
    fn sent_before(
        &self,
        me: u32,
        letter: &Letter,
        answer: &Result<Reply, Refusal>,
    ) -> Option<&Record> {
        letter.cookie.as_ref()?;
        let chat = &self.chats[self.chat_at(me, &letter.to)?];
        let window = &chat.records[chat.records.len().saturating_sub(1000)..];
        let mut same =
            window.iter().filter(|record| record.from == me && record.cookie == letter.cookie);
        same.find(|record| {
            let is_known = matches!(answer, Ok(Reply::Sent { id, .. }) if id.0 == record.id);
            record.id > chat.floor || is_known
        })
    }

    /// A direct chat that the other side does not refuse, a group where one has W.
    pub(super) fn may_write(&self, me: u32, to: &str) -> Result<(), Refusal> {
        let Some(other) = self.account(to) else {
            let group = self.my_group(me, to)?;
            return self.needs(me, group, 'W');
        };
        if other != me && self.person(other).state == State::Removed {
            return Err(Refusal::NoSuchAccount);
        }
        if other != me && self.blocks(other, me) {
            return Err(Refusal::NotAllowed);
        }
        if let Some(chat) = self.direct(me, other).filter(|chat| self.has_part(me, *chat)) {
            self.needs(me, chat, 'W')?;
        }
        self.may_be_drawn_in(me, other)
    }

    /// The chat at an address that somebody writes to; a direct one appears with it.
    pub(super) fn open_chat(&mut self, me: u32, to: &str) -> usize {
        if let Some(chat) = self.chat_at(me, to) {
            return chat;
        }
        let other = self.account(to).expect("it may be written to");
        self.direct_or_new(me, other)
    }

    /// A new record at the end of a chat.
    fn add(&mut self, from: u32, chat: usize, record: Record) -> Record {
        let id = self.next_id();
        let last = self.chats[chat].records.last();
        let record = Record {
            id,
            previous: last.map_or(0, |last| last.id),
            seq: last.map_or(0, |last| last.seq) + u32::from(record.counts()),
            from,
            time: last.map_or(0, |last| last.time).max(self.now),
            ..record
        };
        self.chats[chat].records.push(record.clone());
        record
    }

    /// The same, and everybody who reads the chat hears it.
    pub(super) fn post(&mut self, me: Me, chat: usize, record: Record) -> Record {
        let was_in = self.has_part(me.no, chat);
        let before = self.standing(me.no, chat);
        self.come_both(me, chat);
        let (read, _) = before.0;
        let all = &self.chats[chat].records;
        let last = all.last().map_or(0, |last| last.id);
        let passes = all.iter().any(|record| record.counts() && record.id > read);
        let record = self.add(me.no, chat, record);
        if record.kind == Kind::Cleared {
            // What comes next is the first that is left.
            let is_left = |other: &&Record| other.counts() && other.seq > record.reach;
            let first = self.chats[chat].records.iter().find(is_left);
            self.chats[chat].floor = first.map_or(record.id, |first| first.id);
        }
        for reader in self.readers(chat) {
            if reader != me.no {
                let event = Event::Message(self.see_as_news(reader, chat, &record));
                self.tell(reader, None, event);
            }
        }
        let event = Event::Message(self.see_as_news(me.no, chat, &record));
        self.tell_my_others(me, event);
        // Who writes has read; that is told where it passes something of somebody else's.
        let reads = self.readers(chat).contains(&me.no);
        if was_in && passes && reads && !self.is_notes(chat) {
            self.tell_marks(me, chat, &before, Some(last));
        }
        record
    }

    /// What concerns somebody alone.
    fn own_chain(&mut self, no: u32) -> usize {
        let is_own = |chat: &Chat| chat.own == Some(no);
        self.chats.iter().position(is_own).unwrap_or_else(|| {
            let part = Part { want: Access::DIRECT, given: Access::DIRECT, ..Part::default() };
            let parts = BTreeMap::from([(no, part)]);
            self.chats.push(Chat { own: Some(no), parts, ..Chat::default() });
            self.chats.len() - 1
        })
    }

    /// What somebody has done about a part in a chat, in the own chain of who is to know.
    pub(super) fn leave_notice(
        &mut self,
        me: Me,
        to: u32,
        (act, chat, part): (Act, usize, Part),
        note: &str,
    ) {
        let own = self.own_chain(to);
        let record = Record {
            text: note.into(),
            person: Some(me.no),
            place: Some(chat),
            access: Some(part.want),
            notice: Some(Notice { act, given: part.given }),
            ..Record::of(Kind::Notice)
        };
        let record = self.add(to, own, record);
        let event = Event::Message(self.see(to, own, &record));
        self.tell(to, None, event);
    }

    /// A record for one's own other devices.
    fn note(&mut self, me: Me, record: Record) -> Result<Reply, Refusal> {
        let own = self.own_chain(me.no);
        let record = self.add(me.no, own, record);
        let event = Event::Message(self.see(me.no, own, &record));
        self.tell_my_others(me, event);
        Ok(recorded(&record))
    }

    /// A message that somebody can see in a chat of theirs.
    fn find(&self, me: u32, address: &str, id: u64) -> Result<(usize, Record), Refusal> {
        let chat = self.my_chat(me, address)?;
        let found = self.visible(me, chat).into_iter().find(|record| record.id == id);
        let found = found.filter(|_| !self.chats[chat].hidden.contains(&(me, id)));
        Ok((chat, found.ok_or(Refusal::NoSuchMessage)?.clone()))
    }

    fn change(&mut self, chat: usize, record: Record) {
        let place = self.chats[chat].records.iter().position(|old| old.id == record.id);
        self.chats[chat].records[place.expect("it was found")] = record;
    }

    pub(super) fn edit(
        &mut self,
        me: Me,
        address: &str,
        id: u64,
        text: &str,
        bold: bool,
    ) -> Result<Reply, Refusal> {
        if text.is_empty() {
            return Err(Refusal::TextEmpty);
        }
        if text.len() > self.limits.max_text_bytes {
            return Err(Refusal::TextTooLong);
        }
        let (chat, old) = self.find(me.no, address, id)?;
        if old.from != me.no {
            return Err(Refusal::NotAllowed);
        }
        if old.deleted || !matches!(old.kind, Kind::Text | Kind::Formatted) {
            return Err(Refusal::NotEditable);
        }
        self.may_write(me.no, address)?;
        let kind = if bold { Kind::Formatted } else { Kind::Text };
        if old.text == text && old.kind == kind {
            return Ok(recorded(&old));
        }
        self.change(chat, Record { kind, text: text.into(), edited: self.now, ..old });
        let record = self.post(me, chat, Record { target: id, ..Record::of(Kind::Edited) });
        Ok(recorded(&record))
    }

    pub(super) fn delete_for_me(
        &mut self,
        me: Me,
        address: &str,
        id: u64,
    ) -> Result<Reply, Refusal> {
        let (chat, _) = self.find(me.no, address, id)?;
        self.chats[chat].hidden.push((me.no, id));
        self.note(me, Record { target: id, place: Some(chat), ..Record::of(Kind::Deleted) })
    }

    pub(super) fn delete_for_all(
        &mut self,
        me: Me,
        address: &str,
        id: u64,
    ) -> Result<Reply, Refusal> {
        let (chat, old) = self.find(me.no, address, id)?;
        if !old.is_message() {
            return Err(Refusal::NotEditable);
        }
        if old.from != me.no {
            self.needs(me.no, chat, 'D')?;
        }
        if old.deleted {
            return Ok(recorded(&old));
        }
        self.change(chat, Record { text: String::new(), deleted: true, edited: 0, ..old });
        let record = self.post(me, chat, Record { target: id, ..Record::of(Kind::Deleted) });
        Ok(recorded(&record))
    }

    pub(super) fn clear_for_me(
        &mut self,
        me: Me,
        address: &str,
        till: Option<u32>,
    ) -> Result<Reply, Refusal> {
        let chat = self.my_chat(me.no, address)?;
        let gone = self.horizon(me.no, chat).unwrap_or(0);
        let Some((target, reach)) = self.reach(chat, till, gone)? else { return Ok(Reply::Done) };
        // What is gone is not unread.
        self.move_marks(me, chat, (target, target));
        self.chats[chat].parts.get_mut(&me.no).expect("it is theirs").cleared = target;
        self.note(me, Record { target, reach, place: Some(chat), ..Record::of(Kind::Cleared) })
    }

    pub(super) fn clear_for_all(
        &mut self,
        me: Me,
        address: &str,
        till: Option<u32>,
    ) -> Result<Reply, Refusal> {
        let chat = self.my_chat(me.no, address)?;
        // Whatever is gone for me alone.
        let gone = self.chats[chat].floor.saturating_sub(1);
        let Some((target, reach)) = self.reach(chat, till, gone)? else { return Ok(Reply::Done) };
        self.needs(me.no, chat, 'D')?;
        let record = self.post(me, chat, Record { target, reach, ..Record::of(Kind::Cleared) });
        Ok(recorded(&record))
    }

    /// How far a clearing goes, where something is there to go: to the last record of a chat, or to
    /// the one at a place.
    fn reach(
        &self,
        chat: usize,
        till: Option<u32>,
        gone: u64,
    ) -> Result<Option<(u64, u32)>, Refusal> {
        let records = &self.chats[chat].records;
        let end = records.last().map_or((0, 0), |last| (last.id, last.seq));
        let reach = match till {
            None => Some(end),
            Some(till) if till > end.1 => return Err(Refusal::NoSuchMessage),
            Some(till) => {
                let mut placed = records.iter().filter(|record| record.counts());
                placed.find(|record| record.seq == till).map(|record| (record.id, till))
            }
        };
        Ok(reach.filter(|(id, _)| *id > gone))
    }

    // What somebody sees.

    /// A record of a chat as it stands in history.
    pub(super) fn see(&self, me: u32, chat: usize, record: &Record) -> MessageView {
        let horizon = self.horizon(me, chat).unwrap_or(0);
        let view = self.see_as_news(me, chat, record);
        // A chain begins where it begins for its reader.
        let previous = Some(view.previous).filter(|previous| previous.0 > horizon);
        let view = MessageView { previous: previous.unwrap_or_default(), ..view };
        if !self.chats[chat].hidden.contains(&(me, record.id)) {
            return view;
        }
        let extra = Some(Box::new(ExtraView { deleted: true, ..ExtraView::default() }));
        MessageView { text: "".into(), extra, ..view }
    }

    /// The same as it is told when it is new: after the record that was the last one.
    fn see_as_news(&self, me: u32, chat: usize, record: &Record) -> MessageView {
        let mut shown = record.clone();
        let mut is_bold = record.kind == Kind::Formatted && !record.deleted;
        if record.kind == Kind::Edited {
            // The text as it is now.
            let horizon = self.horizon(me, chat).unwrap_or(0);
            let is_hidden = self.chats[chat].hidden.contains(&(me, record.target));
            let target = self.chats[chat].records.iter().find(|other| other.id == record.target);
            match target.filter(|target| target.id > horizon && !is_hidden) {
                Some(target) => {
                    shown.text = target.text.clone();
                    shown.edited = target.edited;
                    shown.deleted = target.deleted;
                    is_bold = target.kind == Kind::Formatted && !target.deleted;
                }
                None => shown.deleted = true,
            }
        }
        let is_own = self.chats[chat].own.is_some();
        let (previous, about) = match record.place {
            // A record of one's own chain is about another chat.
            Some(place) if is_own => (0, place),
            _ => (record.previous, chat),
        };
        let invited_to = record.place.filter(|_| !is_own).and_then(|place| {
            let group = self.chats[place].group.as_ref()?;
            let name = if self.knows(me, place) { group.name.as_str() } else { "" };
            Some((named(&group.address), name.into()))
        });
        let extra = ExtraView {
            reply_to: MessageId(record.reply_to),
            target: MessageId(record.target),
            person: record.person.map(|no| named(self.address(no))),
            place: invited_to,
            access: record.access,
            spans: if is_bold { bold_spans(&shown.text) } else { Box::default() },
            mime: (shown.kind == Kind::Blob && !shown.deleted).then(|| "image/png".into()),
            edited: Timestamp(shown.edited),
            deleted: shown.deleted,
            reach: Seq(record.reach),
            notice: record.notice,
            file: None,
            private: is_own,
        };
        MessageView {
            chat: named(self.chat_name(me, about)),
            from: named(self.address(record.from)),
            id: MessageId(record.id),
            previous: MessageId(previous),
            seq: Seq(record.seq),
            time: Timestamp(record.time),
            kind: record.kind,
            text: shown.text.as_str().into(),
            cookie: record
                .cookie
                .as_ref()
                .filter(|_| record.from == me)
                .map(|cookie| cookie.as_str().into()),
            extra: Some(Box::new(extra)).filter(|extra| **extra != ExtraView::default()),
        }
    }

    pub(super) fn history(&self, me: u32, chat: &str, range: &Range) -> Result<Reply, Refusal> {
        let chat = self.my_chat(me, chat)?;
        let all = self.visible(me, chat).into_iter().map(|record| (chat, record)).collect();
        Ok(self.page(me, all, range))
    }

    /// `own`: with what concerns them alone.
    pub(super) fn rewind(&self, me: u32, after: MessageId, count: u32, own: bool) -> Reply {
        let (before, since) = (MessageId::END, None);
        let range = Range { after, before, since, count, take: Take::First };
        let mut all = self.records_of(me);
        all.retain(|(chat, _)| own || self.chats[*chat].own.is_none());
        all.retain(|(_, record)| record.kind != Kind::Notice);
        self.page(me, all, &range)
    }

    /// What of these records a range has, in the words of `me`.
    pub(super) fn page(&self, me: u32, mut all: Vec<(usize, &Record)>, range: &Range) -> Reply {
        all.retain(|(_, record)| {
            record.id > range.after.0
                && record.id < range.before.0
                && range.since.is_none_or(|since| record.time >= since.0)
        });
        let count = (range.count as usize).min(500);
        let more = all.len() > count;
        match range.take {
            Take::First => all.truncate(count),
            Take::Last => drop(all.drain(..all.len().saturating_sub(count))),
        }
        let messages = all.into_iter().map(|(chat, record)| self.see(me, chat, record)).collect();
        Reply::Messages { messages, more }
    }

    /// A search may end early and say from where it goes on; what it has looked at it has found.
    pub(super) fn check_search(
        &self,
        me: u32,
        text: &str,
        chat: Option<&str>,
        (before, count): (u64, u32),
        answer: &Result<Reply, Refusal>,
    ) {
        let asked = format!("{me} looks for {text:?} in {chat:?} before {before}, {count}");
        let found = self.search(me, text, chat, before);
        let (all, answer) = match (found, answer) {
            (Err(refusal), answer) => {
                let expected: Result<Reply, Refusal> = Err(refusal);
                assert_eq!(format!("{answer:?}"), format!("{expected:?}"), "{asked}");
                return;
            }
            (Ok(all), answer) => (all, answer.clone().map(tidy_reply)),
        };
        let Ok(Reply::Found { messages, more, till }) = answer else {
            panic!("{answer:?} {asked}")
        };
        let count = (count as usize).min(100);
        let expected = &all[..all.len().min(count)];
        assert_eq!(messages, expected, "{asked}");
        assert!(more || messages.len() == all.len(), "{asked}: {messages:?} is not all");
        let rest = &all[messages.len()..];
        assert!(messages.iter().all(|message| message.id >= till), "{asked}: above {till:?}");
        assert!(!more || rest.iter().all(|message| message.id < till), "{asked}: from {till:?}");
    }

    fn search(
        &self,
        me: u32,
        text: &str,
        chat: Option<&str>,
        before: u64,
    ) -> Result<Vec<MessageView>, Refusal> {
        let wanted = text.trim().to_lowercase();
        if wanted.is_empty() {
            return Err(Refusal::TextEmpty);
        }
        let mut all = self.records_of(me);
        if let Some(chat) = chat {
            let chat = self.my_chat(me, chat)?;
            all.retain(|(of, _)| *of == chat);
        }
        all.retain(|(chat, record)| {
            record.id < before
                && matches!(record.kind, Kind::Text | Kind::Formatted)
                && record.text.to_lowercase().contains(&wanted)
                && !self.chats[*chat].hidden.contains(&(me, record.id))
        });
        let views = all.into_iter().rev().map(|(chat, record)| self.see(me, chat, record));
        Ok(views.collect())
    }

    /// Whether somebody has a letter in a chat.
    pub(super) fn needs(&self, me: u32, chat: usize, wanted: char) -> Result<(), Refusal> {
        let mode = self.part(me, chat).mode();
        if mode.has(letter(wanted)) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }
}

fn sent(record: &Record, repeated: bool) -> Reply {
    let (id, seq, time) = (MessageId(record.id), Seq(record.seq), Timestamp(record.time));
    Reply::Sent { id, seq, time, repeated }
}

fn recorded(record: &Record) -> Reply {
    Reply::Recorded { id: MessageId(record.id), time: Timestamp(record.time) }
}
