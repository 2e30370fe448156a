//! The engine's thread: batch, apply, commit, tell.
//!
//! **Nothing is announced before it is durable.** The outcomes of a batch exist only after its
//! commit; when the commit fails nobody was told anything and everybody in it hears "unavailable,
//! try again".

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Config;
use crate::domain::id::{AccountNo, Address, SessionKey, Timestamp};
use crate::domain::words::{Actor, Command, News, Order, Outcome, Refusal, Reply};
use crate::domain::{self, Context, Scene};
use crate::engine::inbox::Woken;
use crate::engine::life::Typing;
use crate::engine::seat::Letter;
use crate::engine::slot::Answering;
use crate::engine::{Core, Seat};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, MARK_FLUSH_SECS, REOPEN_MAX, SEAL_EVERY_SECS,
    SEAL_IDLE_SECS,
};
use crate::store::{Look, Store, StoreError, Tx};

/// What was deleted for everybody is removed once nothing has changed for so long,
const REMOVAL_IDLE: Duration = Duration::from_secs(1);
/// a slice at a time with this between two.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);
/// How often sessions that nobody uses are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// A session's last use is written at most this often: it only decides when it expires.
const USE_NOTED: u64 = 24 * 60 * 60 * 1000;

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
    core: Arc<Core>,
    store: Store,
    random: SystemRandom,
    by_account: HashMap<AccountNo, Vec<Arc<Seat>>>,
    typing: Typing,
    /// Marks are flushed then.
    flush_at: Option<Instant>,
    /// The last change, and the last seal.
    changed_at: Instant,
    sealed_at: Option<Instant>,
    /// What was deleted is removed then, as far as nothing else is to do.
    removal_at: Instant,
    sweep_at: Instant,
    failures: u32,
}

impl Engine {
    pub(super) fn new(core: Arc<Core>, store: Store) -> Engine {
        let now = Instant::now();
        Engine {
            core,
            store,
            random: SystemRandom::new(),
            by_account: HashMap::new(),
            typing: Typing::default(),
            removal_at: now + REMOVAL_IDLE,
            flush_at: None,
            changed_at: now,
            sealed_at: None,
            sweep_at: now + SWEEP,
            failures: 0,
        }
    }

    /// Runs until the inbox is closed and empty, then closes the database.
    pub(super) fn run(mut self) -> End {
        let mut inputs = Vec::new();
        loop {
            let woken = self.core.inbox.take(&mut inputs, self.next_duty());
            let result = match woken {
                Woken::Filled => self.work_off(&mut inputs),
                Woken::Late => Ok(()),
                Woken::Closed => break,
            };
            if let Err(why) = result.and_then(|()| self.do_duties()) {
                return End::Failed(why);
            }
        }
        match self.store.close() {
            Ok(()) => End::Stopped,
            Err(error) => End::Failed(error.to_string()),
        }
    }

    /// Everything that was taken, in turns that one commit can carry.
    fn work_off(&mut self, inputs: &mut Vec<Input>) -> Result<(), String> {
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
        let now = self.core.now();
        let room = self.store.has_room();
        let Engine { core, store, random, typing, .. } = self;
        let started = Instant::now();
        let written = store.write(|tx| {
            let mut done = Vec::with_capacity(inputs.len());
            for input in inputs.iter_mut() {
                done.push(match input {
                    Input::Ask { actor, command, .. } => {
                        let context = Context {
                            now,
                            chance: chance(random, command),
                            home: &config.server_name,
                            limits: &config.limits,
                            registration: config.registration,
                            federated: false,
                            here: &*core.here,
                        };
                        let turn = Turn { core, context: &context, room, started };
                        Done::Outcome(turn.ask(tx, typing, *actor, command)?)
                    }
                    Input::Join { key, .. } => Done::Join(join(core, tx, *key, now, room)?),
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
        for (input, done) in inputs.drain(..).zip(done) {
            self.tell(input, done);
        }
        self.core.metrics.set_work(self.store.work());
        self.flush_soon();
        Ok(())
    }

    /// Answers one command and announces what it did: its own order for both, so that every
    /// session hears of the world in the order in which it changed.
    fn tell(&mut self, input: Input, done: Done) {
        match (input, done) {
            (Input::Ask { answer, .. }, Done::Outcome(outcome)) => {
                let Outcome { reply, news, ended } = outcome;
                let order = self.core.next_order();
                let config = self.core.config();
                self.announce(order, &news, &config);
                for key in ended {
                    self.end(key);
                }
                self.core.count(&reply);
                let seat = match &reply {
                    Ok(Reply::LoggedIn { session, account }) => {
                        Some(self.sit(*account, session.key(), false))
                    }
                    _ => None,
                };
                answer.answer(Told { reply, seat, order });
            }
            (Input::Join { key, answer }, Done::Join(joined)) => {
                answer.answer(joined.map(|account| match self.core.seat_of(&key) {
                    // Two of its packets came at once.
                    Some(seat) => seat,
                    None => self.sit(account, key, true),
                }));
            }
            (Input::Ask { .. }, Done::Join(_)) | (Input::Join { .. }, Done::Outcome(_)) => {
                unreachable!("outcomes are made in the order of their inputs")
            }
        }
    }

    /// Puts news into the mailboxes of those whom it is for and who are in use.
    fn announce(&self, order: u64, news: &[News], config: &Config) {
        let limits = &config.limits;
        for news in news {
            let letter = Letter::new(order, &news.event);
            let mut posted = 0;
            for account in news.to.accounts() {
                let Some(seats) = self.by_account.get(&account) else { continue };
                for seat in seats.iter().filter(|s| Some(s.key) != news.except) {
                    if !seat.post(&letter, limits.mailbox, limits.mailbox_bytes) {
                        self.core.metrics.overflows.add(1);
                    }
                    posted += 1;
                }
            }
            self.core.metrics.events.add(posted);
        }
    }

    fn sit(&mut self, account: AccountNo, key: SessionKey, lost: bool) -> Arc<Seat> {
        let seat =
            Arc::new(Seat::new(account, key, lost, self.core.mail.clone(), self.core.here.clone()));
        self.by_account.entry(account).or_default().push(seat.clone());
        self.core.seats_mut().insert(key, seat.clone());
        self.core.metrics.sessions.add(1);
        seat
    }

    fn end(&mut self, key: SessionKey) {
        if let Some(seat) = self.stand_up(key) {
            seat.end();
        }
    }

    fn stand_up(&mut self, key: SessionKey) -> Option<Arc<Seat>> {
        let seat = self.core.seats_mut().remove(&key)?;
        self.core.metrics.sessions.subtract(1);
        if let Some(seats) = self.by_account.get_mut(&seat.account) {
            seats.retain(|s| s.key != key);
            if seats.is_empty() {
                self.by_account.remove(&seat.account);
            }
        }
        Some(seat)
    }

    /// When the thread must wake up by itself, if ever.
    fn next_duty(&self) -> Option<Instant> {
        let seal = self.store.is_unsealed().then(|| {
            let quiet = self.changed_at + Duration::from_secs(SEAL_IDLE_SECS);
            let next = self.sealed_at.map(|at| at + Duration::from_secs(SEAL_EVERY_SECS));
            next.map_or(quiet, |next| next.max(quiet))
        });
        let sweep = (!self.by_account.is_empty()).then_some(self.sweep_at);
        let removal = self.store.is_unswept().then(|| self.removal_due());
        let arrival = self.core.here.has_arrivals().then(Instant::now);
        let departure = self.core.here.next_departure(self.grace());
        let lapse = self.typing.next_end();
        let duties = [self.flush_at, seal, sweep, removal, arrival, departure, lapse];
        duties.into_iter().flatten().min()
    }

    fn do_duties(&mut self) -> Result<(), String> {
        let now = Instant::now();
        self.look_after_people(now)?;
        if self.store.is_unswept() && now >= self.removal_due() {
            self.removal_at = now + REMOVAL_PAUSE;
            if !self.store.has_room() {
                self.store.drop_ballast();
            }
            let removed = self.store.sweep();
            self.settle(removed)?;
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush_at = None;
            let flushed = self.store.flush();
            self.settle(flushed)?;
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP;
            self.sweep(now)?;
        }
        let seal_due = self.store.is_unsealed()
            && now >= self.changed_at + Duration::from_secs(SEAL_IDLE_SECS)
            && self.sealed_at.is_none_or(|at| now >= at + Duration::from_secs(SEAL_EVERY_SECS));
        if seal_due {
            self.sealed_at = Some(now);
            let sealed = self.store.seal();
            self.settle(sealed)?;
            self.core.metrics.set_work(self.store.work());
        }
        Ok(())
    }

    /// When nothing has changed for a moment, and not right after the last slice.
    fn removal_due(&self) -> Instant {
        self.removal_at.max(self.changed_at + REMOVAL_IDLE)
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(self.core.config().limits.presence_grace)
    }

    /// Tells of those who came, who went, and who have stopped typing.
    fn look_after_people(&mut self, now: Instant) -> Result<(), String> {
        let came = self.core.here.arrivals();
        let held = |who| {
            let seats = self.by_account.get(&who);
            seats.is_some_and(|seats| seats.iter().any(|seat| seat.is_held()))
        };
        let left = self.core.here.departures(self.grace(), held);
        let mut silent = self.typing.lapse(now);
        for who in &left {
            silent.extend(self.typing.end_all(*who));
        }
        if came.is_empty() && left.is_empty() && silent.is_empty() {
            return Ok(());
        }
        let config = self.core.config();
        let now = self.core.now();
        let Engine { core, store, .. } = self;
        let scene = Scene { now, home: &config.server_name, here: &*core.here };
        let told = store.write(|tx| {
            let mut news = Vec::new();
            for (who, chat) in &silent {
                news.extend(domain::stop_typing(tx, *who, chat)?);
            }
            for (who, online) in
                came.iter().map(|w| (w, true)).chain(left.iter().map(|w| (w, false)))
            {
                tx.touch_last_seen(*who, now)?;
                news.extend(domain::announce(tx, &scene, *who, online)?);
            }
            Ok(news)
        });
        match told {
            Ok(news) => {
                let order = self.core.next_order();
                self.announce(order, &news, &config);
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

    fn flush_soon(&mut self) {
        if self.flush_at.is_none() && self.store.has_marks() {
            self.flush_at = Some(Instant::now() + Duration::from_secs(MARK_FLUSH_SECS));
        }
    }

    /// Drops the mailboxes of sessions that nobody used for `mailbox_ttl`, and notes once a day that
    /// the others are in use.
    fn sweep(&mut self, now: Instant) -> Result<(), String> {
        let config = self.core.config();
        let ttl = Duration::from_secs(config.limits.mailbox_ttl);
        let wall = self.core.now();
        let mut stale = Vec::new();
        let mut used = Vec::new();
        for (key, seat) in self.core.seats().iter() {
            if now.checked_sub(ttl).is_some_and(|limit| seat.is_stale(limit)) {
                stale.push(*key);
            } else if seat.note_use(wall, USE_NOTED) {
                used.push(*key);
            }
        }
        for key in stale {
            self.stand_up(key);
        }
        if used.is_empty() || !self.store.has_room() {
            return Ok(());
        }
        let written = self.store.write(|tx| {
            for key in &used {
                if let Some(mut session) = tx.session(*key)? {
                    session.used = wall;
                    tx.put_session(*key, &session)?;
                }
            }
            Ok(())
        });
        self.settle(written)
    }

    fn settle(&mut self, result: Result<(), StoreError>) -> Result<(), String> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => {
                log::error!("the database could not be written: {error}");
                self.reopen()
            }
        }
    }

    /// After an I/O error: redb refuses everything until it is opened anew.
    fn reopen(&mut self) -> Result<(), String> {
        self.flush_at = None;
        self.failures += 1;
        while self.failures <= REOPEN_MAX {
            match self.store.reopen() {
                Ok(()) => {
                    log::warn!("the database is open again after a failure");
                    return Ok(());
                }
                Err(error) => log::error!("the database could not be opened again: {error}"),
            }
            self.failures += 1;
        }
        Err(format!("the database failed {REOPEN_MAX} times in a row; see the errors above"))
    }
}

/// What became of one input, told only after the commit.
enum Done {
    Outcome(Outcome),
    Join(Result<AccountNo, Refusal>),
}

impl Input {
    fn refuse(self, refusal: Refusal) {
        match self {
            Input::Ask { answer, .. } => {
                answer.answer(Told { reply: Err(refusal), seat: None, order: 0 });
            }
            Input::Join { answer, .. } => answer.answer(Err(refusal)),
        }
    }
}

/// What the commands of one turn have in common.
struct Turn<'t> {
    core: &'t Core,
    context: &'t Context<'t>,
    room: bool,
    started: Instant,
}

impl Turn<'_> {
    fn ask(
        &self,
        tx: &mut Tx<'_>,
        typing: &mut Typing,
        actor: Actor,
        command: &mut Command,
    ) -> Result<Outcome, StoreError> {
        let account = match actor {
            Actor::Session { key, .. } if self.core.seat_of(&key).is_none() => {
                // It was ended while the command waited.
                return Ok(Outcome::of(Err(Refusal::UnknownSession)));
            }
            Actor::Session { account, .. } => Some(account),
            Actor::Nobody | Actor::Operator => None,
        };
        if !self.room && stores(command) {
            return Ok(Outcome::of(Err(Refusal::DiskFull)));
        }
        if matches!(command, Command::Typing { on: true, .. }) && !typing.has_room() {
            return Ok(Outcome::of(Ok(Reply::Done)));
        }
        let typed = account.and_then(|who| self.typed(typing, who, command));
        // `Newest` stands in for the command that moves out; it is never looked at again.
        let command = mem::replace(command, Command::Newest);
        let mut outcome = spare(domain::apply(tx, self.context, actor, command))?;
        if let Some(typed) = typed.filter(|_| outcome.reply.is_ok()) {
            match typed {
                Typed::Begun(who, chat) => typing.begin(who, chat, self.started),
                Typed::Ended(who, chat) => typing.end(who, &chat),
                Typed::Sent(who, chat) => {
                    typing.end(who, &chat);
                    let ended = domain::stop_typing(tx, who, &chat)?;
                    outcome.news.splice(0..0, ended);
                }
            }
        }
        Ok(outcome)
    }

    /// What a command says of somebody's typing. Most say nothing, and cost nothing here.
    fn typed(&self, typing: &Typing, who: AccountNo, command: &Command) -> Option<Typed> {
        match command {
            Command::Typing { chat, on: true } => Some(Typed::Begun(who, chat.clone())),
            Command::Typing { chat, on: false } => Some(Typed::Ended(who, chat.clone())),
            Command::Send(draft) if typing.is_typing(who, &draft.chat) => {
                Some(Typed::Sent(who, draft.chat.clone()))
            }
            _ => None,
        }
    }
}

enum Typed {
    Begun(AccountNo, Address),
    Ended(AccountNo, Address),
    /// What was being typed.
    Sent(AccountNo, Address),
}

/// One unreadable record must not cost the others of the turn their commands.
fn spare(outcome: Result<Outcome, StoreError>) -> Result<Outcome, StoreError> {
    match outcome {
        Err(StoreError::Damaged(what)) => {
            log::error!("a command was refused because of a damaged record: {what}");
            Ok(Outcome::of(Err(Refusal::Unavailable)))
        }
        outcome => outcome,
    }
}

fn join(
    _core: &Core,
    tx: &mut Tx<'_>,
    key: SessionKey,
    now: Timestamp,
    room: bool,
) -> Result<Result<AccountNo, Refusal>, StoreError> {
    let config = _core.config();
    let Some(mut session) = tx.session(key)? else { return Ok(Err(Refusal::UnknownSession)) };
    if !domain::session_is_live(&session, now, &config.limits) {
        return Ok(Err(Refusal::UnknownSession));
    }
    if room && now.0 > session.used.0 + USE_NOTED {
        session.used = now;
        tx.put_session(key, &session)?;
    }
    Ok(Ok(session.account))
}

/// Random bytes for the commands that make a secret; the others are spared the system call.
fn chance(random: &SystemRandom, command: &Command) -> [u8; 32] {
    let mut bytes = [0; 32];
    if let Command::Register { .. }
    | Command::Challenge
    | Command::LogIn(_)
    | Command::CreateChat(_)
    | Command::Operator(_) = command
    {
        // The system's randomness does not fail once the process runs (getrandom(2)).
        random.fill(&mut bytes).expect("the system has randomness");
    }
    bytes
}

/// Whether a command needs room on the disk. Marks do, but so little and so late that refusing
/// them would only hide from people what is new.
fn stores(command: &Command) -> bool {
    match command {
        Command::Register { .. }
        | Command::LogIn(_)
        | Command::AddContact(_)
        | Command::ChangeContact(_)
        | Command::RequestContact { .. }
        | Command::AnswerContact { .. }
        | Command::UpdateProfile(_)
        | Command::Send(_)
        | Command::Edit { .. }
        | Command::CreateChat(_)
        | Command::ChangeChat { .. }
        | Command::Invite { .. }
        | Command::Join { .. }
        | Command::SetAccess { .. } => true,
        // Little is written for what makes room, or keeps somebody out.
        Command::Block { .. }
        | Command::Delete { .. }
        | Command::Clear { .. }
        | Command::RemoveChat { .. }
        | Command::Leave { .. }
        | Command::Kick { .. } => false,
        // Its number is written once in many thousand times.
        Command::Challenge
        | Command::LogOut
        | Command::RemoveContact { .. }
        | Command::Chats { .. }
        | Command::Unread { .. }
        | Command::MarkDelivered { .. }
        | Command::MarkRead { .. }
        | Command::MarkBoth { .. }
        | Command::Typing { .. }
        | Command::Members { .. }
        | Command::Newest => false,
        Command::Operator(order) => match order {
            Order::AddUser { .. } | Order::AddAppPassword { .. } | Order::Invite { .. } => true,
            Order::Users
            | Order::AppPasswords { .. }
            | Order::RevokeAppPassword { .. }
            | Order::SetPassword { .. }
            | Order::DisableUser { .. }
            | Order::EnableUser { .. }
            | Order::RemoveUser { .. } => false,
        },
    }
}

/// About how many bytes of a commit a command is.
fn weight(input: &Input) -> usize {
    match input {
        Input::Ask { command: Command::Send(draft), .. } => draft.text.len() + 64,
        Input::Ask { command: Command::Edit { text, .. }, .. } => text.len() + 64,
        Input::Ask { .. } | Input::Join { .. } => 64,
    }
}
