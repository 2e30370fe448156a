//! A session's place in the server while it is in use: its mailbox, and which connection its
//! pushes go to. Lost with the process, made again from the session's row.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::domain::id::{AccountNo, SessionKey, Timestamp};
use crate::domain::words::Bulletin;
use crate::engine::letter::weight;
use crate::engine::life::Here;
use crate::engine::moment::Moment;
use crate::pool::Pool;
use crate::wire::Habit;

pub(crate) use crate::engine::letter::Letter;

/// A connection, or one parked fetch, as the holder of seats. Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(NonZeroU64);

impl Holder {
    #[expect(clippy::new_without_default, reason = "each one is different")]
    pub fn new() -> Holder {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Holder(NonZeroU64::MIN.saturating_add(LAST.fetch_add(1, Ordering::Relaxed)))
    }
}

/// See the module. There is one of every session in use, so it holds in a box of its own what most
/// of them have none of.
#[derive(Debug)]
pub struct Seat {
    pub account: AccountNo,
    pub key: SessionKey,
    /// When its use was last written to its row, seconds since 1970; 0 for never.
    noted: AtomicU32,
    /// See [`Seat::layer`].
    layer: AtomicU32,
    /// See [`Habit`]: the last packet's. Changed with the state locked.
    hidden: AtomicBool,
    fine: AtomicBool,
    /// Whether its client has a name, so that those that have none are spared the lock.
    is_named: AtomicBool,
    /// Whether it has chats open.
    watches: AtomicBool,
    hall: Arc<Hall>,
    state: Mutex<State>,
}

/// What all seats share.
#[derive(Debug)]
pub(in crate::engine) struct Hall {
    /// What all mailboxes together may hold.
    pub(in crate::engine) mail: Pool,
    /// Who is told when somebody takes a seat, and when nobody has it.
    pub(in crate::engine) here: Arc<Here>,
}

/// What waits is taken the oldest first. An update that is taken before the next one comes, and most
/// are, costs no memory of its own: a thousand of them at once would keep the engine and the carriers
/// waiting for each other in malloc.
#[derive(Debug)]
struct State {
    first: Option<Waiting>,
    seldom: Option<Box<Seldom>>,
    /// Of what waits, taken from the pool. No mailbox holds as much as this could count.
    bytes: u32,
    /// Updates were lost; nothing is queued until the RESYNC is on its way.
    lost: bool,
    /// The session was ended; its holder is told once.
    ended: bool,
    /// Its user is here while it is held.
    shown: bool,
    /// Of the one who holds it.
    waker: Option<Waker>,
    /// Who holds it or was the last to. A hidden session shows itself to each of them anew.
    last: Option<Holder>,
    /// When nobody held it any more.
    let_go: Option<Moment>,
    used: Moment,
}

type Waiting = (u64, Arc<Bulletin>);

#[derive(Debug, Default)]
struct Seldom {
    /// What waits behind the first.
    rest: VecDeque<Waiting>,
    /// The client's name for itself.
    agent: Box<str>,
}

/// What waits for a holder.
#[derive(Debug)]
pub enum Mail {
    /// `order`: see `Answer::order`.
    Event { order: u64, event: Arc<Bulletin> },
    /// Updates were lost. From here on mail is queued again: ask `Exchange::newest`, tell the
    /// RESYNC, drop mail up to that answer's order.
    Lost,
    /// Another connection or fetch holds the seat now.
    Moved,
    /// The session is over: revoked, expired, its account disabled.
    Ended,
}

impl Seat {
    /// `lost`: whether it starts with a RESYNC (true for all but a session made just now).
    pub(in crate::engine) fn new(
        account: AccountNo,
        key: SessionKey,
        lost: bool,
        hall: Arc<Hall>,
    ) -> Seat {
        let state = State {
            first: None,
            seldom: None,
            bytes: 0,
            lost,
            ended: false,
            shown: true,
            waker: None,
            last: None,
            let_go: None,
            used: Moment::now(),
        };
        Seat {
            account,
            key,
            noted: AtomicU32::new(0),
            layer: AtomicU32::new(0),
            hidden: AtomicBool::new(false),
            fine: AtomicBool::new(false),
            is_named: AtomicBool::new(false),
            watches: AtomicBool::new(false),
            hall,
            state: Mutex::new(state),
        }
    }

    /// A seat without an engine, for tests of its holders.
    #[cfg(test)]
    pub(crate) fn alone(account: AccountNo, key: SessionKey, lost: bool) -> Seat {
        let here = Arc::new(Here::new(|| {}));
        Seat::new(account, key, lost, Arc::new(Hall { mail: Pool::new(usize::MAX), here }))
    }

    /// Moves the seat's pushes to `holder`, whose waker is woken when there is mail; a previous
    /// holder hears [`Mail::Moved`]. Also how a holder renews its waker.
    pub fn hold(&self, holder: Holder, waker: &Waker) {
        let mut state = self.lock();
        if state.ended {
            // Whoever asks for mail hears of it and forgets the seat, which releases nothing: they
            // would count as here for ever.
            return;
        }
        state.used = Moment::now();
        let was_present = state.is_present();
        let before = state.last.replace(holder);
        let is_another = before.is_some_and(|before| before != holder);
        match &mut state.waker {
            Some(old) if !is_another => old.clone_from(waker),
            slot => {
                if let Some(old) = slot.replace(waker.clone()) {
                    old.wake();
                }
            }
        }
        if is_another && self.hidden.load(Ordering::Relaxed) {
            state.shown = false;
            self.rename(&mut state, "".into());
        }
        self.settle(state, was_present);
        if is_another {
            self.open_nothing();
        }
    }

    /// Gives the seat up; nothing happens where somebody else holds it.
    pub fn release(&self, holder: Holder) {
        let mut state = self.lock();
        if state.is_held_by(holder) {
            let was_present = state.is_present();
            let now = Moment::now();
            let waker = state.waker.take();
            state.let_go = Some(now);
            state.used = now;
            self.settle(state, was_present);
            // A waker's drop may free a task; not under the lock.
            drop(waker);
            self.open_nothing();
        }
    }

    /// Whether its user is here with it.
    pub(in crate::engine) fn is_present(&self) -> bool {
        self.lock().is_present()
    }

    /// Whether its user was, until nobody held it, and may be back before it matters.
    pub(in crate::engine) fn lingers(&self, now: Instant, grace: Duration) -> bool {
        let state = self.lock();
        let is_free = state.shown && state.waker.is_none();
        let lasts = |at: Moment| now.saturating_duration_since(at.instant()) < grace;
        is_free && state.let_go.is_some_and(lasts)
    }

    /// Its client says whether its user is here. True: they were here with it and are not now.
    pub(in crate::engine) fn appear(&self, on: bool, agent: Box<str>) -> bool {
        let mut state = self.lock();
        if state.ended {
            return false;
        }
        let was_present = state.is_present();
        state.shown = on;
        if on {
            self.rename(&mut state, agent);
        }
        let is_gone = was_present && !on;
        if is_gone && !state.agent().is_empty() {
            self.hall.here.agents().leave(self.account, state.agent());
        }
        if !is_gone {
            self.settle(state, was_present);
            self.act();
        }
        is_gone
    }

    /// Its client did something.
    pub(in crate::engine) fn act(&self) {
        if !self.is_named.load(Ordering::Relaxed) {
            return;
        }
        let state = self.lock();
        if state.is_present() && !state.agent().is_empty() {
            self.hall.here.act(self.account, self.key, state.agent());
        }
    }

    fn rename(&self, state: &mut State, agent: Box<str>) {
        self.is_named.store(!agent.is_empty(), Ordering::Relaxed);
        if *state.agent() != *agent {
            state.seldom.get_or_insert_default().agent = agent;
            state.tidy();
        }
    }

    /// Tells who has to know that its user came with it, or left.
    fn settle(&self, state: MutexGuard<'_, State>, was_present: bool) {
        let is_present = state.is_present();
        if is_present == was_present {
            return;
        }
        match is_present {
            // First, so that their coming tells it.
            true if !state.agent().is_empty() => {
                self.hall.here.act(self.account, self.key, state.agent());
            }
            false if !state.agent().is_empty() => {
                self.hall.here.agents().leave(self.account, state.agent());
            }
            true | false => {}
        }
        drop(state);
        match is_present {
            true => self.hall.here.came(self.account),
            false => self.hall.here.left(self.account),
        }
    }

    /// From now on somebody has to know when its conversation is over.
    pub(in crate::engine) fn note_watching(&self) {
        self.watches.store(true, Ordering::Relaxed);
    }

    fn open_nothing(&self) {
        if self.watches.swap(false, Ordering::Relaxed) {
            self.hall.here.let_go(self.key);
        }
    }

    /// The next thing for `holder`, if there is any.
    pub fn take(&self, holder: Holder) -> Option<Mail> {
        self.take_until(holder, u64::MAX)
    }

    /// The same, of mail older than `order` only.
    pub fn take_until(&self, holder: Holder, order: u64) -> Option<Mail> {
        let mut state = self.lock();
        if state.ended {
            return Some(Mail::Ended);
        }
        if !state.is_held_by(holder) {
            return Some(Mail::Moved);
        }
        if state.lost {
            state.lost = false;
            return Some(Mail::Lost);
        }
        let (order, event) = state.pop_if(|o| o < order)?;
        self.lighten(&mut state, weight(&event));
        Some(Mail::Event { order, event })
    }

    /// Drops mail up to and with `order`: a RESYNC covers it.
    pub fn forget_until(&self, order: u64) {
        let mut state = self.lock();
        while let Some((_, event)) = state.pop_if(|o| o <= order) {
            self.lighten(&mut state, weight(&event));
        }
    }

    /// The layer of the last packet that named the session.
    pub fn layer(&self) -> u32 {
        self.layer.load(Ordering::Relaxed)
    }

    pub fn set_layer(&self, layer: u32) {
        self.layer.store(layer, Ordering::Relaxed);
        self.lock().used = Moment::now();
    }

    /// What sessions of the last packet's protocol are like.
    pub(in crate::engine) fn set_habit(&self, habit: Habit) {
        let Habit { hidden, fine } = habit;
        if self.is_fine() == fine && self.hidden.load(Ordering::Relaxed) == hidden {
            return;
        }
        let mut state = self.lock();
        self.fine.store(fine, Ordering::Relaxed);
        if self.hidden.swap(hidden, Ordering::Relaxed) != hidden {
            let was_present = state.is_present();
            state.shown = !hidden;
            self.settle(state, was_present);
        }
    }

    /// Whether it hears what is not for all.
    pub(in crate::engine) fn is_fine(&self) -> bool {
        self.fine.load(Ordering::Relaxed)
    }

    /// Puts an update into the mailbox and wakes the holder, unless it was woken and has not taken
    /// everything yet: no holder waits before there is nothing left to take. Over a limit
    /// everything waiting is dropped instead (`false`): waiting for this session would cost
    /// everybody else their messages.
    ///
    /// `wake`: how.
    pub(crate) fn post(
        &self,
        letter: &Letter<'_>,
        updates_max: usize,
        bytes_max: usize,
        wake: impl FnOnce(Waker),
    ) -> bool {
        let mut state = self.lock();
        if state.lost || state.ended {
            return true;
        }
        let is_awake = state.first.is_some();
        let bytes = state.bytes as usize + letter.weight;
        match u32::try_from(bytes) {
            Ok(all)
                if state.waiting() < updates_max
                    && bytes <= bytes_max
                    && self.hall.mail.take(letter.weight) =>
            {
                state.bytes = all;
                state.push((letter.order, letter.event.clone()));
            }
            Ok(_) | Err(_) => {
                self.empty(&mut state);
                state.lost = true;
            }
        }
        let is_kept = !state.lost;
        let waker = state.waker.as_ref().filter(|_| !is_awake).cloned();
        // Before the waking: whoever wakes up looks in here first.
        drop(state);
        if let Some(waker) = waker {
            wake(waker);
        }
        is_kept
    }

    pub(crate) fn end(&self) {
        let mut state = self.lock();
        let was_present = state.is_present();
        state.ended = true;
        self.empty(&mut state);
        let waker = state.waker.take();
        self.settle(state, was_present);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether nobody has used it since `limit`.
    pub(in crate::engine) fn is_stale(&self, limit: Instant) -> bool {
        let state = self.lock();
        state.waker.is_none() && state.used.instant() < limit
    }

    /// Whether it is `every` milliseconds since this last said so.
    pub(in crate::engine) fn note_use(&self, now: Timestamp, every: u64) -> bool {
        let now = u32::try_from(now.0 / 1000).unwrap_or(u32::MAX);
        let noted = self.noted.load(Ordering::Relaxed);
        // A clock that was ahead has been set back.
        if noted == 0 || u64::from(now.abs_diff(noted)) > every / 1000 {
            self.noted.store(now, Ordering::Relaxed);
            return noted != 0;
        }
        false
    }

    /// `bytes` were counted when they came.
    fn lighten(&self, state: &mut State, bytes: usize) {
        state.bytes = state.bytes.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.hall.mail.give_back(bytes);
    }

    fn empty(&self, state: &mut State) {
        state.first = None;
        if let Some(seldom) = &mut state.seldom {
            seldom.rest = VecDeque::new();
        }
        state.tidy();
        self.lighten(state, state.bytes as usize);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left no half-done change worth losing the session for.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_present(&self) -> bool {
        self.shown && self.waker.is_some()
    }

    fn is_held_by(&self, holder: Holder) -> bool {
        self.waker.is_some() && self.last == Some(holder)
    }

    fn agent(&self) -> &str {
        self.seldom.as_ref().map_or("", |seldom| &seldom.agent)
    }

    fn waiting(&self) -> usize {
        let rest = self.seldom.as_ref().map_or(0, |seldom| seldom.rest.len());
        usize::from(self.first.is_some()) + rest
    }

    fn push(&mut self, waiting: Waiting) {
        match &self.first {
            None => self.first = Some(waiting),
            Some(_) => self.seldom.get_or_insert_default().rest.push_back(waiting),
        }
    }

    /// Takes the oldest if its order is a wanted one.
    fn pop_if(&mut self, is_wanted: impl Fn(u64) -> bool) -> Option<Waiting> {
        let taken = self.first.take_if(|(order, _)| is_wanted(*order))?;
        self.first = self.seldom.as_mut().and_then(|seldom| seldom.rest.pop_front());
        if self.first.is_none() {
            self.tidy();
        }
        Some(taken)
    }

    /// An idle session holds no memory for what it once had to wait for.
    fn tidy(&mut self) {
        match &mut self.seldom {
            Some(seldom) if !seldom.rest.is_empty() => {}
            Some(seldom) if !seldom.agent.is_empty() => seldom.rest = VecDeque::new(),
            Some(_) | None => self.seldom = None,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.hall.mail.give_back(bytes as usize);
    }
}

#[cfg(test)]
mod tests;
