//! A session's place in the server while it is in use: its mailbox, and which connection its
//! pushes go to. Lost with the process, made again from the session's row.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::domain::id::{AccountNo, SessionKey, Timestamp};
use crate::domain::words::Bulletin;
use crate::engine::letter::weight;
use crate::engine::life::Here;
use crate::pool::Pool;
use crate::wire::Habit;

pub(crate) use crate::engine::letter::Letter;

/// A connection, or one parked fetch, as the holder of seats. Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(u64);

impl Holder {
    #[expect(clippy::new_without_default, reason = "each one is different")]
    pub fn new() -> Holder {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Holder(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Seat {
    pub account: AccountNo,
    pub key: SessionKey,
    /// When its use was last written to its row, milliseconds since 1970.
    noted: AtomicU64,
    /// See [`Habit`]: the last packet's. Changed with the state locked.
    hidden: AtomicBool,
    fine: AtomicBool,
    /// Whether its client has a name, so that those that have none are spared the lock.
    is_named: AtomicBool,
    /// Whether it has chats open.
    watches: AtomicBool,
    /// What all mailboxes together may hold.
    pool: Arc<Pool>,
    /// Who is told when somebody takes it, and when nobody has it.
    here: Arc<Here>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// Of the queue, taken from the pool.
    bytes: usize,
    /// Updates were lost; nothing is queued until the RESYNC is on its way.
    lost: bool,
    /// The session was ended; its holder is told once.
    ended: bool,
    layer: u32,
    holder: Option<(Holder, Waker)>,
    /// Who holds it or was the last to. A hidden session shows itself to each of them anew.
    last: Option<Holder>,
    /// Its user is here while it is held.
    shown: bool,
    /// The client's name for itself.
    agent: Box<str>,
    /// When nobody held it any more.
    let_go: Option<Instant>,
    used: Instant,
}

/// What waits, the oldest first. An update that is taken before the next one comes, and most are,
/// costs no memory of its own: a thousand of them at once would keep the engine and the carriers
/// waiting for each other in malloc.
#[derive(Debug, Default)]
struct Queue {
    first: Option<(u64, Arc<Bulletin>)>,
    rest: VecDeque<(u64, Arc<Bulletin>)>,
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
        pool: Arc<Pool>,
        here: Arc<Here>,
    ) -> Seat {
        let state = State {
            queue: Queue::default(),
            bytes: 0,
            lost,
            ended: false,
            layer: 0,
            holder: None,
            last: None,
            shown: true,
            agent: "".into(),
            let_go: None,
            used: Instant::now(),
        };
        Seat {
            account,
            key,
            noted: AtomicU64::new(0),
            hidden: AtomicBool::new(false),
            fine: AtomicBool::new(false),
            is_named: AtomicBool::new(false),
            watches: AtomicBool::new(false),
            pool,
            here,
            state: Mutex::new(state),
        }
    }

    /// A seat without an engine, for tests of its holders.
    #[cfg(test)]
    pub(crate) fn alone(account: AccountNo, key: SessionKey, lost: bool) -> Seat {
        Seat::new(account, key, lost, Arc::new(Pool::new(usize::MAX)), Arc::new(Here::new(|| {})))
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
        state.used = Instant::now();
        let was_present = state.is_present();
        match &mut state.holder {
            Some((old, old_waker)) if *old == holder => old_waker.clone_from(waker),
            slot => {
                if let Some((_, old_waker)) = slot.replace((holder, waker.clone())) {
                    old_waker.wake();
                }
            }
        }
        let before = state.last.replace(holder);
        let is_another = before.is_some_and(|before| before != holder);
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
        if state.holder.as_ref().is_some_and(|(h, _)| *h == holder) {
            let was_present = state.is_present();
            let now = Instant::now();
            state.holder = None;
            state.let_go = Some(now);
            state.used = now;
            self.settle(state, was_present);
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
        let is_free = state.shown && state.holder.is_none();
        is_free && state.let_go.is_some_and(|at| now.saturating_duration_since(at) < grace)
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
        if is_gone && !state.agent.is_empty() {
            self.here.agents().leave(self.account, &state.agent);
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
        if state.is_present() && !state.agent.is_empty() {
            self.here.act(self.account, self.key, &state.agent);
        }
    }

    fn rename(&self, state: &mut State, agent: Box<str>) {
        self.is_named.store(!agent.is_empty(), Ordering::Relaxed);
        state.agent = agent;
    }

    /// Tells who has to know that its user came with it, or left.
    fn settle(&self, state: MutexGuard<'_, State>, was_present: bool) {
        let is_present = state.is_present();
        if is_present == was_present {
            return;
        }
        match is_present {
            // First, so that their coming tells it.
            true if !state.agent.is_empty() => {
                self.here.act(self.account, self.key, &state.agent);
            }
            false if !state.agent.is_empty() => {
                self.here.agents().leave(self.account, &state.agent);
            }
            true | false => {}
        }
        drop(state);
        match is_present {
            true => self.here.came(self.account),
            false => self.here.left(self.account),
        }
    }

    /// From now on somebody has to know when its conversation is over.
    pub(in crate::engine) fn note_watching(&self) {
        self.watches.store(true, Ordering::Relaxed);
    }

    fn open_nothing(&self) {
        if self.watches.swap(false, Ordering::Relaxed) {
            self.here.let_go(self.key);
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
        if !state.holder.as_ref().is_some_and(|(h, _)| *h == holder) {
            return Some(Mail::Moved);
        }
        if state.lost {
            state.lost = false;
            return Some(Mail::Lost);
        }
        let (order, event) = state.queue.pop_if(|o| o < order)?;
        self.lighten(&mut state, weight(&event));
        Some(Mail::Event { order, event })
    }

    /// Drops mail up to and with `order`: a RESYNC covers it.
    pub fn forget_until(&self, order: u64) {
        let mut state = self.lock();
        while let Some((_, event)) = state.queue.pop_if(|o| o <= order) {
            self.lighten(&mut state, weight(&event));
        }
    }

    /// The layer of the last packet that named the session.
    pub fn layer(&self) -> u32 {
        self.lock().layer
    }

    pub fn set_layer(&self, layer: u32) {
        let mut state = self.lock();
        state.layer = layer;
        state.used = Instant::now();
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
        let is_awake = !state.queue.is_empty();
        if state.queue.len() >= updates_max
            || state.bytes + letter.weight > bytes_max
            || !self.pool.take(letter.weight)
        {
            self.empty(&mut state);
            state.lost = true;
        } else {
            state.bytes += letter.weight;
            state.queue.push((letter.order, letter.event.clone()));
        }
        let is_kept = !state.lost;
        let waker = state.holder.as_ref().filter(|_| !is_awake).map(|(_, waker)| waker.clone());
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
        let holder = state.holder.take();
        self.settle(state, was_present);
        if let Some((_, waker)) = holder {
            waker.wake();
        }
    }

    /// Whether nobody has used it since `limit`.
    pub(in crate::engine) fn is_stale(&self, limit: Instant) -> bool {
        let state = self.lock();
        state.holder.is_none() && state.used < limit
    }

    /// Whether it is `every` milliseconds since this last said so.
    pub(in crate::engine) fn note_use(&self, now: Timestamp, every: u64) -> bool {
        let noted = self.noted.load(Ordering::Relaxed);
        // A clock that was ahead has been set back.
        if noted == 0 || now.0.abs_diff(noted) > every {
            self.noted.store(now.0, Ordering::Relaxed);
            return noted != 0;
        }
        false
    }

    fn lighten(&self, state: &mut State, bytes: usize) {
        state.bytes -= bytes;
        self.pool.give_back(bytes);
    }

    fn empty(&self, state: &mut State) {
        state.queue = Queue::default();
        self.lighten(state, state.bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left no half-done change worth losing the session for.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_present(&self) -> bool {
        self.shown && self.holder.is_some()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.pool.give_back(bytes);
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    fn push(&mut self, entry: (u64, Arc<Bulletin>)) {
        match &self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.push_back(entry),
        }
    }

    /// Takes the oldest if its order is a wanted one.
    fn pop_if(&mut self, is_wanted: impl Fn(u64) -> bool) -> Option<(u64, Arc<Bulletin>)> {
        let entry = self.first.take_if(|(order, _)| is_wanted(*order))?;
        self.first = self.rest.pop_front();
        if self.first.is_none() {
            // An idle session holds no memory for what it once had to wait for.
            self.rest = VecDeque::new();
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Event;
    use std::time::Duration;

    /// Counts how often it is woken.
    #[derive(Debug, Default)]
    struct Woken(AtomicU64);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn event(who: &str) -> Arc<Bulletin> {
        Arc::new(Bulletin::new(Event::ContactRemoved { who: who.into() }))
    }

    fn order(mail: Option<Mail>) -> Option<u64> {
        match mail {
            Some(Mail::Event { order, .. }) => Some(order),
            Some(Mail::Lost) => Some(0),
            Some(Mail::Moved | Mail::Ended) | None => None,
        }
    }

    #[test]
    fn a_holder_is_woken_once_for_all_that_waits_and_again_when_it_has_taken_it() {
        let seat = Seat::alone(AccountNo(1), SessionKey([1; 16]), false);
        let woken = Arc::new(Woken::default());
        let holder = Holder::new();
        seat.hold(holder, &Waker::from(woken.clone()));
        let times = || woken.0.load(Ordering::Relaxed);
        let who = event("bob");
        for n in 1..=3 {
            assert!(seat.post(&Letter::new(n, &who), 3, 10_000, Waker::wake));
        }
        assert_eq!(times(), 1);
        assert_eq!(order(seat.take_until(holder, 1)), None);
        assert_eq!(order(seat.take_until(holder, 2)), Some(1));
        assert_eq!((order(seat.take(holder)), order(seat.take(holder))), (Some(2), Some(3)));
        assert_eq!(order(seat.take(holder)), None);
        assert_eq!(seat.lock().bytes, 0);
        // One too many: everything is lost, which is told once.
        for n in 4..=6 {
            assert!(seat.post(&Letter::new(n, &who), 3, 10_000, Waker::wake));
        }
        assert_eq!(times(), 2);
        assert!(!seat.post(&Letter::new(7, &who), 3, 10_000, Waker::wake));
        assert_eq!(order(seat.take(holder)), Some(0));
        assert_eq!(seat.lock().bytes, 0);
        assert!(seat.post(&Letter::new(8, &who), 3, 10_000, Waker::wake));
        assert_eq!(times(), 3);
        seat.forget_until(8);
        assert_eq!((order(seat.take(holder)), seat.lock().bytes), (None, 0));
        // Too heavy from the start: there was nothing to take, so it must be woken for the loss.
        assert!(!seat.post(&Letter::new(9, &who), 3, 1, Waker::wake));
        assert_eq!(times(), 4);
    }

    #[test]
    fn nobody_comes_by_a_seat_that_is_over() {
        let here = Arc::new(Here::new(|| {}));
        let pool = Arc::new(Pool::new(usize::MAX));
        let seat = Seat::new(AccountNo(1), SessionKey([1; 16]), false, pool, here.clone());
        // Between the answer that named it and the connection that holds it.
        seat.end();
        let holder = Holder::new();
        seat.hold(holder, Waker::noop());
        assert!(matches!(seat.take(holder), Some(Mail::Ended)));
        assert!(!here.has_arrivals(), "nobody would ever tell of their going");
    }

    #[test]
    fn only_a_seat_that_nobody_holds_grows_stale() {
        let seat = Seat::alone(AccountNo(1), SessionKey([1; 16]), false);
        let later = Instant::now() + Duration::from_secs(1);
        assert!(seat.is_stale(later));
        let holder = Holder::new();
        seat.hold(holder, Waker::noop());
        assert!(!seat.is_stale(later), "it is held");
        seat.release(holder);
        assert!(seat.is_stale(later));
        let before = Instant::now();
        seat.set_layer(3);
        assert!(!seat.is_stale(before), "it was used since");
    }
}
