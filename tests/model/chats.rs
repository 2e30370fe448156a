//! Chats as their members see them: what there is in them, how far everybody is, what is unread.

use std::collections::BTreeMap;

use msimd::domain::access::Access;
use msimd::domain::id::{MessageId, Seq};
use msimd::domain::nouns::Mark;
use msimd::domain::words::{ChatView, Event, GroupPart, Range, Refusal, Reply, Take};

use super::groups::Group;
use super::naive::{Model, named};
use super::records::Record;
use super::words::Me;

#[derive(Debug, Default)]
pub(super) struct Chat {
    /// The two of a direct chat, the smaller number first.
    pub(super) pair: Option<(u32, u32)>,
    /// Of a group or a channel. A chat with neither is somebody's own chain, see `own`.
    pub(super) group: Option<Group>,
    pub(super) own: Option<u32>,
    /// Everything that was ever written, by id.
    pub(super) records: Vec<Record>,
    pub(super) parts: BTreeMap<u32, Part>,
    /// The parts of a direct chat that were given up.
    pub(super) left: BTreeMap<u32, Part>,
    /// The first record that is not gone for everybody; 0 for all of them.
    pub(super) floor: u64,
    /// What is gone for one reader alone.
    pub(super) hidden: Vec<(u32, u64)>,
}

/// Somebody's part in a chat.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) want: Access,
    pub(super) given: Access,
    /// What they said in acks; one's own messages count beside.
    pub(super) delivered: u64,
    pub(super) read: u64,
    /// What they deleted for themselves: everything so far.
    pub(super) cleared: u64,
    /// Whoever has to decide what becomes of it has been told.
    pub(super) told: bool,
}

impl Part {
    /// What they want of what they are given; a ban of either side counts.
    pub(super) fn mode(&self) -> Access {
        if self.want.is_banned() || self.given.is_banned() {
            return Access::BANNED;
        }
        Access(self.want.0 & self.given.0)
    }

    /// Whether they may join.
    pub(super) fn is_invited(&self) -> bool {
        self.want == Access::NONE && self.given != Access::NONE && !self.given.is_banned()
    }

    /// Whether they want more than they are given.
    pub(super) fn is_waiting(&self) -> bool {
        !self.mode().is_banned() && self.want.without(self.given) != Access::NONE
    }

    pub(super) fn is_in(&self) -> bool {
        self.mode() != Access::BANNED && self.mode() != Access::NONE
    }
}

pub(super) fn letter(letter: char) -> Access {
    Access::parse(&letter.to_string()).expect("a letter")
}

/// How far somebody is: read, received.
type Marks = (u64, u64);
/// How far somebody is, and for every reader how far the others are.
type Standing = (Marks, BTreeMap<u32, Marks>);

impl Model {
    pub(super) fn direct(&self, a: u32, b: u32) -> Option<usize> {
        self.chats.iter().position(|chat| chat.pair == Some((a.min(b), a.max(b))))
    }

    pub(super) fn is_notes(&self, chat: usize) -> bool {
        self.chats[chat].pair.is_some_and(|(a, b)| a == b)
    }

    /// The chat at an address, if there is one.
    pub(super) fn chat_at(&self, me: u32, address: &str) -> Option<usize> {
        match self.account(address) {
            Some(other) => self.direct(me, other),
            None => self.group_at(address),
        }
    }

    /// What somebody calls a chat.
    pub(super) fn chat_name(&self, me: u32, chat: usize) -> String {
        let chat = &self.chats[chat];
        match (&chat.pair, &chat.group) {
            (Some((a, b)), _) => self.address(if *a == me { *b } else { *a }),
            (None, Some(group)) => group.address.clone(),
            (None, None) => self.address(me),
        }
    }

    /// Those who hear what is written.
    pub(super) fn readers(&self, chat: usize) -> Vec<u32> {
        let reads = |part: &Part| part.mode().has(letter('R'));
        let parts = &self.chats[chat].parts;
        parts.iter().filter(|(_, part)| reads(part)).map(|(who, _)| *who).collect()
    }

    /// What lies at or before it is gone for this reader; `None` for who may not read.
    pub(super) fn horizon(&self, me: u32, chat: usize) -> Option<u64> {
        let part = self.chats[chat].parts.get(&me)?;
        let floor = self.chats[chat].floor.saturating_sub(1);
        part.mode().has(letter('R')).then_some(part.cleared.max(floor))
    }

    /// What somebody sees of a chat, what they deleted for themselves in its place.
    pub(super) fn visible(&self, me: u32, chat: usize) -> Vec<&Record> {
        let Some(horizon) = self.horizon(me, chat) else { return Vec::new() };
        self.chats[chat].records.iter().filter(|record| record.id > horizon).collect()
    }

    /// Whether it is among somebody's chats. A direct chat that was deleted is not, until there is
    /// something new in it.
    pub(super) fn is_there(&self, me: u32, chat: usize) -> bool {
        let is_new = |record: &Record| record.id != self.chats[chat].floor;
        match self.chats[chat].pair {
            Some(_) => self.visible(me, chat).into_iter().any(is_new),
            None => self.chats[chat].group.is_some() && self.horizon(me, chat).is_some(),
        }
    }

    /// The chat at an address as one of mine.
    pub(super) fn my_chat(&self, me: u32, address: &str) -> Result<usize, Refusal> {
        let chat = self.chat_at(me, address).filter(|chat| self.is_there(me, *chat));
        chat.ok_or(Refusal::NoSuchChat)
    }

    fn my_chats(&self, me: u32) -> Vec<usize> {
        (0..self.chats.len()).filter(|chat| self.is_there(me, *chat)).collect()
    }

    /// Everything that somebody sees anywhere, by id.
    pub(super) fn records_of(&self, me: u32) -> Vec<(usize, &Record)> {
        let all = 0..self.chats.len();
        let of = |chat| self.visible(me, chat).into_iter().map(move |record| (chat, record));
        let mut records: Vec<_> = all.flat_map(of).collect();
        records.sort_by_key(|(_, record)| record.id);
        records
    }

    /// Who writes has read.
    pub(super) fn marks(&self, who: u32, chat: usize) -> Marks {
        let own = self.chats[chat].records.iter().rfind(|record| record.from == who);
        let Chat { parts, left, .. } = &self.chats[chat];
        let part = parts.get(&who).or(left.get(&who)).copied().unwrap_or_default();
        let read = part.read.max(own.map_or(0, |record| record.id));
        (read, part.delivered.max(read))
    }

    /// For every reader how far the other ones are: the least of them.
    fn others(&self, chat: usize) -> BTreeMap<u32, Marks> {
        if let Some((a, b)) = self.chats[chat].pair {
            // Be they there or not.
            return BTreeMap::from([(a, self.marks(b, chat)), (b, self.marks(a, chat))]);
        }
        let readers = self.readers(chat).into_iter();
        let all: Vec<(u32, Marks)> = readers.map(|who| (who, self.marks(who, chat))).collect();
        let least = |viewer: u32| {
            let others = || all.iter().filter(|(who, _)| *who != viewer).map(|(_, marks)| marks);
            let read = others().map(|(read, _)| *read).min().unwrap_or(0);
            let received = others().map(|(_, received)| *received).min().unwrap_or(0);
            (read, received)
        };
        all.iter().map(|(viewer, _)| (*viewer, least(*viewer))).collect()
    }

    fn unread(&self, me: u32, chat: usize) -> Vec<&Record> {
        let (read, _) = self.marks(me, chat);
        let mut unread = self.visible(me, chat);
        unread.retain(|record| record.counts() && record.id > read && !self.is_notes(chat));
        unread
    }

    pub(super) fn chat_view(&self, me: u32, chat: usize) -> ChatView {
        let last = self.chats[chat].records.last().map_or(0, |record| record.id);
        let (mut read, mut delivered) = self.others(chat).get(&me).copied().unwrap_or_default();
        let (mut my_read, _) = self.marks(me, chat);
        if self.is_notes(chat) {
            (read, delivered, my_read) = (last, last, last);
        }
        let group = self.chats[chat].group.as_ref().map(|group| {
            let mode = self.part(me, chat).mode();
            Box::new(GroupPart { kind: group.kind(), name: group.name.as_str().into(), mode })
        });
        ChatView {
            chat: named(self.chat_name(me, chat)),
            unread: self.unread(me, chat).len() as u32,
            last: MessageId(last),
            read: MessageId(read),
            delivered: MessageId(delivered),
            my_read: MessageId(my_read),
            group,
        }
    }

    pub(super) fn list_chats(&self, me: u32, before: u64, count: usize) -> Reply {
        let views = self.my_chats(me).into_iter().map(|chat| self.chat_view(me, chat));
        let mut chats: Vec<_> = views.filter(|chat| chat.last.0 < before).collect();
        chats.sort_by_key(|chat| std::cmp::Reverse(chat.last));
        let count = count.min(500);
        let more = chats.len() > count;
        chats.truncate(count);
        Reply::Chats { chats, more }
    }

    pub(super) fn list_unread(&self, me: u32, count: u32) -> Reply {
        let of = |chat| self.unread(me, chat).into_iter().map(move |record| (chat, record));
        let mut all: Vec<_> = self.my_chats(me).into_iter().flat_map(of).collect();
        all.sort_by_key(|(_, record)| record.id);
        let (after, before, since) = (MessageId(0), MessageId::END, None);
        let range = Range { after, before, since, count: count.min(200), take: Take::Last };
        self.page(me, all, &range)
    }

    // Marks.

    pub(super) fn mark_one(
        &mut self,
        me: Me,
        read: bool,
        address: Option<&str>,
        id: u64,
    ) -> Result<Reply, Refusal> {
        let has = |chat: usize| self.visible(me.no, chat).iter().any(|record| record.id == id);
        let chat = match address {
            Some(address) => Some(self.my_chat(me.no, address)?).filter(|chat| has(*chat)),
            None => self.my_chats(me.no).into_iter().find(|chat| has(*chat)),
        };
        let chat = chat.ok_or(Refusal::NoSuchMessage)?;
        self.move_marks(me, chat, if read { (id, id) } else { (0, id) });
        Ok(Reply::Done)
    }

    pub(super) fn mark_both(
        &mut self,
        me: Me,
        address: &str,
        delivered: Option<u64>,
        read: Option<u64>,
    ) -> Result<Reply, Refusal> {
        if delivered.is_none() && read.is_none() {
            return Err(Refusal::MissingField);
        }
        let chat = self.my_chat(me.no, address)?;
        let seen = self.visible(me.no, chat);
        let has = |id: &u64| seen.iter().any(|record| record.id == *id);
        if !delivered.iter().chain(&read).all(has) {
            return Err(Refusal::NoSuchMessage);
        }
        self.move_marks(me, chat, (read.unwrap_or(0), delivered.unwrap_or(0)));
        Ok(Reply::Done)
    }

    /// Both marks by place; what is no place, or gone, moves nothing.
    pub(super) fn mark_at(
        &mut self,
        me: Me,
        address: &str,
        delivered: Option<u32>,
        read: Option<u32>,
    ) -> Result<Reply, Refusal> {
        let chat = self.my_chat(me.no, address)?;
        let seen = self.visible(me.no, chat);
        let at = |seq: Option<u32>| {
            let is_it = |record: &&&Record| record.counts() && Some(record.seq) == seq;
            seen.iter().find(is_it).map_or(0, |record| record.id)
        };
        let marks = (at(read), at(delivered));
        self.move_marks(me, chat, marks);
        Ok(Reply::Done)
    }

    pub(super) fn move_marks(&mut self, me: Me, chat: usize, (read, delivered): Marks) {
        if self.is_notes(chat) {
            return;
        }
        let (before, others) = (self.marks(me.no, chat), self.others(chat));
        let part = self.chats[chat].parts.get_mut(&me.no).expect("it is theirs");
        part.read = part.read.max(read);
        part.delivered = part.delivered.max(delivered).max(part.read);
        let after = self.marks(me.no, chat);
        if before != after {
            let read_till = Some(after.0).filter(|read| *read != before.0);
            self.tell_marks(me, chat, &(before, others), read_till);
        }
    }

    /// A mark at a record.
    pub(super) fn mark(&self, chat: usize, id: u64) -> Mark {
        let seq = self.chats[chat].records.iter().find(|record| record.id == id);
        Mark { id: MessageId(id), seq: Seq(seq.map_or(0, |record| record.seq)) }
    }

    /// Tells of marks that were moved: to those for whom something is another than before.
    pub(super) fn tell_marks(
        &mut self,
        me: Me,
        chat: usize,
        (mine, before): &Standing,
        read_till: Option<u64>,
    ) {
        let user = named(self.address(me.no));
        let after = self.others(chat);
        let moved = |old: u64, new: u64| (new > old).then(|| self.mark(chat, new));
        let (my_read, my_delivered) = self.marks(me.no, chat);
        let (my_read, delivered) = (moved(mine.0, my_read), moved(mine.1, my_delivered));
        let read = read_till.map(|id| self.mark(chat, id));
        for who in self.readers(chat) {
            if who == me.no || !self.is_there(who, chat) {
                continue;
            }
            if read.is_some() || delivered.is_some() {
                let (chat, user) = (named(self.chat_name(who, chat)), user.clone());
                self.tell(who, None, Event::Marked { chat, user, read, delivered });
            }
            if before.get(&who) != after.get(&who) {
                let view = self.chat_view(who, chat);
                self.tell(who, None, Event::ChatsChanged(vec![view]));
            }
        }
        if self.is_there(me.no, chat) {
            let view = self.chat_view(me.no, chat);
            let chat = view.chat.clone();
            self.tell_my_others(me, Event::MyMarks { chat, read: my_read, delivered });
            self.tell_my_others(me, Event::ChatsChanged(vec![view]));
        }
    }

    /// For `tell_marks`, before anything moves.
    pub(super) fn standing(&self, me: u32, chat: usize) -> Standing {
        (self.marks(me, chat), self.others(chat))
    }

    pub(super) fn has_part(&self, who: u32, chat: usize) -> bool {
        self.chats[chat].parts.contains_key(&who)
    }

    pub(super) fn part(&self, who: u32, chat: usize) -> Part {
        self.chats[chat].parts.get(&who).copied().unwrap_or_default()
    }
}
