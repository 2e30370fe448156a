//! An engine without its thread, whose time goes on when a test says so.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::credentials;
use crate::config::Config;
use crate::domain::id::{Address, Login, SessionId};
use crate::domain::words::{
    Actor, ChatDraft, Command, ContactDraft, Event, Order, Query, Refusal, Reply,
};
use crate::engine::clock::Clock;
use crate::engine::duties::REMOVAL_IDLE;
use crate::engine::seat::{Holder, Mail, Seat};
use crate::engine::turn::Engine;
use crate::engine::{Answer, Core, Exchange};
use crate::store::{Options, Place, Store};
use crate::wire::{Ask, Habit, What};

/// As Tinode's sessions are.
pub(super) const TOPICAL: Habit = Habit { hidden: true, fine: true };
/// As mSIM's are.
pub(super) const PLAIN: Habit = Habit { hidden: false, fine: false };

pub(super) struct Stage {
    pub(super) engine: Engine,
    exchange: Exchange,
    /// How far the time is ahead.
    ahead: Duration,
}

/// One person on one device.
pub(super) struct Guest {
    pub(super) session: SessionId,
    pub(super) seat: Arc<Seat>,
    pub(super) holder: Holder,
    pub(super) habit: Habit,
}

impl Stage {
    /// A stage with these people known to it.
    pub(super) fn with(logins: &[&str]) -> Stage {
        Stage::by(Clock::system(), |_| {}, logins)
    }

    /// The same by another clock.
    pub(super) fn by(clock: Clock, change: impl FnOnce(&mut Config), logins: &[&str]) -> Stage {
        let options = Options { cache_bytes: 1 << 20, free_space: 0 };
        let store = Store::open(Place::Memory, options).expect("it opens");
        let mut config = Config::for_tests();
        change(&mut config);
        let core = Core::new(&store, Arc::new(config), Arc::default(), 1 << 20, clock);
        let core = Arc::new(core);
        let exchange = Exchange { core: core.clone() };
        let engine = Engine::new(core, store);
        let mut stage = Stage { engine, exchange, ahead: Duration::ZERO };
        for login in logins {
            let credentials = credentials(login, "pw");
            let what = What::Register { credentials, invite: None, sealed: false, start: None };
            let answer = stage.ask(None, PLAIN, what);
            assert!(answer.reply.is_ok(), "{:?}", answer.reply);
        }
        stage
    }

    pub(super) fn ask(&mut self, who: Option<SessionId>, habit: Habit, what: What) -> Answer {
        const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let session_required = who.is_some();
        let ask = Ask { who, session_required, layer: 3, habit, what: Ok(what) };
        let exchange = self.exchange.clone();
        let mut asking = pin!(exchange.ask(PEER, ask));
        loop {
            let answer = smol::block_on(smol::future::poll_once(asking.as_mut()));
            // It may have been pushed, or a password is being hashed elsewhere.
            self.turn();
            match answer {
                Some(answer) => return answer,
                None => std::thread::yield_now(),
            }
        }
    }

    /// What the engine does when it wakes up.
    pub(super) fn turn(&mut self) {
        let mut inputs = Vec::new();
        let now = Instant::now() + self.ahead;
        self.engine.core.inbox.take(&mut inputs, Some(Instant::now()));
        self.engine.look_after_people(now).expect("it is told");
        self.engine.work_off(&mut inputs).expect("it is done");
        self.engine.look_after_people(now).expect("it is told");
    }

    pub(super) fn wait(&mut self, secs: u64) {
        self.ahead += Duration::from_secs(secs);
        self.turn();
    }

    /// Whatever can wait until nobody asks anything.
    pub(super) fn rest(&mut self) {
        loop {
            let now = Instant::now();
            self.engine.changed_at = now.checked_sub(REMOVAL_IDLE).expect("it is not that new");
            self.engine.removal_at = now;
            self.engine.do_duties().expect("they are done");
            let is_over = self.engine.keeping.round.is_none();
            if is_over && !self.engine.is_keeping_due(now) && !self.engine.store.is_unswept() {
                return;
            }
        }
    }

    /// Whether the engine would wake up by itself within so many seconds for what people do.
    pub(super) fn is_due_within(&self, secs: u64) -> bool {
        let end = Instant::now() + self.ahead + Duration::from_secs(secs);
        self.engine.next_news().is_some_and(|at| at <= end)
    }

    /// A session whose connection is there.
    pub(super) fn log_in(&mut self, login: &str, habit: Habit) -> Guest {
        let answer = self.ask(None, habit, What::LogIn(credentials(login, "pw")));
        let (session, seat) = answer.seat.expect("a login makes a seat");
        let guest = Guest { session, seat, holder: Holder::new(), habit };
        guest.seat.hold(guest.holder, Waker::noop());
        self.turn();
        guest
    }

    /// One that opens chats one by one, with its user not here yet.
    pub(super) fn comes(&mut self, login: &str) -> Guest {
        self.log_in(login, TOPICAL)
    }

    pub(super) fn try_say(&mut self, guest: &Guest, command: Command) -> Result<Reply, Refusal> {
        self.ask(Some(guest.session), guest.habit, What::Command(command)).reply
    }

    pub(super) fn say(&mut self, guest: &Guest, command: Command) -> Reply {
        self.try_say(guest, command).expect("nothing speaks against it")
    }

    pub(super) fn read(&mut self, guest: &Guest, query: Query) -> Reply {
        self.ask(Some(guest.session), guest.habit, What::Query(query)).reply.expect("it is read")
    }

    pub(super) fn order(&mut self, order: Order) {
        let exchange = self.exchange.clone();
        let mut asking = pin!(exchange.tell(Actor::Operator, Command::Operator(order)));
        loop {
            let told = smol::block_on(smol::future::poll_once(asking.as_mut()));
            self.turn();
            if let Some(told) = told {
                assert!(told.reply.is_ok(), "{:?}", told.reply);
                return;
            }
        }
    }

    /// An open group that these people are in; the first of them owns it.
    pub(super) fn group(&mut self, name: &str, people: &[&Guest]) {
        for (place, guest) in people.iter().enumerate() {
            match place {
                0 => self.say(guest, Command::CreateChat(group(name))),
                _ => self.say(guest, Command::Join { chat: address(name) }),
            };
        }
        for guest in people {
            guest.hear();
        }
    }

    pub(super) fn opens(&mut self, guest: &Guest, chat: &str) {
        let reply = self.say(guest, Command::Watch { chat: address(chat), on: true });
        assert!(matches!(reply, Reply::Name(_)), "{reply:?}");
    }

    pub(super) fn closes(&mut self, guest: &Guest, chat: &str) {
        self.say(guest, Command::Watch { chat: address(chat), on: false });
    }

    pub(super) fn appears(&mut self, guest: &Guest, agent: &str) {
        self.say(guest, Command::Appear { on: true, agent: agent.into() });
    }

    pub(super) fn disappears(&mut self, guest: &Guest) {
        self.say(guest, Command::Appear { on: false, agent: "".into() });
    }

    /// From then on `viewer` sees whether `who` is here.
    pub(super) fn befriend(&mut self, who: &Guest, viewer: &str) {
        let who_is = address(viewer);
        let draft = ContactDraft { who: who_is, name: None, group: None, note: None, dialog: None };
        self.say(who, Command::AddContact(draft));
    }

    pub(super) fn breaks(&mut self, guest: &Guest) {
        guest.seat.release(guest.holder);
        self.turn();
    }

    pub(super) fn is_here(&self, guest: &Guest) -> bool {
        crate::domain::Presence::is_here(&*self.engine.core.here, guest.seat.account)
    }

    pub(super) fn disable(&mut self, login: &str) {
        self.order(Order::DisableUser { login: Login::parse(login).expect("valid") });
    }
}

impl Guest {
    /// What came of people who are here and of what they have open, in short words.
    pub(super) fn hear(&self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(Mail::Event { event, .. }) = self.seat.take(self.holder) {
            heard.extend(in_short(&event));
        }
        heard
    }
}

/// An open one, at an address that is its name.
pub(super) fn group(name: &str) -> ChatDraft {
    ChatDraft {
        is_channel: false,
        is_space: false,
        name: name.into(),
        about: "".into(),
        login: None,
        space: None,
        open: Some(true),
        default_access: None,
        card: "".into(),
        retention: 0,
    }
}

fn in_short(event: &Event) -> Option<String> {
    let bare = |name: &str| name.trim_end_matches("@im.test").to_owned();
    let turned = |on: &bool| if *on { "on" } else { "off" };
    Some(match event {
        Event::Watching { chat, who, on } => {
            format!("{} {} {}", bare(chat), bare(who), turned(on))
        }
        Event::Awake { chat, on } => format!("{} {}", bare(chat), turned(on)),
        Event::Presence { who, online, agent, at: _ } => {
            format!("{} {} {agent}", bare(who), turned(online)).trim_end().into()
        }
        Event::AgentChanged { who, agent } => format!("{} uses {agent}", bare(who)),
        _ => return None,
    })
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text, "im.test").expect("a test's address is valid")
}
