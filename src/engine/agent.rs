//! With which client somebody is here: the one that did something last, of those that have a name.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use crate::domain::id::{AccountNo, SessionKey};
use crate::limits::AGENT_EVERY_SECS;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Agents {
    people: HashMap<AccountNo, Client>,
    /// Those for whom it may be another one than others were told.
    changed: Vec<AccountNo>,
}

#[derive(Debug)]
struct Client {
    /// The session that did something last.
    session: SessionKey,
    agent: Box<str>,
    /// What others know. Empty: nothing.
    told: Box<str>,
    /// When they last heard of a change.
    told_at: Option<Instant>,
    /// Of a session that went since: with the last of them they are seen last.
    left_with: Option<Box<str>>,
}

impl Agents {
    /// A session that has a name did something. True: the engine should look.
    pub(super) fn act(&mut self, who: AccountNo, session: SessionKey, agent: &str) -> bool {
        let client = self.people.entry(who).or_insert_with(|| Client {
            session,
            agent: "".into(),
            told: "".into(),
            told_at: None,
            left_with: None,
        });
        client.left_with = None;
        if client.session == session && *client.agent == *agent {
            return false;
        }
        client.session = session;
        if *client.agent != *agent {
            client.agent = agent.into();
        }
        let is_news = client.agent != client.told && !self.changed.contains(&who);
        if is_news {
            self.changed.push(who);
        }
        is_news
    }

    /// A session that has a name is gone. The others may stay.
    pub(super) fn leave(&mut self, who: AccountNo, agent: &str) {
        if let Some(client) = self.people.get_mut(&who) {
            client.left_with = Some(agent.into());
        }
    }

    /// What somebody is here with; empty where it has no name.
    pub(super) fn of(&self, who: AccountNo) -> &str {
        self.people.get(&who).map_or("", |client| &client.agent)
    }

    /// Others were told it, as they were told that somebody came.
    pub(super) fn came(&mut self, who: AccountNo) {
        if let Some(client) = self.people.get_mut(&who) {
            client.told = client.agent.clone();
        }
    }

    /// Forgets somebody who has gone, and says what they were here with.
    pub(super) fn gone(&mut self, who: AccountNo) -> Box<str> {
        let client = self.people.remove(&who);
        client.map_or("".into(), |client| client.left_with.unwrap_or(client.agent))
    }

    /// Changes that others hear of now: not of those who are not here yet, whose coming tells it.
    pub(super) fn changes(
        &mut self,
        now: Instant,
        is_here: impl Fn(AccountNo) -> bool,
    ) -> Vec<(AccountNo, Box<str>)> {
        let mut due = Vec::new();
        for who in mem::take(&mut self.changed) {
            let Some(client) = self.people.get_mut(&who) else { continue };
            if client.agent == client.told || !is_here(who) {
                continue;
            }
            if client.next_change().is_some_and(|at| now < at) {
                self.changed.push(who);
                continue;
            }
            client.told = client.agent.clone();
            client.told_at = Some(now);
            due.push((who, client.agent.clone()));
        }
        due
    }

    /// When to ask for changes again; `now` where nothing speaks against it.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let at = |who| self.people.get(who).and_then(Client::next_change).unwrap_or(now);
        self.changed.iter().map(at).min()
    }
}

impl Client {
    /// No change is told before.
    fn next_change(&self) -> Option<Instant> {
        self.told_at.map(|at| at + Duration::from_secs(AGENT_EVERY_SECS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountNo = AccountNo(1);
    const PHONE: SessionKey = SessionKey([1; 16]);
    const DESK: SessionKey = SessionKey([2; 16]);

    #[test]
    fn changes_are_told_once_a_minute_and_the_last_of_them_counts() {
        let mut agents = Agents::default();
        let start = Instant::now();
        let later = |secs| start + Duration::from_secs(secs);
        let told = |agents: &mut Agents, now| {
            agents.changes(now, |_| true).into_iter().map(|(_, agent)| agent).collect::<Vec<_>>()
        };
        assert!(agents.act(ALICE, PHONE, "phone"));
        agents.came(ALICE);
        assert!(!agents.act(ALICE, PHONE, "phone"));
        assert!(told(&mut agents, start).is_empty(), "they were told as she came");
        assert_eq!(agents.next_change(start), None);
        assert!(agents.act(ALICE, DESK, "desk"));
        assert_eq!(agents.next_change(start), Some(start));
        assert_eq!(told(&mut agents, start), ["desk".into()]);
        // To and fro within the minute.
        assert!(agents.act(ALICE, PHONE, "phone"));
        assert!(!agents.act(ALICE, DESK, "desk"));
        assert!(!agents.act(ALICE, PHONE, "phone"));
        assert!(told(&mut agents, later(AGENT_EVERY_SECS - 1)).is_empty());
        assert_eq!(agents.next_change(later(1)), Some(later(AGENT_EVERY_SECS)));
        assert_eq!(agents.of(ALICE), "phone");
        assert_eq!(told(&mut agents, later(AGENT_EVERY_SECS)), ["phone".into()]);
        agents.act(ALICE, DESK, "desk");
        agents.act(ALICE, PHONE, "phone");
        assert!(told(&mut agents, later(3 * AGENT_EVERY_SECS)).is_empty(), "nothing has changed");
        assert_eq!(agents.next_change(start), None);
    }

    #[test]
    fn who_goes_is_seen_last_with_what_they_went_with() {
        let mut agents = Agents::default();
        agents.act(ALICE, PHONE, "phone");
        agents.act(ALICE, DESK, "desk");
        agents.leave(ALICE, "desk");
        agents.leave(ALICE, "phone");
        assert_eq!(&*agents.gone(ALICE), "phone");
        assert_eq!(agents.of(ALICE), "");
        assert_eq!(&*agents.gone(ALICE), "");
        agents.act(ALICE, PHONE, "phone");
        agents.act(ALICE, DESK, "desk");
        agents.leave(ALICE, "phone");
        agents.act(ALICE, DESK, "desk");
        assert_eq!(&*agents.gone(ALICE), "desk");
    }

    #[test]
    fn nobody_hears_of_the_client_of_somebody_who_is_not_here() {
        let mut agents = Agents::default();
        let now = Instant::now();
        assert!(agents.act(ALICE, PHONE, "phone"));
        assert!(agents.changes(now, |_| false).is_empty());
        assert_eq!(agents.next_change(now), None);
    }
}
