//! Searching: a scan with folded case, newest first, in slices, so that no read transaction lives
//! long and the writer never waits.
//!
//! Ids are the order of everything, so a search goes through stretches of ids from the newest down,
//! and through every chat within each: what it finds is in order without anything being sorted
//! twice. A stretch grows while it holds little.

use crate::domain::eyes::Eyes;
use crate::domain::id::{AccountNo, Address, MessageId};
use crate::domain::merge::weight;
use crate::domain::words::{Kind, MessageView, Refusal, Reply};
use crate::domain::{Fault, chat};
use crate::limits::{
    ANSWER_BYTES_MAX, SEARCH_BYTES_MAX, SEARCH_COUNT_MAX, SEARCH_RECORDS_MAX, SEARCH_SLICE,
    SEARCH_TEXT_BYTES,
};
use crate::store::{Look, StoreError};

/// One search under way.
#[derive(Debug)]
pub(in crate::domain) struct Search {
    me: AccountNo,
    needle: String,
    chat: Option<Address>,
    count: usize,
    /// Everything at or above this has been looked at.
    till: MessageId,
    /// How many ids the next stretch has.
    stretch: u64,
    looked_at: usize,
    bytes: usize,
    found: Vec<MessageView>,
    state: State,
}

/// Where a search stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    /// There is nothing below.
    AtTheEnd,
    /// The answer is full, or enough was looked at.
    Enough,
}

impl Search {
    /// `text` as people type it; `before`: only what is older.
    pub(in crate::domain) fn new(
        me: AccountNo,
        text: &str,
        chat: Option<Address>,
        before: MessageId,
        count: u32,
    ) -> Result<Search, Fault> {
        if text.trim().is_empty() {
            return Err(Refusal::TextEmpty.into());
        }
        if text.len() > SEARCH_BYTES_MAX {
            return Err(Refusal::TextTooLong.into());
        }
        if count == 0 {
            return Err(Refusal::BadRange.into());
        }
        let mut needle = String::new();
        fold(text.trim(), &mut needle);
        Ok(Search {
            me,
            needle,
            chat,
            count: count.min(SEARCH_COUNT_MAX) as usize,
            till: before,
            stretch: SEARCH_SLICE as u64,
            looked_at: 0,
            bytes: 0,
            found: Vec::new(),
            state: State::UnderWay,
        })
    }

    /// Slices until it is done; `each` reads one of them on a snapshot of its own.
    pub(in crate::domain) fn run(
        mut self,
        mut each: impl FnMut(&mut Search) -> Result<(), Fault>,
    ) -> Result<Reply, Fault> {
        while self.state == State::UnderWay {
            each(&mut self)?;
        }
        let more = self.state == State::Enough;
        Ok(Reply::Found { messages: self.found, more, till: self.till })
    }

    /// Looks through about `SEARCH_SLICE` messages.
    pub(in crate::domain) fn slice(&mut self, look: &impl Look) -> Result<(), Fault> {
        let chats = match &self.chat {
            Some(address) => vec![chat::readable(look, self.me, address)?],
            None => chat::readables(look, self.me)?,
        };
        let newest = chats.iter().map(|chat| chat.head.id).max().unwrap_or_default();
        self.till = self.till.min(MessageId(newest.0.saturating_add(1)));
        let oldest = chats.iter().map(|chat| chat.horizon).min().unwrap_or_default();
        let mut seen = 0;
        while self.state == State::UnderWay && seen < SEARCH_SLICE {
            seen += self.stretch(look, &chats)?;
            if self.till.0 <= oldest.0.saturating_add(1) && self.state == State::UnderWay {
                self.state = State::AtTheEnd;
            }
        }
        self.looked_at += seen;
        if self.looked_at >= SEARCH_RECORDS_MAX && self.state == State::UnderWay {
            self.state = State::Enough;
        }
        Ok(())
    }

    /// Looks through the next stretch of ids in every chat. How many messages there were, a long one
    /// counting as several.
    fn stretch(&mut self, look: &impl Look, chats: &[chat::Readable]) -> Result<usize, StoreError> {
        let low = MessageId(self.till.0.saturating_sub(self.stretch).saturating_sub(1));
        let mut seen = 0;
        let mut hits: Vec<(MessageId, usize)> = Vec::new();
        let mut folded = String::new();
        // Where messages lie denser than they did above, a stretch that grew there is too long.
        let most = if self.stretch > SEARCH_SLICE as u64 { 4 * SEARCH_SLICE } else { usize::MAX };
        for (place, chat) in chats.iter().enumerate() {
            let after = low.max(chat.horizon);
            let mut left = most - seen;
            look.glance(chat.chat, after, self.till, &mut |glance| {
                if matches!(glance.kind, Kind::Text | Kind::Formatted) {
                    folded.clear();
                    fold(glance.text, &mut folded);
                    if folded.contains(&self.needle) {
                        hits.push((glance.id, place));
                    }
                }
                let work = 1 + glance.text.len() / SEARCH_TEXT_BYTES;
                seen += work;
                left = left.saturating_sub(work);
                left > 0
            })?;
            if seen >= most {
                self.stretch = (self.stretch / 8).max(SEARCH_SLICE as u64);
                return Ok(seen);
            }
        }
        hits.sort_unstable_by_key(|hit| std::cmp::Reverse(*hit));
        let mut eyes = Eyes::new(look, self.me);
        let count = hits.len();
        for (nth, (id, place)) in hits.into_iter().enumerate() {
            self.take(look, &mut eyes, &chats[place], id)?;
            self.till = id;
            if self.found.len() == self.count || self.bytes > ANSWER_BYTES_MAX {
                // Something may lie below, unless this was the last of everything.
                let is_last = nth + 1 == count && low.0 == 0;
                self.state = if is_last { State::AtTheEnd } else { State::Enough };
                return Ok(seen);
            }
        }
        self.till = MessageId(low.0.saturating_add(1));
        if seen < SEARCH_SLICE / 2 {
            self.stretch = self.stretch.saturating_mul(2);
        } else if seen > 2 * SEARCH_SLICE {
            self.stretch = (self.stretch / 2).max(SEARCH_SLICE as u64 / 4);
        }
        Ok(seen)
    }

    fn take<L: Look>(
        &mut self,
        look: &L,
        eyes: &mut Eyes<'_, L>,
        chat: &chat::Readable,
        id: MessageId,
    ) -> Result<(), StoreError> {
        let (before, after) =
            (MessageId(id.0.saturating_sub(1)), MessageId(id.0.saturating_add(1)));
        if !look.hidden(self.me, chat.chat, before, after)?.is_empty() {
            return Ok(());
        }
        if let Some(message) = look.message(chat.chat, id)? {
            let view = eyes.see(&message, &chat.window(look, self.me)?, false)?;
            self.bytes += weight(&view);
            self.found.push(view);
        }
        Ok(())
    }
}

/// Lower case, as Unicode has it for every script; most of what is written needs no table. A sigma
/// is one letter wherever it stands in its word.
fn fold(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
    } else {
        let lower = text.chars().flat_map(char::to_lowercase);
        out.extend(lower.map(|c| if c == 'ς' { 'σ' } else { c }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::testing::{Me, World, address, ids};
    use crate::domain::words::{Command, Query, Whom};

    fn found(
        world: &World,
        me: Me,
        text: &str,
        chat: Option<&str>,
        before: MessageId,
        count: u32,
    ) -> Result<(Vec<u64>, bool, MessageId), Refusal> {
        let chat = chat.map(address);
        let query = Query::Search { text: text.into(), chat, before, count };
        match world.read(me, &query)? {
            Reply::Found { messages, more, till } => Ok((ids(&messages), more, till)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pages_of_a_search_are_everything_that_is_there_newest_first() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        let mut expected = Vec::new();
        for n in 0..60 {
            let to = ["bob", "carol", "alice"][n % 3];
            let text = if n % 4 == 0 { "Большой ЖУК" } else { "nothing" };
            let id = world.sent(alice, to, text);
            if n % 4 == 0 {
                expected.push(id.0);
            }
            // What others say to each other is none of hers.
            world.sent(bob, "carol", "жук");
        }
        expected.reverse();
        let (all, more, _) = found(&world, alice, "жук", None, MessageId::END, 100).unwrap();
        assert_eq!((&all, more), (&expected, false));
        for count in [1, 2, 7, 14, 15] {
            let (mut pages, mut before) = (Vec::new(), MessageId::END);
            loop {
                let (page, more, till) =
                    found(&world, alice, " Жук ", None, before, count).unwrap();
                assert!(page.len() <= count as usize && till < before);
                pages.extend(page);
                before = till;
                if !more {
                    break;
                }
            }
            assert_eq!(pages, expected, "{count} at a time");
        }
        let with_bob = found(&world, alice, "жук", Some("bob"), MessageId::END, 100).unwrap().0;
        assert!(with_bob.len() == 5 && with_bob.iter().all(|id| expected.contains(id)));
        assert_eq!(
            found(&world, carol, "жук", Some("bob"), MessageId::END, 100).unwrap().0.len(),
            60
        );
    }

    #[test]
    fn what_is_gone_is_not_found_and_what_changed_is_found_as_it_is() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let chat = || address("bob");
        let [a, b, c] =
            ["apple one", "apple two", "apple three"].map(|t| world.sent(alice, "bob", t));
        let edit =
            Command::Edit { chat: chat(), id: a, text: "pear".into(), spans: Box::default() };
        world.ask(alice, edit);
        let delete = |id, whom| Command::Delete { chat: chat(), id, whom };
        world.ask(alice, delete(b, Whom::All));
        let search =
            |world: &World, me, text| found(world, me, text, None, MessageId::END, 9).unwrap().0;
        assert_eq!(search(&world, alice, "apple"), [c.0]);
        assert_eq!(search(&world, bob, "PEAR"), [a.0]);
        world.ask(alice, delete(c, Whom::Me));
        assert!(search(&world, alice, "apple").is_empty());
        assert_eq!(search(&world, bob, "apple"), [c.0]);
        world.ask(alice, Command::Clear { chat: chat(), whom: Whom::All, till: None });
        assert!(search(&world, bob, "apple").is_empty() && search(&world, bob, "pear").is_empty());
    }

    #[test]
    fn long_texts_count_as_several_messages() {
        let (mut world, [alice]) = World::of(["alice"]);
        let text = "x".repeat(world.limits.max_text_bytes);
        for _ in 0..4 {
            world.sent(alice, "alice", &text);
        }
        let mut search = Search::new(alice.account, "y", None, MessageId::END, 9).unwrap();
        let reader = world.store.reader();
        reader.read(|look| Ok(search.slice(look).is_ok())).unwrap();
        assert_eq!(search.looked_at, 4 * (1 + text.len() / SEARCH_TEXT_BYTES));
    }

    #[test]
    fn a_search_needs_words_and_a_chat_of_mine() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        world.sent(alice, "bob", "x");
        let ask = |text: &str, chat, count| found(&world, alice, text, chat, MessageId::END, count);
        assert_eq!(ask(" \t", None, 1), Err(Refusal::TextEmpty));
        assert_eq!(ask(&"x".repeat(SEARCH_BYTES_MAX + 1), None, 1), Err(Refusal::TextTooLong));
        assert_eq!(ask("x", None, 0), Err(Refusal::BadRange));
        assert_eq!(ask("x", Some("alice"), 1), Err(Refusal::NoSuchChat));
        assert_eq!(ask("x", Some("nobody"), 1), Err(Refusal::NoSuchChat));
    }

    #[test]
    fn case_is_folded_in_every_script() {
        for (text, folded) in [
            ("Hello, WORLD", "hello, world"),
            ("Ёлка и ЖУК", "ёлка и жук"),
            ("ÉCOLE Œuvre À Noël", "école œuvre à noël"),
            ("ΔΡΟΜΟΣ δρομος", "δρομοσ δρομοσ"),
            ("", ""),
        ] {
            let mut out = String::new();
            fold(text, &mut out);
            assert_eq!(out, folded);
        }
    }
}
