//! What the engine tells of people that nothing is written for: who came and went, with which
//! client they go on, who has which group open, and who has stopped typing.
//!
//! What a turn has to tell of it is told before the next one, in an order of its own: after the
//! answers of that turn.

use std::mem;
use std::time::Instant;

use crate::domain::id::{AccountNo, Address, ChatId};
use crate::domain::name::Tag;
use crate::domain::words::{Actor, Event, News, Refusal, Reply};
use crate::domain::{self, Presence, Scene};
use crate::engine::Seat;
use crate::engine::ask::Aside;
use crate::engine::peal::Peal;
use crate::engine::turn::Engine;
use crate::engine::watch::{Full, Shift};
use crate::store::{Look, StoreError, Tx};

/// What is to be told together.
struct Tidings {
    came: Vec<AccountNo>,
    /// With the client that they are seen last with.
    left: Vec<(AccountNo, Box<str>)>,
    agents: Vec<(AccountNo, Box<str>)>,
    silent: Vec<(AccountNo, Address)>,
    shifts: Vec<Shift>,
}

impl Engine {
    /// When there is something to tell of clients and of what is open.
    pub(super) fn next_news(&self) -> Option<Instant> {
        if !self.shifts.is_empty() || !self.going.is_empty() {
            return Some(Instant::now());
        }
        let here = &self.core.here;
        let lapse = here.watches().next_lapse();
        let change = here.agents().next_change(Instant::now());
        lapse.into_iter().chain(change).min()
    }

    /// Tells of those who came, who went, who have stopped typing, and of all the rest.
    pub(super) fn look_after_people(&mut self, now: Instant) -> Result<(), String> {
        let tidings = self.look_around(now);
        if tidings.is_empty() {
            return Ok(());
        }
        let config = self.core.config();
        let now = self.core.times().now;
        let Engine { core, store, .. } = self;
        let scene = Scene { now, home: &config.server_name, here: &*core.here };
        match store.write(|tx| tidings.tell(tx, &scene)) {
            Ok(news) => {
                let order = self.core.next_order();
                self.announce(order, &news, &config, &mut Peal::new(&self.core.belfry));
                self.flush_soon();
                Ok(())
            }
            // Nobody hears of it, and nothing is lost by that.
            Err(StoreError::Damaged(what)) => {
                log::error!("who is here was not told because of a damaged record: {what}");
                Ok(())
            }
            Err(error) => self.settle(Err(error)),
        }
    }

    fn look_around(&mut self, now: Instant) -> Tidings {
        self.close_over(now);
        let here = &self.core.here;
        if here.watches().next_lapse().is_some_and(|at| at <= now) {
            here.watches_mut().lapse(now, &mut self.shifts);
        }
        let grace = self.grace();
        let has = |who, is_one: &dyn Fn(&Seat) -> bool| {
            self.by_account.of(who).iter().any(|seat| is_one(seat))
        };
        let is_held = |who| has(who, &Seat::is_present);
        let came = here.arrivals();
        let mut left = here.departures(now, grace, is_held);
        if !self.going.is_empty() {
            // Those who have another way to be here stay, or go when its grace is over.
            let stays = |who| has(who, &|seat| seat.is_present() || seat.lingers(now, grace));
            let mut going = mem::take(&mut self.going);
            going.retain(|who| !stays(*who));
            left.extend(here.dismiss(going, is_held));
        }
        let mut silent = self.typing.lapse(now);
        for who in &left {
            silent.extend(self.typing.end_all(*who));
        }
        let mut agents = here.agents();
        for who in &came {
            agents.came(*who);
        }
        let left = left.into_iter().map(|who| (who, agents.gone(who))).collect();
        let changes = agents.changes(now, |who| here.is_here(who));
        drop(agents);
        Tidings { came, left, agents: changes, silent, shifts: mem::take(&mut self.shifts) }
    }

    /// What a command said of its session, after the rules and the disk had their say.
    pub(super) fn take_aside(
        &mut self,
        actor: Actor,
        aside: Aside,
        said: &Reply,
    ) -> Result<(), Refusal> {
        let Actor::Session { account, key } = actor else { return Ok(()) };
        let Some(seat) = self.core.seat_of(&key) else { return Ok(()) };
        match aside {
            Aside::Appear { on, agent } => {
                if seat.appear(on, agent) {
                    self.going.push(account);
                }
            }
            Aside::Watch { on } => {
                let Reply::Name(name) = said else { return Ok(()) };
                // Nobody is told who has a direct chat open.
                let Tag::Chat { id, .. } = name.tag() else { return Ok(()) };
                let mut watches = self.core.here.watches_mut();
                if on {
                    let begun = watches.begin(id, (account, key), &mut self.shifts);
                    begun.map_err(|Full| Refusal::TooManyChats)?;
                    seat.note_watching();
                } else {
                    watches.end(id, (account, key), Instant::now(), &mut self.shifts);
                }
            }
        }
        Ok(())
    }

    /// Who is not in a group any more, or whose group is no more, has it open no more.
    pub(super) fn close_gone(&mut self, news: &[News]) {
        if news.is_empty() || self.core.here.watches().is_empty() {
            return;
        }
        for news in news {
            let Event::ChatGone { chat } = &**news.event else { continue };
            let Tag::Chat { id, .. } = chat.tag() else { continue };
            for who in news.to.accounts() {
                self.close(id, who);
            }
        }
    }

    fn close(&mut self, chat: ChatId, who: AccountNo) {
        let mut watches = self.core.here.watches_mut();
        for seat in self.by_account.of(who) {
            watches.end(chat, (who, seat.key), Instant::now(), &mut self.shifts);
        }
    }

    /// Who has no seat any more has nothing open.
    pub(super) fn close_all(&mut self, seat: &Seat) {
        let mut watches = self.core.here.watches_mut();
        watches.end_all((seat.account, seat.key), Instant::now(), &mut self.shifts);
    }

    /// Nor have those whose conversation is over.
    fn close_over(&mut self, now: Instant) {
        let over = self.core.here.take_over();
        if over.is_empty() {
            return;
        }
        let mut watches = self.core.here.watches_mut();
        for key in over {
            if let Some(seat) = self.core.seat_of(&key) {
                watches.end_all((seat.account, key), now, &mut self.shifts);
            }
        }
    }
}

impl Tidings {
    fn is_empty(&self) -> bool {
        self.came.is_empty()
            && self.left.is_empty()
            && self.agents.is_empty()
            && self.silent.is_empty()
            && self.shifts.is_empty()
    }

    fn tell(&self, tx: &mut Tx<'_>, scene: &Scene<'_>) -> Result<Vec<News>, StoreError> {
        let mut news = Vec::new();
        for (who, chat) in &self.silent {
            news.extend(domain::stop_typing(tx, *who, chat)?);
        }
        for who in &self.came {
            tx.touch_last_seen(*who, scene.now)?;
            news.extend(domain::announce(tx, scene, *who, true)?);
        }
        for (who, agent) in &self.left {
            tx.touch_last_seen(*who, scene.now)?;
            if tx.agent(*who)? != *agent {
                tx.put_agent(*who, agent)?;
            }
            news.extend(domain::announce(tx, scene, *who, false)?);
        }
        for (who, agent) in &self.agents {
            news.extend(domain::tell_agent(tx, scene.home, *who, agent.clone())?);
        }
        for shift in &self.shifts {
            news.extend(match *shift {
                Shift::Awake { chat, on } => domain::tell_awake(tx, chat, on)?,
                Shift::Watching { chat, who, on } => {
                    domain::tell_watching(tx, scene, chat, who, on)?
                }
            });
        }
        Ok(news)
    }
}
