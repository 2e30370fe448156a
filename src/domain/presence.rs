//! Who is here, when somebody was last, and who is typing. None of it is a record: who is here is
//! known to the engine alone, and when somebody was last seen is written with other things.
//!
//! Our reading of who may see it: those whom a person has in their own contacts, and those in a
//! direct chat with them in which both have P; nobody across a block, whichever side has it.

use std::fmt;
use std::sync::Arc;

use crate::domain::eyes::name;
use crate::domain::id::{AccountNo, Address, ChatId, Timestamp};
use crate::domain::nouns::{Access, Account, AccountState, ContactState, Member};
use crate::domain::session::Caller;
use crate::domain::subscribe::default_of;
use crate::domain::words::{Audience, Event, Move, News, Refusal, Reply};
use crate::domain::{Fault, account, chat, contact, people};
use crate::limits::READERS_TOLD_MAX;
use crate::store::{Look, StoreError, Tx};

/// Contacts looked at together.
const SLICE: usize = 128;

/// Who is here just now. Like the time it comes from outside.
pub trait Presence: fmt::Debug {
    fn is_here(&self, who: AccountNo) -> bool;

    /// The name of the client that somebody is here with; empty where it has none.
    fn agent(&self, _who: AccountNo) -> Box<str> {
        "".into()
    }

    /// Those who follow everybody here.
    fn followers(&self) -> Vec<AccountNo> {
        Vec::new()
    }

    /// Those who sit at a table.
    fn at_table(&self, _table: &str) -> Vec<AccountNo> {
        Vec::new()
    }

    /// Those who have a group open.
    fn watchers(&self, _chat: ChatId) -> Vec<AccountNo> {
        Vec::new()
    }

    /// Whether somebody has a group open, or had until a moment ago.
    fn is_awake(&self, _chat: ChatId) -> bool {
        false
    }
}

/// What a rule that only reads may know beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub now: Timestamp,
    /// The host part of this server's addresses, lower case.
    pub home: &'a str,
    pub here: &'a dyn Presence,
}

/// What one person sees of another's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Seen {
    pub(in crate::domain) online: bool,
    /// When they were last seen; a time that lies ahead (the clock was set back) shows as now.
    pub(in crate::domain) at: Option<Timestamp>,
}

/// `None`: it is not shared.
pub(in crate::domain) fn of(
    look: &impl Look,
    scene: &Scene<'_>,
    viewer: AccountNo,
    who: AccountNo,
) -> Result<Option<Seen>, StoreError> {
    if !is_shared(look, viewer, who)? {
        return Ok(None);
    }
    let at = look.last_seen(who)?.map(|at| at.min(scene.now));
    Ok(Some(Seen { online: scene.here.is_here(who), at }))
}

/// Whether `viewer` may see `who`.
fn is_shared(look: &impl Look, viewer: AccountNo, who: AccountNo) -> Result<bool, StoreError> {
    if viewer == who {
        return Ok(true);
    }
    let (mine, theirs) = (account::row(look, viewer)?.address, account::row(look, who)?.address);
    let back = look.contact(who, &mine)?.map(|contact| contact.state);
    let is_kept = match back {
        Some(ContactState::Plain | ContactState::Requested) => true,
        Some(ContactState::Blocked) => return Ok(false),
        Some(ContactState::Pending) | None => {
            shows(look, viewer, who)? && shows(look, who, viewer)?
        }
    };
    Ok(is_kept && !contact::is_blocked(look, viewer, &theirs)?)
}

/// Whether somebody has P in their direct chat with another: hears of them there, and shows.
fn shows(look: &impl Look, who: AccountNo, other: AccountNo) -> Result<bool, StoreError> {
    let part = look.part(who, ChatId::direct(who, other))?;
    Ok(part.is_some_and(|part| part.mode().has(Access::PRESENCE)))
}

/// Nobody is: for work on a database that no server has open.
#[derive(Debug)]
pub struct NobodyHere;

impl Presence for NobodyHere {
    fn is_here(&self, _who: AccountNo) -> bool {
        false
    }
}

/// Tells those who may see it that somebody came or went.
pub fn announce(
    look: &impl Look,
    scene: &Scene<'_>,
    who: AccountNo,
    online: bool,
) -> Result<Vec<News>, StoreError> {
    // Who is put out or removed still goes, for those who saw them here.
    let may = |row: &Account| !online || row.state == AccountState::Active;
    let Some(row) = look.account(who)?.filter(may) else { return Ok(Vec::new()) };
    let at = look.last_seen(who)?.unwrap_or(scene.now).min(scene.now);
    let agent = match online {
        true => scene.here.agent(who),
        false => look.agent(who)?,
    };
    let event = Event::Presence { who: row.called(), online, at, agent };
    let all = viewers(look, scene.home, who, &row.address)?;
    let mut news = vec![News::new(Audience::Many { all, but: None }, None, event)];
    let by = if online { Move::Came } else { Move::Went };
    people::tell(look, scene.here, who, by, &mut news)?;
    Ok(news)
}

/// Tells the same people that somebody who is here goes on with another client.
pub fn tell_agent(
    look: &impl Look,
    home: &str,
    who: AccountNo,
    agent: Box<str>,
) -> Result<Vec<News>, StoreError> {
    let row = account::row(look, who)?;
    let event = Event::AgentChanged { who: row.called(), agent };
    let all = viewers(look, home, who, &row.address)?;
    Ok(vec![News::new(Audience::Many { all, but: None }, None, event)])
}

/// Tells those who have a group open, as far as they have P there, that somebody has it open too,
/// or not any more. Whoever comes hears it as well: that is how they know that they count.
///
/// Not across a block. Where more than `READERS_TOLD_MAX` have it open nobody else is told.
pub fn tell_watching(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    chat: ChatId,
    who: AccountNo,
    on: bool,
) -> Result<Vec<News>, StoreError> {
    let Some(row) = tx.chat(chat)?.filter(|chat| !chat.removed) else { return Ok(Vec::new()) };
    let mut watchers = scene.here.watchers(chat);
    if watchers.len() > READERS_TOLD_MAX {
        watchers.retain(|watcher| *watcher == who);
    }
    let roster = tx.roster(chat)?;
    let hears = |who| roster.part(who).is_some_and(|part| part.mode().has(Access::PRESENCE));
    watchers.retain(|watcher| hears(*watcher));
    let mine = account::row(tx, who)?;
    let mut told = Vec::with_capacity(watchers.len());
    for watcher in watchers {
        if watcher == who || !are_apart(tx, (who, &mine.address), watcher)? {
            told.push(watcher);
        }
    }
    let event = Event::Watching { chat: row.called(), who: mine.called(), on };
    Ok(vec![News::new(Audience::Many { all: told.into(), but: None }, None, event)])
}

/// Tells the members of a group who have P there that the first of them has it open, or that
/// nobody has any more.
pub fn tell_awake(tx: &mut Tx<'_>, chat: ChatId, on: bool) -> Result<Vec<News>, StoreError> {
    let Some(row) = tx.chat(chat)?.filter(|chat| !chat.removed) else { return Ok(Vec::new()) };
    let hears = |(_, part): &&(AccountNo, Member)| part.mode().has(Access::PRESENCE);
    let all = tx.roster(chat)?.members().filter(hears).map(|(who, _)| *who).collect();
    let event = Event::Awake { chat: row.called(), on };
    Ok(vec![News::new(Audience::Many { all, but: None }, None, event)])
}

fn viewers(
    look: &impl Look,
    home: &str,
    who: AccountNo,
    address: &Address,
) -> Result<Arc<[AccountNo]>, StoreError> {
    let mut viewers = Vec::new();
    let mut after = None;
    loop {
        let contacts = look.contacts(who, after.as_ref(), SLICE)?;
        let is_last = contacts.len() < SLICE;
        for contact in contacts {
            let shares = matches!(contact.state, ContactState::Plain | ContactState::Requested);
            if shares
                && contact.who.is_local(home)
                && let Some(viewer) = look.account_by_address(&contact.who)?
            {
                viewers.push(viewer);
            }
            after = Some(contact.who);
        }
        if is_last {
            break;
        }
    }
    for (chat, part) in look.chats_of(who)? {
        let Some(other) = chat.other(who) else { continue };
        if part.mode().has(Access::PRESENCE) && shows(look, other, who)? {
            let theirs = account::row(look, other)?.address;
            if !contact::is_blocked(look, who, &theirs)? {
                viewers.push(other);
            }
        }
    }
    viewers.sort_unstable();
    viewers.dedup();
    viewers.retain(|viewer| *viewer != who);
    let mut seeing = Vec::with_capacity(viewers.len());
    for viewer in viewers {
        if !contact::is_blocked(look, viewer, address)? {
            seeing.push(viewer);
        }
    }
    Ok(seeing.into())
}

/// Tells them that somebody has stopped, whoever noticed it, also of who may not write any more.
pub fn stop_typing(
    tx: &mut Tx<'_>,
    who: AccountNo,
    chat: &Address,
) -> Result<Vec<News>, StoreError> {
    let mut news = Vec::new();
    if let Some(found) = chat::find(tx, chat)? {
        tell_typing(tx, who, &found, false, &mut news)?;
    }
    Ok(news)
}

/// Whether somebody may have a chat open, and which one it is.
pub(in crate::domain) fn watch(
    look: &impl Look,
    me: &Caller,
    address: &Address,
) -> Result<Reply, Fault> {
    let (id, name) = match chat::find(look, address)?.ok_or(Refusal::NoSuchChat)? {
        chat::Found::Account(other) => {
            (ChatId::direct(me.account, other), chat::name(look, other)?)
        }
        chat::Found::Group(chat) => (chat.id, chat.called()),
    };
    match look.part(me.account, id)? {
        Some(part) if part.mode().is_member() => Ok(Reply::Name(name)),
        Some(_) | None => Err(Refusal::NoSuchChat.into()),
    }
}

/// Tells the others in a chat that somebody is typing, or has stopped. Nothing is stored.
pub(in crate::domain) fn typing(
    tx: &mut Tx<'_>,
    me: &Caller,
    address: &Address,
    on: bool,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    let found = chat::find(tx, address)?.ok_or(Refusal::NoSuchChat)?;
    let part = match &found {
        chat::Found::Account(other) => tx.part(me.account, ChatId::direct(me.account, *other))?,
        chat::Found::Group(chat) => {
            let part = tx.part(me.account, chat.id)?.filter(|part| part.mode().is_member());
            Some(part.ok_or(Refusal::NoSuchChat)?)
        }
    };
    if part.is_some_and(|part| !part.mode().has(Access::WRITE)) {
        return Err(Refusal::NotAllowed.into());
    }
    tell_typing(tx, me.account, &found, on, news)?;
    Ok(Reply::Done)
}

/// Not across a block. In groups of more than `READERS_TOLD_MAX` nobody is told: there somebody
/// always types.
fn tell_typing(
    tx: &mut Tx<'_>,
    who: AccountNo,
    found: &chat::Found,
    on: bool,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let from = name(tx, who)?;
    let mine = account::row(tx, who)?.address;
    match found {
        chat::Found::Account(other) if *other == who => {}
        chat::Found::Account(other) => {
            let theirs = match tx.part(*other, ChatId::direct(who, *other))? {
                Some(part) => part.mode(),
                None => default_of(tx, *other)?,
            };
            if theirs.has(Access::READ) && !are_apart(tx, (who, &mine), *other)? {
                let event = Event::Typing { chat: from.clone(), from, on };
                news.push(News::to_one(*other, None, event));
            }
        }
        chat::Found::Group(chat) => {
            let readers = tx.roster(chat.id)?.readers().clone();
            if readers.len() > READERS_TOLD_MAX {
                return Ok(());
            }
            let mut told = Vec::with_capacity(readers.len());
            for reader in readers.iter().filter(|reader| **reader != who) {
                if !are_apart(tx, (who, &mine), *reader)? {
                    told.push(*reader);
                }
            }
            let chat = chat.called();
            let event = Event::Typing { chat, from, on };
            let to = Audience::Many { all: told.into(), but: None };
            news.push(News::new(to, None, event));
        }
    }
    Ok(())
}

/// Whether a block stands between two people, whichever side has it.
pub(in crate::domain) fn are_apart(
    look: &impl Look,
    (who, mine): (AccountNo, &Address),
    other: AccountNo,
) -> Result<bool, StoreError> {
    let theirs = account::row(look, other)?.address;
    Ok(contact::is_blocked(look, other, mine)? || contact::is_blocked(look, who, &theirs)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{HOME, Me, World, address, contact, heard_by, refused};
    use crate::domain::words::{Command, Query};

    fn viewers_of(world: &World, me: Me) -> Vec<AccountNo> {
        let scene = Scene { now: world.now, home: HOME, here: &world.here };
        let reader = world.store.reader();
        let news = reader.read(|look| announce(look, &scene, me.account, true)).unwrap();
        news.iter().flat_map(|news| news.to.accounts().collect::<Vec<_>>()).collect()
    }

    fn sees(world: &World, viewer: Me, who: &str) -> Option<bool> {
        let who = Some(crate::domain::testing::address(who));
        match world.read(viewer, &Query::Profile { who }) {
            Ok(Reply::Profile(profile)) => profile.online,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn presence_is_for_contacts_and_those_one_talks_to() {
        let (mut world, [alice, bob, carol, dave]) = World::of(["alice", "bob", "carol", "dave"]);
        assert!(viewers_of(&world, alice).is_empty());
        world.ask(alice, Command::AddContact(contact("bob")));
        // It is her list that counts, not theirs.
        world.ask(dave, Command::AddContact(contact("alice")));
        world.sent(carol, "alice", "hello");
        world.sent(alice, "alice", "a note");
        assert_eq!(viewers_of(&world, alice), [bob.account, carol.account]);
        world.here.0.insert(alice.account);
        assert_eq!(sees(&world, bob, "alice"), Some(true));
        assert_eq!(sees(&world, carol, "alice"), Some(true));
        assert_eq!(sees(&world, dave, "alice"), None);
        assert_eq!(sees(&world, alice, "bob"), None, "he has not added her");
        // Nothing crosses a block, whichever side has it.
        let block = |who| Command::Block { who: crate::domain::testing::address(who), on: true };
        world.ask(alice, block("bob"));
        world.ask(carol, block("alice"));
        assert!(viewers_of(&world, alice).is_empty());
        for viewer in [bob, carol] {
            assert_eq!(sees(&world, viewer, "alice"), None);
        }
    }

    #[test]
    fn typing_is_told_to_the_other_side_unless_a_block_lies_between() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let chat = || crate::domain::testing::address("bob");
        let type_on =
            |world: &mut World| world.ask(alice, Command::Typing { chat: chat(), on: true });
        let outcome = type_on(&mut world);
        let name: crate::domain::name::Name = "alice@im.test".into();
        let event = Event::Typing { chat: name.clone(), from: name, on: true };
        assert!(outcome.news.len() == 1 && *outcome.news[0].event == event);
        let block = |who| Command::Block { who: crate::domain::testing::address(who), on: true };
        world.ask(bob, block("alice"));
        let outcome = type_on(&mut world);
        assert!(outcome.reply.is_ok() && outcome.news.is_empty());
        let nobody = crate::domain::testing::address("nobody");
        let outcome = world.ask(alice, Command::Typing { chat: nobody, on: true });
        assert_eq!(refused(&outcome), Refusal::NoSuchChat);
    }

    #[test]
    fn who_was_shown_out_while_typing_is_seen_to_stop() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.group_of("garden", &[alice, bob, carol]);
        let chat = address("garden");
        let outcome = world.ask(bob, Command::Typing { chat: chat.clone(), on: true });
        assert_eq!(heard_by(&outcome, carol.account, None).len(), 1);
        let kick = Command::Kick { chat: chat.clone(), who: address("bob"), ban: true };
        assert!(world.ask(alice, kick).reply.is_ok());
        let off = Command::Typing { chat: chat.clone(), on: false };
        assert_eq!(refused(&world.ask(bob, off)), Refusal::NoSuchChat);
        let news = world.store.write(|tx| stop_typing(tx, bob.account, &chat)).unwrap();
        let heard: Vec<AccountNo> = news[0].to.accounts().collect();
        assert_eq!(heard, [alice.account, carol.account]);
    }

    #[test]
    fn in_a_group_neither_side_of_a_block_sees_the_other_type() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.group_of("garden", &[alice, bob, carol]);
        let who = address("bob");
        world.ask(alice, Command::Block { who, on: true });
        for (me, told) in [(alice, vec![carol]), (bob, vec![carol]), (carol, vec![alice, bob])] {
            let chat = address("garden");
            let outcome = world.ask(me, Command::Typing { chat, on: true });
            let heard: Vec<_> = outcome.news[0].to.accounts().collect();
            assert_eq!(heard, told.iter().map(|me| me.account).collect::<Vec<_>>());
        }
    }
}
