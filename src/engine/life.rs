//! Who is here, and who is typing: what changes while nothing is written.
//!
//! Somebody is here while a connection or a parked fetch holds one of their seats that shows, and
//! for `presence_grace` seconds after the last one went: a long poll lets go of its seat with every
//! answer, and a phone changes networks. Who says that they go is gone at once. **Seats tell of themselves only when it may matter:** the
//! first one that is held wakes the engine, and after that at most one wake-up in so many seconds
//! looks after those that were let go, however many polls there are in between.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use crate::domain::Presence;
use crate::domain::id::{AccountNo, Address, ChatId, SessionKey};
use crate::engine::agent::Agents;
use crate::engine::company::Company;
use crate::engine::watch::Watches;
use crate::limits::{TYPING_MAX, TYPING_SECS};

/// Who is here. Shared with the seats, which tell it when they are taken and let go.
pub(super) struct Here {
    pub(super) company: Company,
    online: RwLock<HashSet<AccountNo>>,
    moves: Mutex<Moves>,
    agents: Mutex<Agents>,
    watches: RwLock<Watches>,
    /// Wakes the engine up.
    nudge: Box<dyn Fn() + Send + Sync>,
}

/// What the engine has not looked at yet.
#[derive(Debug, Default)]
struct Moves {
    came: Vec<AccountNo>,
    /// Whose seat was let go, and when last. Those who came back stay in here until it is looked at.
    left: HashMap<AccountNo, Instant>,
    /// None of them left before that, and the engine knows that it will have to look. `None` while
    /// nobody has left.
    since: Option<Instant>,
    /// Sessions that had chats open and whose conversation is over.
    over: Vec<SessionKey>,
}

impl Here {
    pub(super) fn new(nudge: impl Fn() + Send + Sync + 'static) -> Here {
        Here {
            company: Company::default(),
            online: RwLock::default(),
            moves: Mutex::default(),
            agents: Mutex::default(),
            watches: RwLock::default(),
            nudge: Box::new(nudge),
        }
    }

    /// A seat of theirs is held and shows from now on.
    pub(super) fn came(&self, who: AccountNo) {
        if self.is_here(who) {
            return;
        }
        self.lock().came.push(who);
        (self.nudge)();
    }

    /// No such seat is, any more.
    pub(super) fn left(&self, who: AccountNo) {
        let now = Instant::now();
        let mut moves = self.lock();
        moves.left.insert(who, now);
        let is_news = moves.since.is_none();
        moves.since.get_or_insert(now);
        drop(moves);
        if is_news {
            (self.nudge)();
        }
    }

    /// A session's conversation is over, or another one goes on with it: it has nothing open.
    pub(super) fn let_go(&self, key: SessionKey) {
        self.lock().over.push(key);
        (self.nudge)();
    }

    /// Those sessions.
    pub(super) fn take_over(&self) -> Vec<SessionKey> {
        mem::take(&mut self.lock().over)
    }

    /// A session whose client has a name did something.
    pub(super) fn act(&self, who: AccountNo, key: SessionKey, agent: &str) {
        if self.agents().act(who, key, agent) {
            (self.nudge)();
        }
    }

    /// Those whose first seat is held now; they count as here.
    pub(super) fn arrivals(&self) -> Vec<AccountNo> {
        let came = mem::take(&mut self.lock().came);
        if came.is_empty() {
            return came;
        }
        let mut online = self.online.write().unwrap_or_else(PoisonError::into_inner);
        came.into_iter().filter(|who| online.insert(*who)).collect()
    }

    /// Those who have been gone for `grace`, as far as `is_held` has no seat of theirs; they do not
    /// count as here any more.
    pub(super) fn departures(
        &self,
        now: Instant,
        grace: Duration,
        is_held: impl Fn(AccountNo) -> bool,
    ) -> Vec<AccountNo> {
        let mut gone = Vec::new();
        let mut moves = self.lock();
        let lasts = |at: Instant| now.saturating_duration_since(at) < grace;
        if moves.since.is_none_or(lasts) {
            // Too early for anybody. Looking now would forget those who are back, and be told of
            // them again with their next poll.
            return gone;
        }
        moves.left.retain(|who, at| {
            let is_due = !lasts(*at);
            if is_due && !is_held(*who) {
                gone.push(*who);
            }
            !is_due
        });
        moves.since = moves.left.values().min().copied();
        drop(moves);
        self.dismiss(gone, is_held)
    }

    /// Counts people out; those of them who were here.
    pub(super) fn dismiss(
        &self,
        mut gone: Vec<AccountNo>,
        is_held: impl Fn(AccountNo) -> bool,
    ) -> Vec<AccountNo> {
        if gone.is_empty() {
            return gone;
        }
        let mut online = self.online.write().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|who| online.remove(who));
        drop(online);
        // Who took a seat after we had asked was here then, so that nobody spoke of their coming.
        let back = gone.iter().copied().filter(|who| is_held(*who));
        self.lock().came.extend(back);
        gone
    }

    /// When to look for the next of those who left. They may have come back or left again since.
    pub(super) fn next_departure(&self, grace: Duration) -> Option<Instant> {
        self.lock().since.map(|at| at + grace)
    }

    /// Whether somebody came whom the engine has not looked at.
    pub(super) fn has_arrivals(&self) -> bool {
        !self.lock().came.is_empty()
    }

    pub(super) fn agents(&self) -> MutexGuard<'_, Agents> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watches(&self) -> RwLockReadGuard<'_, Watches> {
        self.watches.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the engine alone.
    pub(super) fn watches_mut(&self) -> RwLockWriteGuard<'_, Watches> {
        self.watches.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Moves> {
        // Nothing in here can panic half-way through a change.
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence for Here {
    fn is_here(&self, who: AccountNo) -> bool {
        self.online.read().unwrap_or_else(PoisonError::into_inner).contains(&who)
    }

    fn followers(&self) -> Vec<AccountNo> {
        self.company.followers()
    }

    fn at_table(&self, table: &str) -> Vec<AccountNo> {
        self.company.at_table(table)
    }

    fn agent(&self, who: AccountNo) -> Box<str> {
        self.agents().of(who).into()
    }

    fn watchers(&self, chat: ChatId) -> Vec<AccountNo> {
        self.watches().watchers(chat)
    }

    fn is_awake(&self, chat: ChatId) -> bool {
        self.watches().is_awake(chat)
    }
}

impl fmt::Debug for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Here").field("moves", &self.moves).finish_non_exhaustive()
    }
}

/// Who is typing where, and until when.
#[derive(Debug, Default)]
pub(super) struct Typing {
    people: HashMap<AccountNo, Vec<(Address, Instant)>>,
    count: usize,
}

impl Typing {
    /// Whether one more may begin.
    pub(super) fn has_room(&self) -> bool {
        self.count < TYPING_MAX
    }

    pub(super) fn is_typing(&self, who: AccountNo, chat: &Address) -> bool {
        let chats = self.people.get(&who);
        chats.is_some_and(|chats| chats.iter().any(|(there, _)| there == chat))
    }

    /// They type for `TYPING_SECS` from now on.
    pub(super) fn begin(&mut self, who: AccountNo, chat: Address, now: Instant) {
        let until = now + Duration::from_secs(TYPING_SECS);
        let chats = self.people.entry(who).or_default();
        match chats.iter_mut().find(|(there, _)| *there == chat) {
            Some((_, at)) => *at = until,
            None => {
                chats.push((chat, until));
                self.count += 1;
            }
        }
    }

    pub(super) fn end(&mut self, who: AccountNo, chat: &Address) {
        if let Some(chats) = self.people.get_mut(&who) {
            let before = chats.len();
            chats.retain(|(there, _)| there != chat);
            self.count -= before - chats.len();
            if chats.is_empty() {
                self.people.remove(&who);
            }
        }
    }

    /// Ends everything of somebody who has gone.
    pub(super) fn end_all(&mut self, who: AccountNo) -> Vec<(AccountNo, Address)> {
        let chats = self.people.remove(&who).unwrap_or_default();
        self.count -= chats.len();
        chats.into_iter().map(|(chat, _)| (who, chat)).collect()
    }

    /// Ends what has lasted its time.
    pub(super) fn lapse(&mut self, now: Instant) -> Vec<(AccountNo, Address)> {
        let over: Vec<(AccountNo, Address)> = self
            .people
            .iter()
            .flat_map(|(who, chats)| chats.iter().map(move |(chat, at)| (*who, chat, *at)))
            .filter(|(_, _, at)| *at <= now)
            .map(|(who, chat, _)| (who, chat.clone()))
            .collect();
        for (who, chat) in &over {
            self.end(*who, chat);
        }
        over
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.people.values().flatten().map(|(_, at)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ALICE: AccountNo = AccountNo(1);

    #[test]
    fn seats_that_come_and_go_wake_the_engine_seldom() {
        let nudges = Arc::new(AtomicUsize::new(0));
        let counted = nudges.clone();
        let start = Instant::now();
        let here = Here::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        here.came(ALICE);
        assert!(here.has_arrivals() && !here.is_here(ALICE));
        assert_eq!(here.arrivals(), [ALICE]);
        assert!(here.is_here(ALICE) && here.arrivals().is_empty());
        // A long poll lets go of its seat and takes it again, over and over.
        for _ in 0..100 {
            here.left(ALICE);
            here.came(ALICE);
            // With every message to her the engine is awake and might look.
            assert!(here.departures(start, Duration::from_secs(60), |_| true).is_empty());
        }
        assert_eq!(nudges.load(Ordering::Relaxed), 2, "once for coming, once for going");
        assert!(here.next_departure(Duration::ZERO).is_some());
        assert!(
            here.departures(Instant::now(), Duration::ZERO, |_| true).is_empty(),
            "a seat is held"
        );
        assert!(here.is_here(ALICE) && here.next_departure(Duration::ZERO).is_none());
        here.left(ALICE);
        assert!(here.departures(start, Duration::from_secs(60), |_| false).is_empty(), "not yet");
        assert_eq!(here.departures(Instant::now(), Duration::ZERO, |_| false), [ALICE]);
        assert!(!here.is_here(ALICE));
        here.left(ALICE);
        assert!(
            here.departures(Instant::now(), Duration::ZERO, |_| false).is_empty(),
            "it was gone already"
        );
    }

    #[test]
    fn who_comes_back_while_they_are_counted_out_is_here() {
        let here = Here::new(|| {});
        here.came(ALICE);
        assert_eq!(here.arrivals(), [ALICE]);
        here.left(ALICE);
        let is_held = Cell::new(false);
        let took_it_after_this = |who| {
            let was_held = is_held.replace(true);
            if !was_held {
                here.came(who);
            }
            was_held
        };
        assert_eq!(here.departures(Instant::now(), Duration::ZERO, took_it_after_this), [ALICE]);
        assert_eq!(here.arrivals(), [ALICE]);
        assert!(here.is_here(ALICE));
    }

    #[test]
    fn typing_ends_by_itself_and_is_renewed() {
        let chat = |text| Address::parse(text, "im.test").unwrap();
        let mut typing = Typing::default();
        let start = Instant::now();
        typing.begin(ALICE, chat("bob"), start);
        typing.begin(ALICE, chat("carol"), start);
        let later = start + Duration::from_secs(TYPING_SECS - 1);
        typing.begin(ALICE, chat("bob"), later);
        assert!(typing.lapse(later).is_empty());
        assert_eq!(typing.next_end(), Some(start + Duration::from_secs(TYPING_SECS)));
        let end = start + Duration::from_secs(TYPING_SECS);
        assert_eq!(typing.lapse(end), [(ALICE, chat("carol"))]);
        assert!(typing.is_typing(ALICE, &chat("bob")) && !typing.is_typing(ALICE, &chat("carol")));
        assert_eq!(typing.end_all(ALICE), [(ALICE, chat("bob"))]);
        assert!(typing.next_end().is_none() && typing.count == 0);
    }
}
