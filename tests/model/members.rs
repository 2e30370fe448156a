//! Who is in a group: invitations, joining and leaving, removals and bans, letters, the owner.

use msimd::domain::access::Access;
use msimd::domain::id::MessageId;
use msimd::domain::words::{Act, Event, Kind, MemberView, Refusal, Reply};

use super::chats::{Part, letter};
use super::naive::{Model, named};
use super::records::Record;
use super::words::Me;

const ALL: &str = "RWPSDO";

impl Model {
    fn put_part(&mut self, who: u32, chat: usize, part: Part) {
        self.chats[chat].parts.insert(who, part);
    }

    pub(super) fn is_full(&self, chat: usize) -> Result<(), Refusal> {
        let is_full = self.chats[chat].parts.len() >= self.limits.members;
        if is_full { Err(Refusal::TooManyMembers) } else { Ok(()) }
    }

    pub(super) fn list_members(
        &self,
        me: u32,
        address: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<Reply, Refusal> {
        let chat = self.my_group(me, address)?;
        let mode = self.part(me, chat).mode();
        let sees_all = mode.has(letter('S')) || mode.has(letter('O'));
        let after = match after {
            Some(after) => self.account(after).ok_or(Refusal::NoSuchMember)?,
            None => 0,
        };
        let parts = self.chats[chat].parts.iter();
        let shown = parts.filter(|(who, part)| **who > after && (sees_all || part.is_in()));
        let mut members: Vec<_> = shown.map(|(who, _)| self.member_view(*who, chat)).collect();
        let count = count.min(500);
        let more = members.len() > count;
        members.truncate(count);
        Ok(Reply::Members { members, more })
    }

    fn member_view(&self, who: u32, chat: usize) -> MemberView {
        let part = self.part(who, chat);
        let (read, delivered) = if part.is_in() { self.marks(who, chat) } else { (0, 0) };
        MemberView {
            who: named(self.address(who)),
            want: part.want,
            given: part.given,
            delivered: MessageId(delivered),
            read: MessageId(read),
        }
    }

    pub(super) fn invite(
        &mut self,
        me: Me,
        address: &str,
        who: &str,
        (access, note): (Option<Access>, &str),
    ) -> Result<Reply, Refusal> {
        let chat = self.my_group(me.no, address)?;
        self.needs(me.no, chat, 'S')?;
        let default = self.group(chat).default;
        let access = access.unwrap_or(default);
        if access == Access::NONE || access.is_banned() {
            return Err(Refusal::BadAccess);
        }
        // What newcomers get anyway whoever has S may give.
        self.may_give(me.no, chat, Access::NONE, access.without(default))?;
        let other = self.somebody(who)?;
        let part = self.part(other, chat);
        if part.is_in() {
            return Err(Refusal::AlreadyThere);
        }
        if part.mode().is_banned() {
            return Err(Refusal::NotAllowed);
        }
        // What the owner gave is not taken back by inviting again.
        self.may_give(me.no, chat, part.given.without(default), access.without(default))?;
        self.may_write(me.no, who)?;
        if !self.has_part(other, chat) {
            self.is_full(chat)?;
            self.has_room_for_a_chat(other)?;
        }
        // It is theirs once they join.
        let invited = Part { want: Access::NONE, given: access, told: true, ..part };
        self.put_part(other, chat, invited);
        // One invitation that waits is enough.
        if !(part.told && part.is_invited()) {
            self.leave_notice(me, other, (Act::Invited, chat, invited), note);
        }
        let direct = self.open_chat(me.no, who);
        let (place, access) = (Some(chat), Some(access));
        self.post(me, direct, Record { place, access, ..Record::of(Kind::Invited) });
        Ok(Reply::Done)
    }

    pub(super) fn join(&mut self, me: Me, address: &str) -> Result<Reply, Refusal> {
        let chat = self.group_at(address).ok_or(Refusal::NoSuchChat)?;
        let part = self.part(me.no, chat);
        if part.is_in() {
            return Err(Refusal::AlreadyThere);
        }
        let given = if self.has_part(me.no, chat) {
            // What they were given, be it nothing.
            part.given
        } else if self.group(chat).open {
            self.is_full(chat)?;
            self.group(chat).default
        } else {
            Access::NONE
        };
        let want = given.without(letter('O'));
        if want == Access::NONE || given.is_banned() {
            return Err(Refusal::NotAllowed);
        }
        self.has_room_for_a_chat(me.no)?;
        self.untell(me.no, chat);
        self.settle(me, chat, me.no, want, given);
        Ok(Reply::Chat(Box::new(self.facts(chat, Some(me.no)))))
    }

    pub(super) fn leave(&mut self, me: Me, address: &str) -> Result<Reply, Refusal> {
        if let Some(other) = self.account(address) {
            return self.leave_direct(me, other);
        }
        let chat = self.group_at(address).filter(|chat| self.has_part(me.no, *chat));
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        let part = self.part(me.no, chat);
        if part.mode().has(letter('O')) {
            return Err(Refusal::LastOwner);
        }
        if part.given.is_banned() {
            return Err(Refusal::NotAllowed);
        }
        if part.is_in() {
            self.see_off(me, chat, me.no, None);
        }
        self.kept.remove(&(me.no, Some(chat)));
        // Who was given less than a newcomer gets does not get more by coming back.
        if part.given.has(self.group(chat).default) {
            self.chats[chat].parts.remove(&me.no);
        } else {
            let told = part.told && part.given == Access::NONE;
            self.put_part(me.no, chat, Part { want: Access::NONE, told, ..part });
        }
        Ok(Reply::Done)
    }

    pub(super) fn kick(
        &mut self,
        me: Me,
        address: &str,
        who: &str,
        ban: bool,
    ) -> Result<Reply, Refusal> {
        let chat = self.my_group(me.no, address)?;
        self.needs(me.no, chat, 'S')?;
        let other = self.account(who).ok_or(Refusal::NoSuchAccount)?;
        if other == me.no {
            return Err(Refusal::BadField);
        }
        let part = self.part(other, chat);
        self.may_manage(me.no, chat, part.given)?;
        if !self.has_part(other, chat) {
            if !ban {
                return Err(Refusal::NoSuchMember);
            }
            self.is_full(chat)?;
        }
        if part.is_in() {
            self.see_off(me, chat, other, ban.then_some(letter('X')));
        }
        // Who wants to stay out is not asked again, whatever the others do.
        let stays_out = part.want.is_banned();
        let want = if stays_out { letter('X') } else { Access::NONE };
        let part = Part { want, told: false, ..part };
        self.kept.remove(&(other, Some(chat)));
        if ban {
            self.put_part(other, chat, Part { given: letter('X'), ..part });
        } else if stays_out {
            self.put_part(other, chat, Part { given: Access::NONE, ..part });
        } else {
            self.chats[chat].parts.remove(&other);
        }
        Ok(Reply::Done)
    }

    /// What somebody is given.
    pub(super) fn give(
        &mut self,
        me: Me,
        address: &str,
        who: &str,
        access: Access,
    ) -> Result<Reply, Refusal> {
        if let Some(other) = self.account(address) {
            return match self.account(who) == Some(me.no) {
                true => self.want_direct(me, other, access),
                false => Err(Refusal::NotAllowed),
            };
        }
        let chat = self.group_at(address).ok_or(Refusal::NoSuchChat)?;
        let other = self.account(who).ok_or(Refusal::NoSuchAccount)?;
        if other == me.no {
            return self.want(me, address, access);
        }
        let chat = Some(chat).filter(|chat| self.part(me.no, *chat).is_in());
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        self.needs(me.no, chat, 'S').or(self.needs(me.no, chat, 'O'))?;
        if !self.has_part(other, chat) {
            return Err(Refusal::NoSuchMember);
        }
        let part = self.part(other, chat);
        self.may_give(me.no, chat, part.given, access)?;
        let new = Part { given: access, ..part };
        self.may_come(other, part, new)?;
        // That decides it, unless it is they who have to.
        if access != part.given && !part.is_invited() {
            self.untell(other, chat);
        }
        self.settle(me, chat, other, part.want, access);
        if part.is_waiting() && new.is_in() && !new.is_waiting() {
            self.leave_notice(me, other, (Act::Admitted, chat, new), "");
        }
        Ok(Reply::Done)
    }

    /// What I want of what I am given.
    pub(super) fn want(&mut self, me: Me, address: &str, access: Access) -> Result<Reply, Refusal> {
        if let Some(other) = self.account(address) {
            return self.want_direct(me, other, access);
        }
        let chat = self.group_at(address).filter(|chat| self.has_part(me.no, *chat));
        let chat = chat.ok_or(Refusal::NoSuchChat)?;
        let part = self.part(me.no, chat);
        if part.given.is_banned() {
            return Err(Refusal::NotAllowed);
        }
        let own = letter('O');
        let owns = part.mode().has(own);
        if owns && !access.has(own) {
            return Err(Refusal::LastOwner);
        }
        if access.has(own) && !part.given.has(own) {
            return Err(Refusal::BadAccess);
        }
        let takes_over = access.has(own) && !owns;
        let given = if takes_over { Access::parse(ALL).expect("letters") } else { part.given };
        self.may_come(me.no, part, Part { want: access, given, ..part })?;
        if part.is_invited() && access != part.want {
            self.untell(me.no, chat);
        }
        if takes_over {
            let others = self.take_over(chat, me.no);
            self.settle(me, chat, me.no, access, given);
            others.into_iter().for_each(|other| self.show_part(me, chat, other));
        } else {
            self.settle(me, chat, me.no, access, given);
        }
        Ok(Reply::Done)
    }

    fn untell(&mut self, who: u32, chat: usize) {
        if let Some(part) = self.chats[chat].parts.get_mut(&who) {
            part.told = false;
        }
    }

    fn may_come(&self, who: u32, old: Part, new: Part) -> Result<(), Refusal> {
        if new.is_in() && !old.is_in() { self.has_room_for_a_chat(who) } else { Ok(()) }
    }

    /// Exactly one owns a chat: who takes it over takes it from the former owner, and from those to
    /// whom it was offered besides.
    fn take_over(&mut self, chat: usize, owner: u32) -> Vec<u32> {
        let own = letter('O');
        let mut others = Vec::new();
        for (who, part) in &mut self.chats[chat].parts {
            if *who != owner && part.given.has(own) {
                part.given = part.given.without(own);
                // Who wanted nothing else stays all the same.
                part.want = if part.want == own { part.given } else { part.want.without(own) };
                others.push(*who);
            }
        }
        others
    }

    /// The letters of everybody are the owner's to change; who has S manages those with neither S
    /// nor O.
    fn may_manage(&self, me: u32, chat: usize, theirs: Access) -> Result<(), Refusal> {
        let is_equal = theirs.has(letter('S')) || theirs.has(letter('O'));
        let owns = self.part(me, chat).mode().has(letter('O'));
        if owns || !is_equal { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// S gives and takes R, W, P and X.
    fn may_give(&self, me: u32, chat: usize, old: Access, new: Access) -> Result<(), Refusal> {
        self.may_manage(me, chat, old)?;
        let others = ['S', 'D', 'O'].map(letter);
        let is_shared = others.iter().all(|letter| old.has(*letter) == new.has(*letter));
        let owns = self.part(me, chat).mode().has(letter('O'));
        let may = owns || is_shared || new.is_banned();
        if may { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// Somebody has another part from now on, and the chat a record of it.
    pub(super) fn settle(&mut self, me: Me, chat: usize, who: u32, want: Access, given: Access) {
        let old = self.part(who, chat);
        let mut new = Part { want, given, ..old };
        if (old.want, old.given) == (want, given) {
            return;
        }
        if old.is_in() && !new.is_in() {
            self.see_off(me, chat, who, Some(new.mode()));
            self.put_part(who, chat, new);
            return;
        }
        let comes = new.is_in() && !old.is_in();
        let knew = self.knows(who, chat);
        if comes {
            // What was there before is nothing new to them.
            let last = self.chats[chat].records.last().map_or(0, |last| last.id);
            (new.read, new.delivered) = (last, last);
        }
        self.put_part(who, chat, new);
        let person = Some(who).filter(|who| *who != me.no);
        let record = if comes {
            Record { person, ..Record::of(Kind::Joined) }
        } else {
            let access = if new.is_in() { new.mode() } else { given };
            Record { person, access: Some(access), ..Record::of(Kind::Access) }
        };
        // What somebody wants who is not in it is no record.
        if person.is_some() || new.is_in() {
            self.post(me, chat, record);
        }
        if knew && !self.knows(who, chat) {
            self.tell(who, None, Event::ChatGone { chat: named(&self.group(chat).address) });
        }
        self.show_part(me, chat, who);
    }

    /// They hear that they go, and then nothing more.
    fn see_off(&mut self, me: Me, chat: usize, who: u32, access: Option<Access>) {
        let person = Some(who).filter(|who| *who != me.no);
        self.post(me, chat, Record { person, access, ..Record::of(Kind::Left) });
        let event = Event::ChatGone { chat: named(&self.group(chat).address) };
        self.tell(who, Some(me.key).filter(|_| who == me.no), event);
    }

    /// Who may not know of it is shown nothing.
    pub(super) fn show_part(&mut self, me: Me, chat: usize, who: u32) {
        if !self.knows(who, chat) {
            return;
        }
        let event = Event::ChatChanged(Box::new(self.facts(chat, Some(who))));
        self.tell(who, Some(me.key).filter(|_| who == me.no), event);
    }

    /// An account that is removed leaves its groups to who manages them, else to who was first.
    pub(super) fn leave_all(&mut self, no: u32) {
        let me = Me { no, key: [0; 16] };
        for chat in self.groups() {
            if !self.has_part(no, chat) {
                continue;
            }
            let part = self.part(no, chat);
            let others = self.chats[chat].parts.iter();
            let others: Vec<(u32, Part)> = others
                .filter(|(who, part)| **who != no && part.is_in())
                .map(|(who, part)| (*who, *part))
                .collect();
            let manager = others.iter().find(|(_, part)| part.mode().has(letter('S')));
            let heir = manager.or(others.first()).copied();
            let heir = heir.filter(|_| part.mode().has(letter('O')));
            if part.mode().has(letter('O')) && heir.is_none() {
                self.take_down(me, chat);
                continue;
            }
            if part.is_in() {
                self.see_off(me, chat, no, None);
            }
            self.chats[chat].parts.remove(&no);
            self.kept.remove(&(no, Some(chat)));
            if let Some((heir, theirs)) = heir {
                // Every letter, and they want to manage it.
                let want = ['S', 'D', 'O'].map(letter).into_iter().fold(theirs.want, Access::with);
                let given = Access::parse(ALL).expect("letters");
                self.put_part(heir, chat, Part { want, given, ..theirs });
                let mut shown = self.take_over(chat, heir);
                shown.push(heir);
                shown.into_iter().for_each(|who| self.show_part(me, chat, who));
            }
        }
    }
}
