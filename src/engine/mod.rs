//! The engine, the only one that changes anything, its thread, and the ways in and out of it.
//!
//! A turn takes the commands that wait, applies them in one transaction, commits once, and only
//! then answers and announces. Carriers wait for the engine, the engine waits for the disk, nobody
//! waits for a client: a full mailbox loses its updates and its session repairs from history.

mod agent;
mod ask;
mod attempts;
mod auth;
mod challenge;
pub mod clock;
mod company;
mod duties;
mod file;
mod inbox;
mod keeping;
mod letter;
mod life;
mod moment;
mod own;
pub mod password;
mod peal;
mod people;
mod rate;
mod reading;
pub mod seat;
mod seating;
mod slot;
mod standin;
#[cfg(test)]
mod tests;
mod turn;
pub mod vault;
mod watch;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use smol::lock::Semaphore;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::domain::id::{AccountNo, Login, SessionId, SessionKey, Timestamp};
use crate::domain::words::{Actor, Command, Order, Proof, Refusal, Reply, Start};
use crate::domain::{self, Registration};
use crate::engine::auth::Auth;
use crate::engine::clock::{Clock, Reckoning};
use crate::engine::inbox::Inbox;
use crate::engine::life::Here;
use crate::engine::peal::Belfry;
use crate::engine::rate::{Asker, Rates};
use crate::engine::seat::Hall;
use crate::engine::seating::Sessions;
use crate::engine::slot::slot;
use crate::engine::standin::Desk;
use crate::engine::turn::{End, Engine, Input, Told};
use crate::engine::vault::Vault;
use crate::files::Files;
use crate::limits::{FILE_SLICES_MAX, LONG_READS_MAX, PROFILE_UPDATE_WEIGHT};
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::store::{Look, Reader, Store, StoreError};
use crate::wire::{Ask, Credentials, Habit, What};

pub use seat::{Holder, Mail, Seat};
pub use standin::StandIn;

/// The way in: what carriers and the management socket hold of the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exchange {
    core: Arc<Core>,
}

/// What came of an [`Ask`].
#[derive(Debug)]
pub struct Answer {
    pub reply: Result<Reply, Refusal>,
    /// The session the packet named, or the new one that it made, with its seat: whoever can carry
    /// pushes holds it (see [`Seat::hold`]).
    pub seat: Option<(SessionId, Arc<Seat>)>,
    /// The place of this answer in the order of everything that happened: mail with a smaller one
    /// is told before it.
    pub order: u64,
}

/// The engine's thread, to be joined.
#[derive(Debug)]
pub struct Running {
    core: Arc<Core>,
    thread: JoinHandle<End>,
    ended: smol::channel::Receiver<()>,
}

/// What the thread and those outside it share.
struct Core {
    config: RwLock<Arc<Config>>,
    inbox: Arc<Inbox<Input>>,
    desk: Desk,
    /// Changed by the engine only.
    seats: RwLock<Sessions>,
    auth: Auth,
    rates: Rates,
    reader: Reader,
    /// Long reads under way: each has a thread of the blocking pool and an answer in memory until
    /// its asker takes it.
    long_reads: Semaphore,
    /// Searches under way: they are all processor and no waiting, so they leave a core to the others.
    searches: Semaphore,
    metrics: Arc<Metrics>,
    here: Arc<Here>,
    hall: Arc<Hall>,
    belfry: Belfry,
    /// The order of the last thing that happened.
    order: AtomicU64,
    clock: Clock,
    /// When this began, by the steady clock.
    began: Duration,
    /// See [`Core::noted`]; 0 for never.
    noted: AtomicU64,
    files: Files,
    /// Slices of files read or written at once.
    file_work: Semaphore,
    /// An operator wants the server to stop.
    stopping: (smol::channel::Sender<()>, smol::channel::Receiver<()>),
}

/// Starts the engine's thread on an open store.
///
/// `mail_bytes`: what all mailboxes together may hold.
pub fn start(
    store: Store,
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    mail_bytes: usize,
    clock: Clock,
) -> std::io::Result<(Exchange, Running)> {
    let core = Arc::new(Core::new(&store, config, metrics, mail_bytes, clock));
    core.look_at_secrets();
    let (tell_end, ended) = smol::channel::bounded(1);
    let thread = std::thread::Builder::new().name("engine".into()).spawn({
        let core = core.clone();
        move || {
            // Whatever ends the thread, nobody waits for it afterwards.
            let _closing = Closing(core.clone(), tell_end);
            core.desk.put(Engine::new(core.clone(), store));
            standin::run(&core)
        }
    })?;
    Ok((Exchange { core: core.clone() }, Running { core, thread, ended }))
}

struct Closing(
    Arc<Core>,
    #[expect(dead_code, reason = "its drop is the message")] smol::channel::Sender<()>,
);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.inbox.close();
        drop(self.0.desk.clear());
        // Those that came too late for the last turn: dropping them answers them.
        self.0.inbox.take(&mut Vec::new(), None);
    }
}

impl Running {
    /// Resolves when the thread has ended by itself, which only a failure makes it do.
    pub fn ended(&self) -> smol::channel::Receiver<()> {
        self.ended.clone()
    }

    /// Lets nothing more in, works off what waits, closes the database.
    pub fn stop(self) -> Result<(), String> {
        self.core.inbox.close();
        match self.thread.join() {
            Ok(End::Stopped) => Ok(()),
            Ok(End::Failed(why)) => Err(why),
            Err(_) => Err("the engine panicked; please report what it said".into()),
        }
    }
}

impl Exchange {
    /// Session, rate, fields, then the core: the refusals of mSIM decision 18 in that order.
    /// Passwords are hashed and long reads done on the blocking pool. `peer` is for rates and
    /// login delays.
    pub async fn ask(&self, peer: IpAddr, ask: Ask) -> Answer {
        let key = ask.who.as_ref().map(SessionId::key);
        self.ask_by(key, peer, ask).await
    }

    /// The same for whoever knows the key of the session that asks, from an earlier answer.
    pub async fn ask_by(&self, key: Option<SessionKey>, peer: IpAddr, ask: Ask) -> Answer {
        let mut answer = Answer { reply: Ok(Reply::Done), seat: None, order: 0 };
        if let Some((session, key)) = ask.who.zip(key) {
            match self.seat_like(key, ask.layer, ask.habit).await {
                Ok(seat) => answer.seat = Some((session, seat)),
                Err(refusal) if ask.session_required => {
                    answer.reply = Err(refusal);
                    return answer;
                }
                Err(_) => {}
            }
        } else if ask.session_required {
            answer.reply = Err(Refusal::NoSession);
            return answer;
        }
        // Whoever leaves is never told to stay a little longer.
        let leaves = matches!(ask.what, Ok(What::Command(Command::LogOut)));
        let weight = ask.what.as_ref().map_or(1, weight);
        let admitted = self.admit(peer, answer.seat.as_ref().map(|(_, s)| s.account), weight);
        if let Err(refusal) = admitted
            && !leaves
        {
            answer.reply = Err(refusal);
            return answer;
        }
        if let Some((_, seat)) = &answer.seat {
            seat.act();
        }
        let what = match ask.what {
            Ok(what) => what,
            Err(refusal) => {
                answer.reply = Err(refusal);
                return answer;
            }
        };
        let actor = match &answer.seat {
            Some((_, seat)) => Actor::Session { account: seat.account, key: seat.key },
            None => Actor::Nobody,
        };
        match what {
            What::Attach => {}
            What::Command(command) => {
                let told = self.tell(actor, command).await;
                (answer.reply, answer.order) = (told.reply, told.order);
            }
            What::Query(query) => {
                answer.order = self.core.order.load(Ordering::Acquire) + 1;
                answer.reply = match actor {
                    Actor::Session { account, .. } => match self.read(account, query) {
                        Ok(reply) => reply,
                        Err(query) => Box::pin(self.query(account, query)).await,
                    },
                    Actor::Nobody | Actor::Operator => Err(Refusal::NoSession),
                };
            }
            What::LogIn(credentials) => {
                let told = Box::pin(self.log_in(peer, credentials)).await;
                answer.log_in(told, ask.layer, ask.habit);
            }
            What::Register { credentials, invite, sealed, start } => {
                let registered = self.register(peer, credentials, invite, sealed, start);
                answer.reply = Box::pin(registered).await;
            }
            What::ChangePassword { old, new } => {
                let changed = Box::pin(self.change_password(peer, actor, old, new)).await;
                (answer.reply, answer.order) = (changed.reply, changed.order);
            }
            What::ChangeLogin { password, login } => {
                let changed = Box::pin(self.change_login(peer, actor, password, login)).await;
                (answer.reply, answer.order) = (changed.reply, changed.order);
            }
            What::File(ask) => answer.reply = Box::pin(self.file(actor, ask)).await,
            What::Stop => answer.reply = self.stop(peer, actor),
            // What is not looked at cannot show.
            What::Challenge { login: _ } => {
                let told = self.tell(Actor::Nobody, Command::Challenge).await;
                (answer.reply, answer.order) = (told.reply, told.order);
            }
            What::LogInByChallenge { login, salt, hash } => {
                let config = self.core.config();
                let (auth, reader) = (&self.core.auth, &self.core.reader);
                let login = login.as_ref();
                let proof = auth.prove_by_challenge(login, &salt, &hash, peer, &config, reader);
                let told = Box::pin(self.begin_session(proof)).await;
                answer.log_in(told, ask.layer, ask.habit);
            }
        }
        answer
    }

    /// The seat of a session of mSIM 2 that is only to be listened at (an HTTP fetch); its layer
    /// becomes `layer`. A session that had no seat gets one that has lost its updates.
    pub async fn seat(&self, session: SessionId, layer: u32) -> Result<Arc<Seat>, Refusal> {
        self.seat_like(session.key(), layer, Habit::default()).await
    }

    async fn seat_like(
        &self,
        key: SessionKey,
        layer: u32,
        habit: Habit,
    ) -> Result<Arc<Seat>, Refusal> {
        let seat = match self.core.seat_of(&key) {
            Some(seat) => seat,
            None => Box::pin(self.join(key)).await?,
        };
        seat.set_layer(layer);
        seat.set_habit(habit);
        Ok(seat)
    }

    /// The end of what a RESYNC covers, for a seat whose mail was lost: mail up to `order` of the
    /// answer is covered by it.
    pub async fn newest(&self, seat: &Seat) -> Answer {
        let actor = Actor::Session { account: seat.account, key: seat.key };
        let told = self.tell(actor, Command::Newest).await;
        Answer { reply: told.reply, seat: None, order: told.order }
    }

    /// For the management socket: an operator's order, from a plain thread.
    pub fn order(&self, order: Order) -> Result<Reply, Refusal> {
        smol::block_on(self.tell(Actor::Operator, Command::Operator(order))).reply
    }

    /// From now on `ring` wakes several connections at once, which is their threads' to do. None of
    /// them is woken otherwise, so it must, and soon.
    pub fn ring_by(&self, ring: impl Fn(Vec<Waker>) + Send + Sync + 'static) {
        self.core.belfry.hire(ring);
    }

    /// For how long the engine has been at one turn, or something has waited for it: zero for one
    /// that is well. What a watchdog looks at.
    pub fn lag(&self) -> Duration {
        let waiting = self.core.inbox.backlog().0.map_or(Duration::ZERO, |since| since.elapsed());
        waiting.max(self.core.metrics.engine.busy())
    }

    pub fn reload(&self, config: Arc<Config>) {
        *self.core.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        // A key file may have been put in its place.
        self.core.auth.vault().look();
        self.core.look_at_secrets();
    }

    /// Where sealed passwords are made and read.
    pub fn vault(&self) -> &Vault {
        self.core.auth.vault()
    }

    pub fn reader(&self) -> &Reader {
        &self.core.reader
    }

    /// No `async fn`: that would keep the command for as long as its answer is waited for.
    fn tell(&self, actor: Actor, command: Command) -> impl Future<Output = Told> + use<'_> {
        let (answer, waiting) = slot();
        let pushing = self.core.inbox.push(Input::Ask { actor, command, answer });
        async move {
            let is_in = pushing.await.is_ok();
            let told = if is_in { waiting.await } else { None };
            told.unwrap_or(Told { reply: Err(Refusal::Unavailable), seat: None, order: 0 })
        }
    }

    async fn join(&self, key: SessionKey) -> Result<Arc<Seat>, Refusal> {
        // A made-up session costs a look at a snapshot and never the engine's time.
        match self.core.reader.read(|snapshot| snapshot.session(key)) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(Refusal::UnknownSession),
            Err(error) => return Err(unreadable(&error)),
        }
        let (answer, waiting) = slot();
        let is_in = self.core.inbox.push(Input::Join { key, answer }).await.is_ok();
        let joined = if is_in { waiting.await } else { None };
        joined.unwrap_or(Err(Refusal::Unavailable))
    }

    async fn log_in(&self, peer: IpAddr, credentials: Credentials) -> Told {
        let config = self.core.config();
        let proof = self.core.auth.prove(credentials, peer, &config, &self.core.reader).await;
        self.begin_session(proof).await
    }

    async fn begin_session(&self, proof: Result<Proof, Refusal>) -> Told {
        match proof {
            Ok(proof) => self.tell(Actor::Nobody, Command::LogIn(proof)).await,
            Err(refusal) => {
                self.core.count(&Err(refusal));
                Told { reply: Err(refusal), seat: None, order: 0 }
            }
        }
    }

    async fn register(
        &self,
        _peer: IpAddr,
        credentials: Credentials,
        invite: Option<Box<str>>,
        sealed: bool,
        start: Option<Box<Start>>,
    ) -> Result<Reply, Refusal> {
        let config = self.core.config();
        // What can be refused without the cost of a hash is.
        match config.registration {
            Registration::Closed => return Err(Refusal::RegistrationClosed),
            Registration::Invite if invite.is_none() => return Err(Refusal::RegistrationClosed),
            Registration::Invite | Registration::Open => {}
        }
        let login: Login = credentials.login.ok_or(Refusal::BadLogin)?;
        let address = domain::id::Address::local(login.clone(), &config.server_name);
        match self.core.reader.read(|snapshot| snapshot.account_by_address(&address)) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(Refusal::LoginTaken),
            Err(error) => return Err(unreadable(&error)),
        }
        let copy = sealed.then(|| Zeroizing::new(credentials.password.clone()));
        let verifier = self.core.auth.hash(credentials.password, &config).await?;
        let vault = self.core.auth.vault();
        let envelope = copy.map(|password| vault.enclose(password)).transpose().map_err(|why| {
            log::error!("a password cannot be sealed: {why}");
            Refusal::Unavailable
        })?;
        let command = Command::Register { login, verifier, invite, envelope, start };
        self.tell(Actor::Nobody, command).await.reply
    }

    /// Hears something when an operator wants the server to stop.
    pub fn stopping(&self) -> smol::channel::Receiver<()> {
        self.core.stopping.1.clone()
    }

    fn admit(&self, peer: IpAddr, account: Option<AccountNo>, weight: u32) -> Result<(), Refusal> {
        let asker = account.map_or(Asker::Address(peer), Asker::Account);
        self.core
            .rates
            .count(asker, weight, &self.core.config().limits, Instant::now())
            .map_err(|retry_after| Refusal::TooManyRequests { retry_after })
    }
}

/// As how many requests one counts: what goes through every account holds the engine up.
fn weight(what: &What) -> u32 {
    match what {
        // Their bytes are what they cost; who asks for them waits for each slice.
        What::File(_) => 0,
        What::Command(Command::UpdateProfile(_)) | What::ChangeLogin { .. } => {
            PROFILE_UPDATE_WEIGHT
        }
        _ => 1,
    }
}

impl Answer {
    /// Nobody holds the new seat yet, so nobody hears of a hidden one.
    fn log_in(&mut self, told: Told, layer: u32, habit: Habit) {
        if let (Ok(Reply::LoggedIn { session, .. }), Some(seat)) = (&told.reply, &told.seat) {
            seat.set_layer(layer);
            seat.set_habit(habit);
            self.seat = Some((*session, seat.clone()));
        }
        (self.reply, self.order) = (told.reply, told.order);
    }
}

impl Core {
    fn new(
        store: &Store,
        config: Arc<Config>,
        metrics: Arc<Metrics>,
        mail_bytes: usize,
        clock: Clock,
    ) -> Core {
        let inbox = Arc::new(Inbox::new());
        clock.on_move({
            let inbox = inbox.clone();
            move || inbox.nudge()
        });
        let noted = clock::noted(&store.reader()).unwrap_or_default().0;
        let here = Arc::new(Here::new({
            let inbox = inbox.clone();
            move || inbox.nudge()
        }));
        Core {
            auth: Auth::new(&config, Vault::of(store.directory())),
            config: RwLock::new(config),
            inbox,
            desk: Desk::default(),
            hall: Arc::new(Hall { mail: Pool::new(mail_bytes), here: here.clone() }),
            here,
            belfry: Belfry::default(),
            seats: RwLock::default(),
            rates: Rates::default(),
            long_reads: Semaphore::new(LONG_READS_MAX),
            searches: Semaphore::new(searches_at_once()),
            reader: store.reader(),
            metrics,
            order: AtomicU64::new(0),
            began: clock.steady(),
            clock,
            noted: AtomicU64::new(noted),
            files: Files::beside(store.directory()),
            file_work: Semaphore::new(FILE_SLICES_MAX),
            stopping: smol::channel::bounded(1),
        }
    }

    /// Says so where passwords are sealed that cannot be read.
    fn look_at_secrets(&self) {
        let vault = self.auth.vault();
        match self.reader.read(|snapshot| snapshot.sealed_counts(vault.key_id())) {
            Ok((kept, fitting)) => {
                if let Some(trouble) = vault.trouble(kept, fitting) {
                    log::warn!("{trouble}");
                }
            }
            Err(error) => log::error!("the sealed passwords could not be looked at: {error}"),
        }
    }

    fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seats(&self) -> RwLockReadGuard<'_, Sessions> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats_mut(&self) -> RwLockWriteGuard<'_, Sessions> {
        self.seats.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat_of(&self, key: &SessionKey) -> Option<Arc<Seat>> {
        self.seats().get(key).cloned()
    }

    fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::Release) + 1
    }

    fn times(&self) -> Reckoning {
        Reckoning::of(self.clock.wall(), self.noted())
    }

    /// When the clock was last believed.
    fn noted(&self) -> Option<Timestamp> {
        Some(Timestamp(self.noted.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    fn note(&self, at: Timestamp) {
        self.noted.store(at.0, Ordering::Relaxed);
    }

    fn count(&self, reply: &Result<Reply, Refusal>) {
        match reply {
            Ok(Reply::Sent { repeated: false, .. }) => self.metrics.messages.add(1),
            Ok(Reply::LoggedIn { .. }) => self.metrics.logins.add(1),
            Ok(_) => {}
            Err(refusal) => {
                self.metrics.refusals.add(1);
                if *refusal == Refusal::WrongCredentials {
                    self.metrics.failed_logins.add(1);
                }
            }
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("sessions", &self.seats().len()).finish_non_exhaustive()
    }
}

/// Of two cores one is left, of one core nothing can be.
fn searches_at_once() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.saturating_sub(1).clamp(1, LONG_READS_MAX)
}

/// For a read that failed: the log gets the why, the client an honest error.
fn unreadable(error: &StoreError) -> Refusal {
    log::error!("a read failed: {error}");
    Refusal::Unavailable
}
