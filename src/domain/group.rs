//! Groups, channels and spaces: making them, changing them, removing them.
//!
//! A channel is a group whose newcomers have no W. A space is a set of chats with a general chat,
//! which is the space itself: whoever is in it is in the space, whoever owns it owns the space.

use crate::domain::eyes::name;
use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, Seq, Timestamp, spelled};
use crate::domain::merge::json_length;
use crate::domain::message::{Room, Side, post};
use crate::domain::nouns::{Access, Chat, Entry, Extra, Mark, Member};
use crate::domain::presence::{self, Scene};
use crate::domain::profile::check_card;
use crate::domain::session::Caller;
use crate::domain::subscription::EVERYBODY;
use crate::domain::words::{
    Audience, ChatChange, ChatDraft, ChatInfo, ChatKind, Event, Kind, News, Refusal, Reply,
    SpaceView,
};
use crate::domain::{Context, Fault, chat, retention};
use crate::limits::{
    ANSWER_BYTES_MAX, CHAT_ABOUT_BYTES_MAX, CHAT_NAME_BYTES_MAX, SPACE_CHATS_MAX, SPACES_PARTS_MAX,
};
use crate::store::{Look, StoreError, Tx};

/// A group at an address, with what somebody may do in it.
#[derive(Debug)]
pub(in crate::domain) struct Group {
    pub(in crate::domain) chat: Chat,
    pub(in crate::domain) part: Option<Member>,
}

impl Group {
    /// A group or a channel at an address, whoever is in it.
    pub(in crate::domain) fn at(
        look: &impl Look,
        me: AccountNo,
        address: &Address,
    ) -> Result<Group, Fault> {
        match chat::find(look, address)? {
            Some(chat::Found::Group(chat)) => {
                let part = look.part(me, chat.id)?;
                Ok(Group { chat: *chat, part })
            }
            Some(chat::Found::Account(_)) | None => Err(Refusal::NoSuchChat.into()),
        }
    }

    /// One that somebody is in. To everybody else it is not there.
    pub(in crate::domain) fn of_member(
        look: &impl Look,
        me: AccountNo,
        address: &Address,
    ) -> Result<Group, Fault> {
        let group = Group::at(look, me, address)?;
        if group.mode().is_member() { Ok(group) } else { Err(Refusal::NoSuchChat.into()) }
    }

    pub(in crate::domain) fn mode(&self) -> Access {
        self.part.unwrap_or_default().mode()
    }

    pub(in crate::domain) fn needs(&self, letter: Access) -> Result<(), Refusal> {
        if self.mode().has(letter) { Ok(()) } else { Err(Refusal::NotAllowed) }
    }

    /// As one that `me` writes to.
    pub(in crate::domain) fn room(
        &self,
        tx: &mut Tx<'_>,
        me: AccountNo,
    ) -> Result<Room, StoreError> {
        let (side, part) = (Side::Group { name: self.chat.called() }, tx.member(me, self.chat.id)?);
        Ok(Room { chat: self.chat.id, writer: name(tx, me)?, side, part })
    }
}

/// A new group or channel, or a space with its general chat. Its maker owns it.
pub(in crate::domain) fn create(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    draft: ChatDraft,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check_texts(Some(&draft.name), Some(&draft.about))?;
    check_card(&draft.card)?;
    retention::check(draft.retention)?;
    let usual = if draft.is_channel { Access::CHANNEL } else { Access::GROUP };
    let default_access = newcomers(draft.default_access.unwrap_or(usual))?;
    check_counts(tx, context, me.account, draft.is_space)?;
    let space = match &draft.space {
        Some(_) if draft.is_space => return Err(Refusal::BadField.into()),
        Some(address) => Some(space_for(tx, me.account, address)?),
        None => None,
    };
    let address = free_address(tx, context, draft.login, &draft.name)?;
    let id = tx.next_chat()?;
    let [a, b, c, d, e, f, g, h, ..] = context.chance;
    let row = Chat {
        id,
        kind: if draft.is_channel { ChatKind::Channel } else { ChatKind::Group },
        address,
        name: draft.name,
        about: draft.about,
        default_access,
        open: draft.open.unwrap_or(space.as_ref().is_some_and(|space| space.open)),
        space: space.map(|space| space.id).or(draft.is_space.then_some(id)),
        removed: false,
        created: context.now,
        changed: context.now,
        public_id: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        retention: draft.retention,
    };
    tx.put_chat(&row)?;
    tx.put_card(EVERYBODY, id, &draft.card)?;
    if let Some(space) = row.space {
        tx.put_in_space(space, id)?;
    }
    let owner = Member { want: Access::OWNER, given: Access::OWNER, ..Member::default() };
    tx.put_member(me.account, id, &owner)?;
    let group = Group { chat: row, part: Some(owner) };
    let room = group.room(tx, me.account)?;
    let entry = Entry::telling(Kind::Created, &group.chat.name, Extra::default());
    post(tx, context, me, &room, entry, news)?;
    let shown = Box::new(info(tx, &group)?);
    news.push(News::to_one(me.account, Some(me.key), Event::ChatChanged(shown.clone())));
    Ok(Reply::Chat(shown))
}

/// The owner's to do. A name that changes is a record of the chain; the rest only shows.
pub(in crate::domain) fn change(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    address: &Address,
    change: ChatChange,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check_texts(change.name.as_deref(), change.about.as_deref())?;
    check_card(change.card.as_deref().unwrap_or(""))?;
    retention::check(change.retention.unwrap_or_default())?;
    let default_access = change.default_access.map(newcomers).transpose()?;
    let mut group = Group::of_member(tx, me.account, address)?;
    group.needs(Access::OWN)?;
    let old = group.chat.clone();
    let new = Chat {
        name: change.name.unwrap_or(old.name.clone()),
        about: change.about.unwrap_or(old.about.clone()),
        open: change.open.unwrap_or(old.open),
        default_access: default_access.unwrap_or(old.default_access),
        retention: change.retention.unwrap_or(old.retention),
        ..old.clone()
    };
    let card = match change.card {
        Some(card) if tx.card(EVERYBODY, old.id)?.as_deref().unwrap_or("") != &*card => Some(card),
        Some(_) | None => None,
    };
    if new == old && card.is_none() {
        return Ok(Reply::Done);
    }
    if let Some(card) = card {
        tx.put_card(EVERYBODY, old.id, &card)?;
    }
    let new = Chat { changed: context.now, ..new };
    tx.put_chat(&new)?;
    let renamed = new.name != old.name;
    group.chat = new;
    if renamed {
        let room = group.room(tx, me.account)?;
        let entry = Entry::telling(Kind::Renamed, &group.chat.name, Extra::default());
        post(tx, context, me, &room, entry, news)?;
    }
    let to = Audience::Many { all: tx.roster(group.chat.id)?.readers().clone(), but: None };
    let changed_by = Some(name(tx, me.account)?);
    let shown = ChatInfo { changed_by, ..info(tx, &Group { part: None, ..group })? };
    news.push(News::new(to, Some(me.key), Event::ChatChanged(Box::new(shown))));
    Ok(Reply::Done)
}

/// The owner's to do. With a space's general chat goes every chat of the space.
pub(in crate::domain) fn remove(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: &Address,
    is_space: bool,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let group = match Group::of_member(tx, me.account, address) {
        Ok(group) if is_space && !group.chat.is_space() => return Err(Refusal::NoSuchSpace.into()),
        Err(fault) if is_space => return Err(no_such_space(fault)),
        other => other?,
    };
    group.needs(Access::OWN)?;
    let chats = match group.chat.is_space() {
        true => tx.chats_in(group.chat.id)?,
        false => vec![group.chat.id],
    };
    for id in chats {
        if let Some(chat) = tx.chat(id)?.filter(|chat| !chat.removed) {
            take_down(tx, chat, me, news)?;
        }
    }
    Ok(Reply::Done)
}

/// Leaves the address, so that nobody else gets it, and nothing more.
pub(in crate::domain) fn take_down(
    tx: &mut Tx<'_>,
    chat: Chat,
    me: &Caller,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let id = chat.id;
    let roster = tx.roster(id)?;
    let readers = roster.members().map(|(who, _)| *who).collect();
    let parts: Vec<AccountNo> = roster.parts().iter().map(|(who, _)| *who).collect();
    let event = Event::ChatGone { chat: chat.called() };
    let to = Audience::Many { all: readers, but: None };
    news.push(News::new(to, Some(me.key), event));
    for who in parts {
        tx.remove_member(who, id)?;
        tx.put_card(who, id, "")?;
    }
    tx.put_card(EVERYBODY, id, "")?;
    if let Some(space) = chat.space {
        tx.remove_from_space(space, id)?;
    }
    tx.put_floor(id, Mark { id: MessageId::END, seq: Seq(u32::MAX) })?;
    tx.put_chat(&Chat { removed: true, name: "".into(), about: "".into(), ..chat })
}

/// How many there are, and whose it is.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    /// Whoever has a part, the invited and the banned among them: so much was read.
    parts: usize,
    members: u32,
    owner: Option<AccountNo>,
}

impl Crowd {
    fn count(&mut self, who: AccountNo, mode: Access) {
        self.parts += 1;
        self.members += u32::from(mode.is_member());
        if mode.has(Access::OWN) {
            self.owner = Some(who);
        }
    }

    fn of(look: &impl Look, chat: ChatId) -> Result<Crowd, StoreError> {
        let mut crowd = Crowd::default();
        for who in look.members_of(chat)? {
            crowd.count(who, look.part(who, chat)?.unwrap_or_default().mode());
        }
        Ok(crowd)
    }
}

/// A group's own facts as whoever has this part in it sees them; the engine knows the crowd.
pub(in crate::domain) fn info(tx: &mut Tx<'_>, group: &Group) -> Result<ChatInfo, StoreError> {
    let mut crowd = Crowd::default();
    for (who, part) in tx.roster(group.chat.id)?.parts() {
        crowd.count(*who, part.mode());
    }
    facts(tx, group, crowd)
}

fn facts(look: &impl Look, group: &Group, crowd: Crowd) -> Result<ChatInfo, StoreError> {
    let chat = &group.chat;
    let space = match chat.space {
        Some(space) => {
            let there = look.chat(space)?.filter(|space| !space.removed);
            there.map(|space| space.called())
        }
        None => None,
    };
    Ok(ChatInfo {
        chat: chat.called(),
        kind: chat.kind,
        name: chat.name.clone(),
        about: chat.about.clone(),
        space,
        open: chat.open,
        default_access: chat.default_access,
        part: group.part.map(|part| (part.want, part.given)),
        members: crowd.members,
        owner: crowd.owner.map(|owner| name(look, owner)).transpose()?,
        created: chat.created,
        public_id: chat.public_id,
        online: None,
        last_seen: None,
        retention: chat.retention,
        changed_by: None,
    })
}

/// A chat's own facts: of one that the reader is in or is invited to, of an open one, of a direct
/// chat with anybody here.
pub(in crate::domain) fn look_up(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    address: &Address,
) -> Result<Reply, Fault> {
    let group = match chat::find(look, address)? {
        Some(chat::Found::Account(other)) => {
            return Ok(Reply::Chat(Box::new(direct(look, scene, me, other)?)));
        }
        Some(chat::Found::Group(chat)) => {
            let part = look.part(me, chat.id)?;
            Group { chat: *chat, part }
        }
        None => return Err(Refusal::NoSuchChat.into()),
    };
    if !may_know(&group) {
        return Err(Refusal::NoSuchChat.into());
    }
    Ok(Reply::Chat(Box::new(facts(look, &group, Crowd::of(look, group.chat.id)?)?)))
}

/// Whether a chat is there at all for whoever has this part in it: one that they are in or invited
/// to, or an open one.
pub(in crate::domain) fn may_know(group: &Group) -> bool {
    let given = group.part.unwrap_or_default().given;
    !given.is_banned() && (group.chat.open || given != Access::NONE)
}

fn direct(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    other: AccountNo,
) -> Result<ChatInfo, Fault> {
    let part = look.part(me, ChatId::direct(me, other))?.ok_or(Refusal::NoSuchChat)?;
    let seen = presence::of(look, scene, me, other)?;
    let profile = look.profile(other)?.unwrap_or_default();
    Ok(ChatInfo {
        chat: name(look, other)?,
        kind: ChatKind::Direct,
        name: profile.name,
        about: "".into(),
        space: None,
        open: false,
        default_access: Access::DIRECT,
        part: Some((part.want, part.given)),
        members: if me == other { 1 } else { 2 },
        owner: None,
        created: Timestamp::default(),
        public_id: 0,
        online: seen.map(|seen| seen.online),
        last_seen: seen.and_then(|seen| seen.at),
        retention: 0,
        changed_by: None,
    })
}

/// The spaces that somebody is in, with those of their chats that they are in or may join; or one
/// of them. Ends with the space that passes what one answer may hold, or may read.
pub(in crate::domain) fn spaces(
    look: &impl Look,
    me: AccountNo,
    wanted: Option<&Address>,
) -> Result<Reply, Fault> {
    let mut generals = Vec::new();
    match wanted {
        Some(address) => {
            let group = Group::at(look, me, address).map_err(no_such_space)?;
            if !group.chat.is_space() || !may_know(&group) {
                return Err(Refusal::NoSuchSpace.into());
            }
            generals.push(group.chat.id);
        }
        None => {
            for (chat, part) in look.chats_of(me)? {
                let is_in = chat.is_group() && part.mode().is_member();
                if is_in && look.chat(chat)?.is_some_and(|chat| chat.is_space()) {
                    generals.push(chat);
                }
            }
        }
    }
    let mut spaces = Vec::new();
    let (mut bytes, mut parts) = (0, 0);
    for general in generals {
        if bytes >= ANSWER_BYTES_MAX || parts >= SPACES_PARTS_MAX {
            return Ok(Reply::Spaces { spaces, more: true });
        }
        let mut chats = Vec::new();
        for id in look.chats_in(general)? {
            let Some(chat) = look.chat(id)? else { continue };
            let group = Group { part: look.part(me, id)?, chat };
            if may_know(&group) {
                let crowd = Crowd::of(look, id)?;
                let info = facts(look, &group, crowd)?;
                parts += crowd.parts;
                bytes += weight(&info);
                chats.push(info);
            }
        }
        spaces.push(SpaceView { chats });
    }
    Ok(Reply::Spaces { spaces, more: false })
}

/// What a chat's facts take in an answer, at most.
fn weight(info: &ChatInfo) -> usize {
    /// Field names, letters, a number and punctuation, and the addresses of a space and an owner.
    const FIXED: usize = 512;
    FIXED + 2 * info.chat.len() + json_length(&info.name) + json_length(&info.about)
}

fn no_such_space(fault: Fault) -> Fault {
    match fault {
        Fault::Refused(_) => Refusal::NoSuchSpace.into(),
        fault @ Fault::Store(_) => fault,
    }
}

fn check_texts(name: Option<&str>, about: Option<&str>) -> Result<(), Refusal> {
    if name.is_some_and(|name| name.trim().is_empty()) {
        return Err(Refusal::BadField);
    }
    let fits = name.is_none_or(|name| name.len() <= CHAT_NAME_BYTES_MAX)
        && about.is_none_or(|about| about.len() <= CHAT_ABOUT_BYTES_MAX);
    if fits { Ok(()) } else { Err(Refusal::FieldTooLong) }
}

/// What newcomers may be given: no ownership, and no ban.
fn newcomers(access: Access) -> Result<Access, Refusal> {
    let bad = access.has_any(Access::OWN.with(Access::BANNED)) || access == Access::NONE;
    if bad { Err(Refusal::BadAccess) } else { Ok(access) }
}

fn check_counts(
    tx: &Tx<'_>,
    context: &Context<'_>,
    me: AccountNo,
    is_space: bool,
) -> Result<(), Fault> {
    has_room_for_one_more(tx, context, me)?;
    if !is_space {
        return Ok(());
    }
    let mut owned = 0;
    for (chat, part) in tx.chats_of(me)? {
        let owns = chat.is_group() && part.mode().has(Access::OWN);
        owned += usize::from(owns && tx.chat(chat)?.is_some_and(|chat| chat.is_space()));
    }
    if owned < context.limits.spaces_per_account {
        Ok(())
    } else {
        Err(Refusal::TooManyChats.into())
    }
}

/// Whether an account may be in one more group.
pub(in crate::domain) fn has_room_for_one_more(
    look: &impl Look,
    context: &Context<'_>,
    who: AccountNo,
) -> Result<(), Fault> {
    let chats = look.chats_of(who)?;
    // What others have given them does not count, bans and invitations: anybody can do that, and
    // they could not undo all of it.
    let counts = |(chat, part): &&(ChatId, Member)| chat.is_group() && part.mode().is_member();
    let groups = chats.iter().filter(counts).count();
    if groups < context.limits.chats_per_account {
        Ok(())
    } else {
        Err(Refusal::TooManyChats.into())
    }
}

/// The space that somebody makes a chat in: one whose general chat they may write to.
fn space_for(tx: &Tx<'_>, me: AccountNo, address: &Address) -> Result<Chat, Fault> {
    let group = Group::of_member(tx, me, address).map_err(no_such_space)?;
    if !group.chat.is_space() {
        return Err(Refusal::NoSuchSpace.into());
    }
    group.needs(Access::WRITE)?;
    if tx.chats_in(group.chat.id)?.len() >= SPACE_CHATS_MAX {
        return Err(Refusal::TooManyChats.into());
    }
    Ok(group.chat)
}

/// Accounts and groups share one name space (mSIM 2, decision 39). Where nobody asks for a login, a
/// name that can be one is, and a random one is found for the rest.
fn free_address(
    tx: &Tx<'_>,
    context: &Context<'_>,
    login: Option<Login>,
    name: &str,
) -> Result<Address, Fault> {
    let is_free = |address: &Address| -> Result<bool, StoreError> {
        Ok(tx.account_by_address(address)?.is_none() && tx.chat_by_address(address)?.is_none())
    };
    if let Some(login) = login {
        let address = Address::local(login, context.home);
        return match is_free(&address)? {
            true => Ok(address),
            false => Err(Refusal::AlreadyThere.into()),
        };
    }
    if let Ok(login) = Login::parse(name) {
        let address = Address::local(login, context.home);
        if is_free(&address)? {
            return Ok(address);
        }
    }
    let random = format!("room-{}", spelled(&context.chance[8..20]));
    let login = Login::parse(&random).map_err(|_| Refusal::BadLogin)?;
    let address = Address::local(login, context.home);
    if is_free(&address)? { Ok(address) } else { Err(Refusal::Unavailable.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, address, group_draft, login, refused};
    use crate::domain::words::{Command, Order, Query};

    fn draft(name: &str, is_space: bool, space: Option<&str>) -> Command {
        Command::CreateChat(ChatDraft {
            is_space,
            login: Some(login(name)),
            space: space.map(address),
            open: Some(true),
            ..group_draft(name)
        })
    }

    #[test]
    fn what_others_do_uses_up_none_of_somebodys_room() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.limits.chats_per_account = 1;
        world.group_of("garden", &[alice]);
        world.group_of("field", &[carol]);
        let who = address("bob");
        let kick = Command::Kick { chat: address("garden"), who: who.clone(), ban: true };
        assert!(world.ask(alice, kick).reply.is_ok());
        // Even declined it stays: coming back would be more than this.
        let access = Access::parse("R");
        let invite = Command::Invite { chat: address("field"), who, access, note: "".into() };
        assert!(world.ask(carol, invite).reply.is_ok());
        assert!(world.ask(bob, Command::Leave { chat: address("field") }).reply.is_ok());
        assert!(world.ask(bob, draft("shed", false, None)).reply.is_ok());
        assert_eq!(refused(&world.ask(bob, draft("pond", false, None))), Refusal::TooManyChats);
        let join = Command::Join { chat: address("field") };
        assert_eq!(refused(&world.ask(bob, join)), Refusal::TooManyChats);
    }

    #[test]
    fn a_chat_that_people_are_in_outlives_its_space() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        assert!(world.ask(alice, draft("home", true, None)).reply.is_ok());
        assert!(world.ask(alice, draft("shed", false, Some("home"))).reply.is_ok());
        assert!(world.ask(alice, draft("attic", false, Some("home"))).reply.is_ok());
        assert!(world.ask(bob, Command::Join { chat: address("shed") }).reply.is_ok());
        world.order(Order::RemoveUser { login: login("alice") });
        let look = |world: &World, name| world.read(bob, &Query::Chat { chat: address(name) });
        let Ok(Reply::Chat(shed)) = look(&world, "shed") else { panic!() };
        assert_eq!((shed.owner, shed.space), (Some("bob@im.test".into()), None));
        for gone in ["home", "attic"] {
            assert_eq!(look(&world, gone).unwrap_err(), Refusal::NoSuchChat);
        }
    }

    #[test]
    fn spaces_end_with_the_one_that_fills_an_answer() {
        let (mut world, [alice]) = World::of(["alice"]);
        for name in ["one", "two"] {
            assert!(world.ask(alice, draft(name, true, None)).reply.is_ok());
        }
        let named = |world: &World, space: Option<&str>| match world
            .read(alice, &Query::Spaces { space: space.map(address) })
        {
            Ok(Reply::Spaces { spaces, more }) => {
                (spaces.iter().map(|s| s.chats[0].name.to_string()).collect::<Vec<_>>(), more)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(named(&world, None), (vec!["one".into(), "two".into()], false));
        // As many chats as go into a space, of as many letters that grow as go into a chat.
        for n in 1..SPACE_CHATS_MAX {
            let Command::CreateChat(plain) = draft(&format!("c{n:060}"), false, Some("one")) else {
                panic!()
            };
            let name = "\u{1}".repeat(CHAT_NAME_BYTES_MAX).into();
            let about = "\u{1}".repeat(CHAT_ABOUT_BYTES_MAX).into();
            let command = Command::CreateChat(ChatDraft { name, about, ..plain });
            assert!(world.ask(alice, command).reply.is_ok());
        }
        assert_eq!(named(&world, None), (vec!["one".into()], true));
        assert_eq!(named(&world, Some("two")), (vec!["two".into()], false));
    }
}
