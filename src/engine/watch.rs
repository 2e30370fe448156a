//! Which sessions have which groups open: what is known only while they are.
//!
//! **A group is awake from its first watcher on, and until `AWAKE_SECS` after its last one went.**
//! Direct chats are not in here: nobody is told who has them open.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::domain::id::{AccountNo, ChatId, SessionKey};
use crate::limits::{AWAKE_SECS, WATCHES_MAX, WATCHES_PER_SESSION_MAX};

/// See the module. Changed by the engine only.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// Those that are awake, with those who have them open and with how many sessions.
    groups: HashMap<ChatId, Vec<(AccountNo, usize)>>,
    sessions: HashMap<SessionKey, Vec<ChatId>>,
    /// Of all sessions together.
    count: usize,
    /// Groups that nobody has open any more. The one that falls asleep first is in front.
    dozing: VecDeque<(Instant, ChatId)>,
}

/// Something that others may hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// The first session of somebody has a group open, or the last not any more.
    Watching { chat: ChatId, who: AccountNo, on: bool },
    /// A group woke up or fell asleep.
    Awake { chat: ChatId, on: bool },
}

/// There is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Watches {
    /// A session has a group open from now on.
    pub(super) fn begin(
        &mut self,
        chat: ChatId,
        (who, key): (AccountNo, SessionKey),
        shifts: &mut Vec<Shift>,
    ) -> Result<(), Full> {
        let open = self.sessions.get(&key).map_or(&[][..], |chats| chats);
        if open.contains(&chat) {
            return Ok(());
        }
        if open.len() >= WATCHES_PER_SESSION_MAX || self.count >= WATCHES_MAX {
            return Err(Full);
        }
        self.sessions.entry(key).or_default().push(chat);
        self.count += 1;
        if !self.groups.contains_key(&chat) {
            shifts.push(Shift::Awake { chat, on: true });
        }
        self.dozing.retain(|(_, dozing)| *dozing != chat);
        let watchers = self.groups.entry(chat).or_default();
        match watchers.iter_mut().find(|(watcher, _)| *watcher == who) {
            Some((_, sessions)) => *sessions += 1,
            None => {
                watchers.push((who, 1));
                shifts.push(Shift::Watching { chat, who, on: true });
            }
        }
        Ok(())
    }

    /// It has not, any more.
    pub(super) fn end(
        &mut self,
        chat: ChatId,
        (who, key): (AccountNo, SessionKey),
        now: Instant,
        shifts: &mut Vec<Shift>,
    ) {
        let Some(open) = self.sessions.get_mut(&key) else { return };
        let before = open.len();
        open.retain(|there| *there != chat);
        let had_it = open.len() < before;
        if open.is_empty() {
            self.sessions.remove(&key);
        }
        if had_it {
            self.count -= 1;
            self.close(chat, who, now, shifts);
        }
    }

    /// The session has nothing open any more.
    pub(super) fn end_all(
        &mut self,
        (who, key): (AccountNo, SessionKey),
        now: Instant,
        shifts: &mut Vec<Shift>,
    ) {
        for chat in self.sessions.remove(&key).unwrap_or_default() {
            self.count -= 1;
            self.close(chat, who, now, shifts);
        }
    }

    fn close(&mut self, chat: ChatId, who: AccountNo, now: Instant, shifts: &mut Vec<Shift>) {
        let Some(watchers) = self.groups.get_mut(&chat) else { return };
        if let Some((_, sessions)) = watchers.iter_mut().find(|(watcher, _)| *watcher == who) {
            *sessions -= 1;
        }
        let before = watchers.len();
        watchers.retain(|(_, sessions)| *sessions > 0);
        if watchers.len() < before {
            shifts.push(Shift::Watching { chat, who, on: false });
            if watchers.is_empty() {
                self.dozing.push_back((now + Duration::from_secs(AWAKE_SECS), chat));
            }
        }
    }

    /// Puts to sleep what has dozed for its time.
    pub(super) fn lapse(&mut self, now: Instant, shifts: &mut Vec<Shift>) {
        while let Some((_, chat)) = self.dozing.front().copied().filter(|(at, _)| *at <= now) {
            self.dozing.pop_front();
            self.groups.remove(&chat);
            shifts.push(Shift::Awake { chat, on: false });
        }
    }

    pub(super) fn next_lapse(&self) -> Option<Instant> {
        self.dozing.front().map(|(at, _)| *at)
    }

    /// Whether no session has anything open.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_awake(&self, chat: ChatId) -> bool {
        self.groups.contains_key(&chat)
    }

    pub(super) fn watchers(&self, chat: ChatId) -> Vec<AccountNo> {
        let watchers = self.groups.get(&chat).map_or(&[][..], |watchers| watchers);
        watchers.iter().map(|(who, _)| *who).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountNo = AccountNo(1);
    const BOB: AccountNo = AccountNo(2);
    const GARDEN: ChatId = ChatId(1);
    const CELLAR: ChatId = ChatId(2);

    fn key(number: u8) -> SessionKey {
        SessionKey([number; 16])
    }

    /// What others would hear of it.
    fn told(work: impl FnOnce(&mut Vec<Shift>)) -> Vec<Shift> {
        let mut shifts = Vec::new();
        work(&mut shifts);
        shifts
    }

    fn awake(on: bool) -> Shift {
        Shift::Awake { chat: GARDEN, on }
    }

    fn watching(who: AccountNo, on: bool) -> Shift {
        Shift::Watching { chat: GARDEN, who, on }
    }

    #[test]
    fn the_first_session_and_the_last_are_told_of() {
        let mut watches = Watches::default();
        let now = Instant::now();
        let phone = (ALICE, key(1));
        let desk = (ALICE, key(2));
        let mut begin = |who| told(|shifts| watches.begin(GARDEN, who, shifts).unwrap());
        assert_eq!(begin(phone), [awake(true), watching(ALICE, true)]);
        assert_eq!(begin(desk), []);
        assert_eq!(begin(desk), [], "it has it open already");
        assert_eq!(begin((BOB, key(3))), [watching(BOB, true)]);
        assert_eq!(watches.watchers(GARDEN), [ALICE, BOB]);
        let mut end = |who| told(|shifts| watches.end(GARDEN, who, now, shifts));
        assert_eq!(end(phone), []);
        assert_eq!(end(phone), [], "it had it open no more");
        assert_eq!(end(desk), [watching(ALICE, false)]);
        assert_eq!(end((BOB, key(3))), [watching(BOB, false)]);
        assert!(watches.is_empty() && watches.sessions.is_empty());
        assert!(watches.watchers(GARDEN).is_empty());
    }

    #[test]
    fn a_group_falls_asleep_a_while_after_its_last_watcher_went() {
        let mut watches = Watches::default();
        let start = Instant::now();
        let later = |secs| start + Duration::from_secs(secs);
        let alice = (ALICE, key(1));
        told(|shifts| watches.begin(GARDEN, alice, shifts).unwrap());
        assert!(watches.next_lapse().is_none());
        told(|shifts| watches.end_all(alice, start, shifts));
        assert!(watches.is_awake(GARDEN));
        assert_eq!(watches.next_lapse(), Some(later(AWAKE_SECS)));
        assert_eq!(told(|shifts| watches.lapse(later(AWAKE_SECS - 1), shifts)), []);
        // Coming back in time wakes nobody, and the time begins anew.
        let back = told(|shifts| watches.begin(GARDEN, alice, shifts).unwrap());
        assert_eq!(back, [watching(ALICE, true)]);
        assert!(watches.next_lapse().is_none());
        told(|shifts| watches.end(GARDEN, alice, later(4), shifts));
        assert_eq!(told(|shifts| watches.lapse(later(AWAKE_SECS), shifts)), []);
        assert_eq!(told(|shifts| watches.lapse(later(AWAKE_SECS + 4), shifts)), [awake(false)]);
        assert!(!watches.is_awake(GARDEN) && watches.next_lapse().is_none());
    }

    #[test]
    fn a_session_has_only_so_many_open() {
        let mut watches = Watches::default();
        let mut shifts = Vec::new();
        let mut begin = |chat, who| watches.begin(ChatId(chat), who, &mut shifts);
        let most = WATCHES_PER_SESSION_MAX as u64;
        for chat in 0..most {
            assert_eq!(begin(chat, (ALICE, key(1))), Ok(()));
        }
        assert_eq!(begin(most, (ALICE, key(1))), Err(Full));
        assert_eq!(begin(0, (ALICE, key(1))), Ok(()), "it has it open already");
        assert_eq!(begin(most, (ALICE, key(2))), Ok(()));
        for session in 3..=(WATCHES_MAX / WATCHES_PER_SESSION_MAX) as u8 {
            for chat in 0..most {
                assert_eq!(begin(chat, (BOB, key(session))), Ok(()));
            }
        }
        for chat in 1..most {
            assert_eq!(begin(chat, (ALICE, key(2))), Ok(()));
        }
        assert_eq!(begin(0, (BOB, key(0))), Err(Full), "all sessions together");
        let now = Instant::now();
        watches.end(CELLAR, (ALICE, key(1)), now, &mut Vec::new());
        assert_eq!(watches.begin(CELLAR, (BOB, key(0)), &mut Vec::new()), Ok(()));
    }
}
