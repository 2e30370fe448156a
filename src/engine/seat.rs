//! A session's place in the server while it is in use: its mailbox, and which connection its
//! pushes go to. Lost with the process, made again from the session's row.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::domain::id::{AccountNo, SessionKey, Timestamp};
use crate::domain::words::{Bulletin, Event, MessageView, ProfileDraft};
use crate::engine::life::Here;
use crate::pool::Pool;

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

/// An update on its way into mailboxes: what it weighs is the same for all of them.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    order: u64,
    event: &'a Arc<Bulletin>,
    weight: usize,
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
            used: Instant::now(),
        };
        Seat { account, key, noted: AtomicU64::new(0), pool, here, state: Mutex::new(state) }
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
        let mut is_first = false;
        match &mut state.holder {
            Some((old, old_waker)) if *old == holder => old_waker.clone_from(waker),
            slot => match slot.replace((holder, waker.clone())) {
                Some((_, old_waker)) => old_waker.wake(),
                None => is_first = true,
            },
        }
        drop(state);
        if is_first {
            self.here.came(self.account);
        }
    }

    /// Gives the seat up; nothing happens where somebody else holds it.
    pub fn release(&self, holder: Holder) {
        let mut state = self.lock();
        if state.holder.as_ref().is_some_and(|(h, _)| *h == holder) {
            state.holder = None;
            state.used = Instant::now();
            drop(state);
            self.here.left(self.account);
        }
    }

    pub(in crate::engine) fn is_held(&self) -> bool {
        self.lock().holder.is_some()
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

    /// Puts an update into the mailbox and wakes the holder, unless it was woken and has not taken
    /// everything yet: no holder waits before there is nothing left to take. Over a limit
    /// everything waiting is dropped instead (`false`): waiting for this session would cost
    /// everybody else their messages.
    pub(crate) fn post(&self, letter: &Letter<'_>, updates_max: usize, bytes_max: usize) -> bool {
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
            waker.wake();
        }
        is_kept
    }

    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        self.empty(&mut state);
        if let Some((_, waker)) = state.holder.take() {
            drop(state);
            waker.wake();
            self.here.left(self.account);
        }
    }

    /// Whether nobody has used it since `limit`.
    pub(in crate::engine) fn is_stale(&self, limit: Instant) -> bool {
        let state = self.lock();
        state.holder.is_none() && state.used < limit
    }

    /// Whether it is `every` milliseconds since this last said so.
    pub(in crate::engine) fn note_use(&self, now: Timestamp, every: u64) -> bool {
        // A seat is made when the session's use was noted (at most a day ago).
        let noted = self.noted.load(Ordering::Relaxed);
        if noted == 0 || now.0 > noted + every {
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

impl<'a> Letter<'a> {
    pub(crate) fn new(order: u64, event: &'a Arc<Bulletin>) -> Letter<'a> {
        Letter { order, event, weight: weight(event) }
    }
}

/// About what an update costs in memory while it waits; an `Arc` shared by several sessions counts
/// for each of them, which errs on the safe side.
fn weight(event: &Event) -> usize {
    const FIXED: usize = 128;
    FIXED
        + match event {
            Event::Message(m) => message_weight(m),
            Event::ContactCreated(c) | Event::ContactUpdated { contact: c, .. } => {
                c.who.len()
                    + c.name.len()
                    + c.note.as_ref().map_or(0, |n| n.len())
                    + c.group.iter().map(|g| g.len()).sum::<usize>()
            }
            Event::ContactRemoved { who } => who.len(),
            Event::ChatsChanged(chats) => chats.len() * 96,
            Event::Marked { chat, user, .. } => chat.len() + user.len(),
            Event::MyMarks { chat, .. } | Event::Awake { chat, .. } => chat.len(),
            Event::Watching { chat, who, .. } => chat.len() + who.len(),
            Event::FaceChanged { who } => who.len(),
            Event::AgentChanged { who, agent } => who.len() + agent.len(),
            Event::Typing { chat, from, .. } => chat.len() + from.len(),
            Event::Presence { who, agent, .. } => who.len() + agent.len(),
            Event::ContactAnswered { who, .. } | Event::ContactBlocked { who, .. } => who.len(),
            Event::ProfileChanged { who, changed } => who.len() + profile_weight(changed),
            Event::ContactRequested { who, note } => who.len() + note.len(),
            Event::ChatChanged(info) => {
                size_of_val(&**info) + info.chat.len() + info.name.len() + info.about.len()
            }
            Event::ChatGone { chat } => chat.len(),
            Event::Moved { who, .. } => who.len(),
            Event::Renamed { who, old } => who.len() + old.len(),
            Event::Relayed { table, text } => table.len() + text.len(),
        }
}

fn message_weight(message: &MessageView) -> usize {
    let extra = message.extra.as_deref().map_or(0, |extra| {
        let values = extra.spans.iter().map(|s| s.value.as_ref().map_or(0, |value| value.len()));
        size_of_val(extra) + size_of_val(&*extra.spans) + values.sum::<usize>()
    });
    // Told to many it also holds its spelling, which is its text once more.
    2 * message.text.len() + message.chat.len() + message.from.len() + extra
}

fn profile_weight(changed: &ProfileDraft) -> usize {
    let texts = [
        &changed.name,
        &changed.short_name,
        &changed.full_name,
        &changed.note,
        &changed.photo,
        &changed.birthday,
    ];
    let lists = [&changed.gallery, &changed.contacts];
    let listed = lists.into_iter().flatten().flatten().map(|text| text.len());
    let single = texts.into_iter().flatten().map(|text| text.len());
    size_of_val(changed) + single.chain(listed).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
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
            assert!(seat.post(&Letter::new(n, &who), 3, 10_000));
        }
        assert_eq!(times(), 1);
        assert_eq!(order(seat.take_until(holder, 1)), None);
        assert_eq!(order(seat.take_until(holder, 2)), Some(1));
        assert_eq!((order(seat.take(holder)), order(seat.take(holder))), (Some(2), Some(3)));
        assert_eq!(order(seat.take(holder)), None);
        assert_eq!(seat.lock().bytes, 0);
        // One too many: everything is lost, which is told once.
        for n in 4..=6 {
            assert!(seat.post(&Letter::new(n, &who), 3, 10_000));
        }
        assert_eq!(times(), 2);
        assert!(!seat.post(&Letter::new(7, &who), 3, 10_000));
        assert_eq!(order(seat.take(holder)), Some(0));
        assert_eq!(seat.lock().bytes, 0);
        assert!(seat.post(&Letter::new(8, &who), 3, 10_000));
        assert_eq!(times(), 3);
        seat.forget_until(8);
        assert_eq!((order(seat.take(holder)), seat.lock().bytes), (None, 0));
        // Too heavy from the start: there was nothing to take, so it must be woken for the loss.
        assert!(!seat.post(&Letter::new(9, &who), 3, 1));
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
