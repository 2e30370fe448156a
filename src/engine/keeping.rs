//! How long what was written is kept. About once a day the time is noted and every chat is looked at,
//! a slice at a time while nothing else is to do: what is too old goes for everybody.
//!
//! **Nothing goes by a clock that is not believed.** Then it is looked at again in an hour.

use std::time::{Duration, Instant};

use crate::domain;
use crate::domain::id::{ChatId, MessageId, Timestamp};
use crate::engine::clock::Trust;
use crate::engine::turn::Engine;
use crate::limits::{
    LOOK_AGAIN_SECS, LOOK_CHATS, LOOK_EVERY_SECS, LOOK_FIRST_SECS, LOOK_REST_SECS, LOOK_WEIGHT,
};
use crate::store::{Look, Store, StoreError, Tx};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Debug)]
pub(super) struct Keeping {
    trust: Trust,
    /// The next look, by the steady clock.
    next: Duration,
    pub(super) round: Option<Round>,
}

/// A look at all chats, under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    at: Timestamp,
    /// What the server keeps, in days.
    server: Option<u32>,
    /// From then on it does not wait for a moment of rest any more.
    late: Instant,
    /// Chats up to this one were looked at.
    after: ChatId,
    /// In so many of them something went,
    chats: usize,
    /// all of it older than this.
    before: MessageId,
}

impl Keeping {
    /// `now`: by the steady clock.
    pub(super) fn new(now: Duration) -> Keeping {
        let next = now + Duration::from_secs(LOOK_FIRST_SECS);
        Keeping { trust: Trust::default(), next, round: None }
    }
}

impl Engine {
    /// When to wake up for it.
    pub(super) fn keeping_due(&self) -> Instant {
        match self.keeping.round {
            Some(round) => self.removal_due().min(self.removal_at.max(round.late)),
            None => self.core.clock.at(self.keeping.next),
        }
    }

    pub(super) fn is_keeping_due(&self, now: Instant) -> bool {
        match self.keeping.round {
            Some(_) => now >= self.keeping_due(),
            None => self.core.clock.steady() >= self.keeping.next,
        }
    }

    /// A look at the clock, or a slice of what follows from it.
    pub(super) fn keep(&mut self, now: Instant) -> Result<(), String> {
        if !self.store.has_room() {
            // What goes makes room, and needs some before.
            self.store.drop_ballast();
        }
        match self.keeping.round {
            Some(round) => {
                self.put_off_removal(now);
                self.go_on(round)
            }
            None => self.look_at_clock(now),
        }
    }

    fn look_at_clock(&mut self, now: Instant) -> Result<(), String> {
        let (wall, steady) = (self.core.clock.wall(), self.core.clock.steady());
        self.keeping.next = steady + Duration::from_secs(LOOK_AGAIN_SECS);
        if !self.keeping.trust.believes(self.core.noted(), wall, steady) {
            log::warn!("the clock has leapt: nothing ends by it before it has proven right");
            return Ok(());
        }
        // Before sessions can end by it.
        self.sweep(now)?;
        match self.store.write(|tx| tx.put_day(wall)) {
            Ok(()) => {
                self.core.note(wall);
                self.keeping.next = steady + Duration::from_secs(LOOK_EVERY_SECS);
                self.keeping.round = Some(Round::new(wall, self.core.config().history.days(), now));
                Ok(())
            }
            Err(error) => self.settle(Err(error)),
        }
    }

    fn go_on(&mut self, round: Round) -> Result<(), String> {
        match round.slice(&mut self.store) {
            Ok(round) => {
                self.keeping.round = round;
                Ok(())
            }
            Err(error) => self.settle(Err(error)),
        }
    }
}

impl Round {
    fn new(at: Timestamp, server: Option<u32>, now: Instant) -> Round {
        let late = now + Duration::from_secs(LOOK_REST_SECS);
        let after = match server {
            Some(_) => ChatId(0),
            // Their owners may want less.
            None => ChatId(ChatId::FIRST_GROUP - 1),
        };
        Round { at, server, late, after, chats: 0, before: MessageId(0) }
    }

    /// What is left to do afterwards.
    fn slice(self, store: &mut Store) -> Result<Option<Round>, StoreError> {
        let (round, is_over) = store.write(|tx| self.look(tx))?;
        if !is_over {
            return Ok(Some(round));
        }
        // What waits for a merge is removed by it.
        if round.chats > 0 && store.has_waiting(round.before) && store.has_room() {
            store.merge()?;
            return Ok(Some(round));
        }
        if round.chats > 0 {
            log::info!("what was too old has gone from {} chats", round.chats);
        }
        Ok(None)
    }

    /// Some more chats, and whether there are none left.
    fn look(mut self, tx: &mut Tx<'_>) -> Result<(Round, bool), StoreError> {
        let mut work = 0;
        while work < LOOK_CHATS {
            let groups_only = self.server.is_none();
            let next = tx.chat_after(self.after)?;
            let Some(chat) = next.filter(|chat| !groups_only || chat.is_group()) else {
                return Ok((self, true));
            };
            self.after = chat;
            work += 1;
            match self.look_at(tx, chat) {
                Ok(None) => {}
                Ok(Some(before)) => {
                    self.chats += 1;
                    self.before = self.before.max(before);
                    work += LOOK_WEIGHT;
                }
                Err(StoreError::Damaged(what)) => {
                    log::error!("what is too old stays because of a damaged record: {what}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((self, false))
    }

    /// Before which message something went.
    fn look_at(&self, tx: &mut Tx<'_>, chat: ChatId) -> Result<Option<MessageId>, StoreError> {
        let Some(days) = domain::days_kept(tx, chat, self.server)? else { return Ok(None) };
        let by = Timestamp(self.at.0.saturating_sub(u64::from(days) * DAY_MS));
        let Some((_, before)) = tx.day(by)? else { return Ok(None) };
        Ok(domain::expire(tx, chat, before)?.then_some(before))
    }
}
