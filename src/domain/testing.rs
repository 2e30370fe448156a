//! A small world for the tests of the rules: a database in memory, a clock that stands until it is
//! told otherwise, chance that counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId, SessionKey, Timestamp};
use crate::domain::nouns::Access;
use crate::domain::words::{
    Actor, Bulletin, ChatDraft, ChatView, Command, ContactDraft, Draft, MemberView, MessageView,
    News, Order, Outcome, Proof, Query, Range, Refusal, Reply, SessionKind, Take, Verifier, Whom,
};
use crate::domain::{Context, Presence, Registration, Scene, apply, read};
use crate::limits::Limits;
use crate::store::{Look, Options, Place, Store, StoreError, Tx};

pub(in crate::domain) const HOME: &str = "im.test";

/// Those who are here because a test says so, and those who follow everybody and sit at every table.
#[derive(Debug, Default)]
pub(in crate::domain) struct SomeHere(
    pub(in crate::domain) BTreeSet<AccountNo>,
    pub(in crate::domain) BTreeSet<AccountNo>,
);

impl Presence for SomeHere {
    fn is_here(&self, who: AccountNo) -> bool {
        self.0.contains(&who)
    }

    fn followers(&self) -> Vec<AccountNo> {
        self.1.iter().copied().collect()
    }

    fn at_table(&self, _table: &str) -> Vec<AccountNo> {
        self.followers()
    }
}

/// A logged-in session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain) struct Me {
    pub(in crate::domain) account: AccountNo,
    pub(in crate::domain) key: SessionKey,
}

#[derive(Debug)]
pub(in crate::domain) struct World {
    pub(in crate::domain) store: Store,
    pub(in crate::domain) now: Timestamp,
    pub(in crate::domain) limits: Limits,
    pub(in crate::domain) registration: Registration,
    pub(in crate::domain) federated: bool,
    pub(in crate::domain) here: SomeHere,
    chance: u64,
}

impl World {
    pub(in crate::domain) fn new() -> World {
        let options = Options { cache_bytes: 1 << 20, free_space: 0 };
        World {
            store: Store::open(Place::Memory, options).unwrap(),
            now: Timestamp::from_secs(1_000_000_000),
            limits: Limits::default(),
            registration: Registration::Open,
            federated: false,
            here: SomeHere::default(),
            chance: 0,
        }
    }

    /// A world with these people in it, each with one session.
    pub(in crate::domain) fn of<const N: usize>(logins: [&str; N]) -> (World, [Me; N]) {
        let mut world = World::new();
        let people = logins.map(|login| {
            world.add_user(login);
            world.log_in(login)
        });
        (world, people)
    }

    pub(in crate::domain) fn apply(&mut self, actor: Actor, command: Command) -> Outcome {
        self.chance += 1;
        let mut chance = [0; 32];
        for (i, byte) in chance.iter_mut().enumerate() {
            *byte = (self.chance.wrapping_mul(i as u64 + 1) >> (i % 8)) as u8;
        }
        chance[24..].copy_from_slice(&self.chance.to_be_bytes());
        let context = Context {
            now: self.now,
            sure: self.now,
            chance,
            home: HOME,
            limits: &self.limits,
            registration: self.registration,
            federated: self.federated,
            here: &self.here,
        };
        self.store.write(|tx| apply(tx, &context, actor, command)).unwrap()
    }

    pub(in crate::domain) fn ask(&mut self, me: Me, command: Command) -> Outcome {
        self.apply(Actor::Session { account: me.account, key: me.key }, command)
    }

    pub(in crate::domain) fn order(&mut self, order: Order) -> Outcome {
        self.apply(Actor::Operator, Command::Operator(order))
    }

    pub(in crate::domain) fn read(&self, me: Me, query: &Query) -> Result<Reply, Refusal> {
        let reader = self.store.reader();
        let scene = Scene { now: self.now, home: HOME, here: &self.here };
        reader.read(|snapshot| read(snapshot, &scene, me.account, query)).unwrap()
    }

    /// Something that no command can do yet.
    pub(in crate::domain) fn force(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
    ) {
        self.store.write(work).unwrap();
    }

    pub(in crate::domain) fn add_user(&mut self, login: &str) {
        let order = Order::AddUser { login: self::login(login), verifier: verifier("old") };
        assert!(matches!(self.order(order).reply, Ok(Reply::Done)));
    }

    pub(in crate::domain) fn log_in(&mut self, login: &str) -> Me {
        let account = self.account(login);
        let outcome = self.try_log_in(account);
        let Ok(Reply::LoggedIn { session, account, who: _ }) = outcome.reply else {
            panic!("{:?}", outcome.reply)
        };
        Me { account, key: session.key() }
    }

    pub(in crate::domain) fn try_log_in(&mut self, account: AccountNo) -> Outcome {
        let proof = Proof::of(account, SessionKind::Person);
        self.apply(Actor::Nobody, Command::LogIn(proof))
    }

    pub(in crate::domain) fn account(&self, login: &str) -> AccountNo {
        let found = self.store.reader().read(|s| s.account_by_address(&address(login)));
        found.unwrap().unwrap()
    }

    pub(in crate::domain) fn send(&mut self, me: Me, to: &str, text: &str) -> Outcome {
        self.ask(me, Command::Send(draft(to, text, None)))
    }

    /// Sends, and tells the id it got.
    pub(in crate::domain) fn sent(&mut self, me: Me, to: &str, text: &str) -> MessageId {
        match self.send(me, to, text).reply {
            Ok(Reply::Sent { id, repeated: false, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    /// A new group, at an address that is its name.
    pub(in crate::domain) fn group(&mut self, me: Me, name: &str) -> ChatId {
        self.make(me, group_draft(name))
    }

    pub(in crate::domain) fn make(&mut self, me: Me, draft: ChatDraft) -> ChatId {
        let name = address(&draft.name);
        let outcome = self.ask(me, Command::CreateChat(draft));
        assert!(matches!(outcome.reply, Ok(Reply::Chat(_))), "{:?}", outcome.reply);
        self.store.reader().read(|s| s.chat_by_address(&name)).unwrap().unwrap()
    }

    /// An open group that these people are in; the first of them owns it.
    pub(in crate::domain) fn group_of(&mut self, name: &str, people: &[Me]) {
        self.make(people[0], ChatDraft { open: Some(true), ..group_draft(name) });
        for me in &people[1..] {
            assert!(self.ask(*me, Command::Join { chat: address(name) }).reply.is_ok());
        }
    }

    /// What somebody is given there.
    pub(in crate::domain) fn give(
        &mut self,
        me: Me,
        chat: &str,
        who: &str,
        letters: &str,
    ) -> Outcome {
        let (chat, who) = (address(chat), Some(address(who)));
        let access = Access::parse(letters).unwrap();
        self.ask(me, Command::SetAccess { chat, who, access })
    }

    /// What somebody wants there.
    pub(in crate::domain) fn want(&mut self, me: Me, chat: &str, letters: &str) -> Outcome {
        let access = Access::parse(letters).unwrap();
        self.ask(me, Command::SetAccess { chat: address(chat), who: None, access })
    }

    pub(in crate::domain) fn clear(&mut self, me: Me, chat: &str, whom: Whom) -> Outcome {
        let outcome = self.ask(me, Command::Clear { chat: address(chat), whom, till: None });
        assert!(outcome.reply.is_ok(), "{outcome:?}");
        outcome
    }

    pub(in crate::domain) fn unread(&mut self, me: Me) -> Vec<MessageView> {
        match self.ask(me, Command::Unread { count: 200 }).reply {
            Ok(Reply::Messages { messages, .. }) => messages,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::domain) fn members(&mut self, me: Me, chat: &str) -> Vec<MemberView> {
        match self.ask(me, Command::Members { chat: address(chat), after: None, count: 500 }).reply
        {
            Ok(Reply::Members { members, .. }) => members,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::domain) fn chats(&mut self, me: Me) -> Vec<ChatView> {
        let all = Command::Chats { before: MessageId::END, count: u32::MAX };
        match self.ask(me, all).reply {
            Ok(Reply::Chats { chats, more: false }) => chats,
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::domain) fn mark_read(
        &mut self,
        me: Me,
        chat: Option<&str>,
        id: MessageId,
    ) -> Outcome {
        self.ask(me, Command::MarkRead { chat: chat.map(address), id })
    }

    pub(in crate::domain) fn mark_delivered(
        &mut self,
        me: Me,
        chat: Option<&str>,
        id: MessageId,
    ) -> Outcome {
        self.ask(me, Command::MarkDelivered { chat: chat.map(address), id })
    }

    pub(in crate::domain) fn history(
        &self,
        me: Me,
        chat: &str,
        range: Range,
    ) -> Result<(Vec<MessageView>, bool), Refusal> {
        match self.read(me, &Query::History { chat: address(chat), range })? {
            Reply::Messages { messages, more } => Ok((messages, more)),
            other => panic!("{other:?}"),
        }
    }
}

pub(in crate::domain) fn address(text: &str) -> Address {
    Address::parse(text, HOME).unwrap()
}

pub(in crate::domain) fn login(text: &str) -> Login {
    Login::parse(text).unwrap()
}

pub(in crate::domain) fn verifier(text: &str) -> Verifier {
    Verifier(text.into())
}

pub(in crate::domain) fn draft(to: &str, text: &str, cookie: Option<&str>) -> Draft {
    Draft::text(address(to), text.into(), cookie.map(Into::into))
}

/// A closed group, with nothing but a name.
pub(in crate::domain) fn group_draft(name: &str) -> ChatDraft {
    ChatDraft {
        is_channel: false,
        is_space: false,
        name: name.into(),
        about: "".into(),
        login: None,
        space: None,
        open: None,
        default_access: None,
        card: "".into(),
        retention: 0,
    }
}

pub(in crate::domain) fn contact(who: &str) -> ContactDraft {
    ContactDraft { who: address(who), name: None, group: None, note: None, dialog: None }
}

pub(in crate::domain) fn range(after: u64, before: u64, count: u32, take: Take) -> Range {
    Range { after: MessageId(after), before: MessageId(before), since: None, count, take }
}

pub(in crate::domain) fn whole() -> Range {
    range(0, u64::MAX, 500, Take::First)
}

pub(in crate::domain) fn ids(messages: &[MessageView]) -> Vec<u64> {
    messages.iter().map(|m| m.id.0).collect()
}

/// What one account's sessions but `except` hear, in order.
pub(in crate::domain) fn heard_by(
    outcome: &Outcome,
    to: AccountNo,
    except: Option<SessionKey>,
) -> Vec<Arc<Bulletin>> {
    let is_for = |news: &&News| news.to.accounts().any(|who| who == to) && news.except == except;
    outcome.news.iter().filter(is_for).map(|news| news.event.clone()).collect()
}

pub(in crate::domain) fn refused(outcome: &Outcome) -> Refusal {
    assert!(outcome.news.is_empty() && outcome.ended.is_empty(), "{outcome:?}");
    *outcome.reply.as_ref().unwrap_err()
}
