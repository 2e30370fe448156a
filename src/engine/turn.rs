//! The engine's thread: batch, apply, commit, tell.
//!
//! **Nothing is announced before it is durable.** The outcomes of a batch exist only after its
//! commit; when the commit fails nobody was told anything and everybody in it hears "unavailable,
//! try again".

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use ring::rand::SystemRandom;

use crate::config::Config;
use crate::domain::Context;
use crate::domain::id::{AccountNo, SessionKey};
use crate::domain::words::{Actor, Command, News, Outcome, Refusal, Reply};
use crate::engine::ask::{Aside, Turn, chance, join, weight};
use crate::engine::duties::{REMOVAL_IDLE, SWEEP, USE_NOTED};
use crate::engine::keeping::Keeping;
use crate::engine::life::Typing;
use crate::engine::peal::Peal;
use crate::engine::seat::Letter;
use crate::engine::seating::Accounts;
use crate::engine::slot::Answering;
use crate::engine::watch::Shift;
use crate::engine::{Core, Seat};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, MERGE_CALM_COMMANDS, MERGE_QUIET_MILLIS, STAND_IN_MILLIS,
};
use crate::store::Store;

/// What the engine takes from its inbox.
#[derive(Debug)]
pub(super) enum Input {
    Ask {
        actor: Actor,
        command: Command,
        answer: Answering<Told>,
    },
    /// A session that has no seat comes (back) to life.
    Join {
        key: SessionKey,
        answer: Answering<Result<Arc<Seat>, Refusal>>,
    },
}

/// What one command's asker gets.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) reply: Result<Reply, Refusal>,
    /// The seat of a session that this command made.
    pub(super) seat: Option<Arc<Seat>>,
    pub(super) order: u64,
}

/// The end of the thread.
#[derive(Debug)]
pub(super) enum End {
    /// Stopped and closed in order.
    Stopped,
    Failed(String),
}

pub(super) struct Engine {
    pub(super) core: Arc<Core>,
    pub(super) store: Store,
    pub(super) random: SystemRandom,
    pub(super) by_account: Accounts,
    pub(super) typing: Typing,
    /// Who opened and closed groups, and what of them woke up: told before the next turn.
    pub(super) shifts: Vec<Shift>,
    /// Who said that they go: looked at then, too.
    pub(super) going: Vec<AccountNo>,
    /// Marks are flushed then.
    pub(super) flush_at: Option<Instant>,
    /// The last change, and the last seal.
    pub(super) changed_at: Instant,
    pub(super) sealed_at: Option<Instant>,
    /// What can wait does so until then: the disk has failed.
    pub(super) rest_until: Option<Instant>,
    /// Messages are merged then, if nobody waits.
    pub(super) merge_at: Option<Instant>,
    /// What was deleted is removed then, as far as nothing else is to do.
    pub(super) removal_at: Instant,
    pub(super) sweep_at: Instant,
    pub(super) failures: u32,
    pub(super) keeping: Keeping,
    /// Whether the last turn took less than `patience`.
    quick: bool,
    /// See [`STAND_IN_MILLIS`].
    pub(super) patience: Duration,
    /// When the engine's thread wakes up by itself.
    sleeps_until: Option<Instant>,
    /// What ended the engine in a turn of the stand-in's.
    failed: Option<String>,
}

impl Engine {
    pub(super) fn new(core: Arc<Core>, store: Store) -> Engine {
        let now = Instant::now();
        let merge_at = store.is_ripe().then_some(now);
        let keeping = Keeping::new(core.began);
        Engine {
            core,
            store,
            merge_at,
            rest_until: None,
            random: SystemRandom::new(),
            by_account: Accounts::default(),
            typing: Typing::default(),
            shifts: Vec::new(),
            going: Vec::new(),
            removal_at: now + REMOVAL_IDLE,
            flush_at: None,
            changed_at: now,
            sealed_at: None,
            sweep_at: now + SWEEP,
            failures: 0,
            keeping,
            quick: false,
            patience: Duration::from_millis(STAND_IN_MILLIS),
            sleeps_until: None,
            failed: None,
        }
    }

    /// When the engine's thread wakes up by itself, if ever.
    pub(super) fn plan(&mut self) -> Option<Instant> {
        self.sleeps_until = self.next_duty();
        self.sleeps_until
    }

    /// What the engine's thread does when it wakes up. An error ends it.
    pub(super) fn wake_up(&mut self, inputs: &mut Vec<Input>) -> Result<(), String> {
        match self.failed.take() {
            Some(why) => Err(why),
            None => self.see_to(inputs).and_then(|()| self.do_duties()),
        }
    }

    /// What another thread does in its place: the duties stay its own.
    pub(super) fn stand_in(&mut self, inputs: &mut Vec<Input>) {
        self.failed = self.see_to(inputs).err();
        let due = self.next_duty();
        let is_early = due.is_some_and(|due| self.sleeps_until.is_none_or(|until| due < until));
        if is_early || self.failed.is_some() {
            self.core.inbox.nudge();
        }
    }

    /// Whether a turn is done sooner than another thread would notice that this one is busy.
    pub(super) fn is_quick(&self) -> bool {
        self.quick && self.failed.is_none()
    }

    pub(super) fn finish(self) -> End {
        match self.store.close() {
            Ok(()) => End::Stopped,
            Err(error) => End::Failed(error.to_string()),
        }
    }

    fn see_to(&mut self, inputs: &mut Vec<Input>) -> Result<(), String> {
        // Whoever asks for something was here before that, and what they ask may be the first
        // that others hear of them.
        self.look_after_people(Instant::now())?;
        self.work_off(inputs)
    }

    /// Everything that was taken, in turns that one commit can carry.
    pub(super) fn work_off(&mut self, inputs: &mut Vec<Input>) -> Result<(), String> {
        let mut rest = inputs.drain(..).peekable();
        let mut turn = Vec::new();
        while rest.peek().is_some() {
            let mut bytes = 0;
            while turn.len() < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
                let Some(input) = rest.next() else { break };
                bytes += weight(&input);
                turn.push(input);
            }
            self.core.metrics.engine.begin();
            let result = self.turn(&mut turn);
            self.core.metrics.engine.rest();
            result?;
        }
        Ok(())
    }

    /// Applies, commits, tells. An error ends the process: the database cannot be had back.
    fn turn(&mut self, inputs: &mut Vec<Input>) -> Result<(), String> {
        let config = self.core.config();
        let times = self.core.times();
        let room = self.store.has_room();
        let Engine { core, store, random, typing, .. } = self;
        let started = Instant::now();
        let written = store.write(|tx| {
            let mut done = Vec::with_capacity(inputs.len());
            for input in inputs.iter_mut() {
                done.push(match input {
                    Input::Ask { actor, command, .. } => {
                        let context = Context {
                            now: times.now,
                            sure: times.sure,
                            chance: chance(random, command),
                            home: &config.server_name,
                            limits: &config.limits,
                            registration: config.registration,
                            federated: false,
                            here: &*core.here,
                        };
                        let turn = Turn { core, context: &context, room, started };
                        let aside = Aside::of(command);
                        Done::Outcome(turn.ask(tx, typing, *actor, command)?, aside)
                    }
                    Input::Join { key, .. } => Done::Join(join(core, tx, *key, times, room)?),
                });
            }
            Ok(done)
        });
        self.core.metrics.turns.add(1);
        self.core.metrics.commands.add(inputs.len() as u64);
        let done = match written {
            Ok(done) => {
                self.failures = 0;
                done
            }
            Err(error) => {
                log::error!("a commit failed, its outcome is unknown: {error}");
                for input in inputs.drain(..) {
                    input.refuse(Refusal::Unavailable);
                }
                return self.reopen();
            }
        };
        self.changed_at = Instant::now();
        self.quick = self.changed_at - started < self.patience;
        self.merge_at = self.store.is_ripe().then(|| {
            // In a burst the next turns come, and the more are merged at once the less each costs.
            let burst = inputs.len() > MERGE_CALM_COMMANDS;
            self.changed_at + Duration::from_millis(if burst { MERGE_QUIET_MILLIS } else { 0 })
        });
        let core = self.core.clone();
        let mut peal = Peal::new(&core.belfry);
        for (input, done) in inputs.drain(..).zip(done) {
            self.tell(input, done, &mut peal);
        }
        drop(peal);
        self.core.metrics.set_work(self.store.work());
        self.flush_soon();
        Ok(())
    }

    /// Answers one command and announces what it did: its own order for both, so that every
    /// session hears of the world in the order in which it changed.
    fn tell(&mut self, input: Input, done: Done, peal: &mut Peal<'_>) {
        match (input, done) {
            (Input::Ask { actor, answer, .. }, Done::Outcome(outcome, aside)) => {
                let Outcome { mut reply, news, ended } = outcome;
                let order = self.core.next_order();
                let config = self.core.config();
                self.announce(order, &news, &config, peal);
                self.close_gone(&news);
                for key in ended {
                    self.end(key);
                }
                if let Some(aside) = aside
                    && let Ok(said) = &reply
                    && let Err(refusal) = self.take_aside(actor, aside, said)
                {
                    reply = Err(refusal);
                }
                self.core.count(&reply);
                let seat = match &reply {
                    Ok(Reply::LoggedIn { session, account, who: _ }) => {
                        Some(self.sit(*account, session.key(), false))
                    }
                    _ => None,
                };
                let told = Told { reply, seat, order };
                match actor {
                    // They wait on a thread of their own, also when the carriers' do nothing.
                    Actor::Operator => answer.answer(told, Waker::wake),
                    Actor::Session { .. } | Actor::Nobody => {
                        answer.answer(told, |waker| peal.add(waker));
                    }
                }
            }
            (Input::Join { key, answer }, Done::Join(joined)) => {
                let joined = joined.map(|account| match self.core.seat_of(&key) {
                    // Two of its packets came at once.
                    Some(seat) => seat,
                    None => self.sit(account, key, true),
                });
                answer.answer(joined, |waker| peal.add(waker));
            }
            (Input::Ask { .. }, Done::Join(_)) | (Input::Join { .. }, Done::Outcome(..)) => {
                unreachable!("outcomes are made in the order of their inputs")
            }
        }
    }

    /// Puts news into the mailboxes of those whom it is for and who are in use.
    pub(super) fn announce(&self, order: u64, news: &[News], config: &Config, peal: &mut Peal<'_>) {
        let limits = &config.limits;
        for news in news {
            let letter = Letter::new(order, &news.event);
            let is_for_all = news.event.is_for_all();
            let mut posted = 0;
            for account in news.to.accounts() {
                for seat in self.by_account.of(account) {
                    if Some(seat.key) == news.except || !(is_for_all || seat.is_fine()) {
                        continue;
                    }
                    let wake = |waker| peal.add(waker);
                    if !seat.post(&letter, limits.mailbox, limits.mailbox_bytes, wake) {
                        self.core.metrics.overflows.add(1);
                    }
                    posted += 1;
                }
            }
            self.core.metrics.events.add(posted);
        }
    }

    fn sit(&mut self, account: AccountNo, key: SessionKey, lost: bool) -> Arc<Seat> {
        let seat = Arc::new(Seat::new(account, key, lost, self.core.hall.clone()));
        // Its session was noted as in use for it.
        seat.note_use(self.core.times().now, USE_NOTED);
        self.by_account.insert(seat.clone());
        self.core.seats_mut().insert(seat.clone());
        self.core.metrics.sessions.add(1);
        seat
    }

    fn end(&mut self, key: SessionKey) {
        if let Some(seat) = self.stand_up(key) {
            seat.end();
        }
    }

    pub(super) fn stand_up(&mut self, key: SessionKey) -> Option<Arc<Seat>> {
        let seat = self.core.seats_mut().remove(&key)?;
        self.core.here.company.leave(key);
        self.core.metrics.sessions.subtract(1);
        self.close_all(&seat);
        self.by_account.remove(&seat);
        Some(seat)
    }
}

/// What became of one input, told only after the commit.
enum Done {
    Outcome(Outcome, Option<Aside>),
    Join(Result<AccountNo, Refusal>),
}

impl Input {
    fn refuse(self, refusal: Refusal) {
        match self {
            Input::Ask { answer, .. } => {
                let told = Told { reply: Err(refusal), seat: None, order: 0 };
                answer.answer(told, Waker::wake);
            }
            Input::Join { answer, .. } => answer.answer(Err(refusal), Waker::wake),
        }
    }
}
