//! The places that a chat's messages have after a move.
//!
//! They are counted anew while the lines of a chat go by, from the first message that moves on and as
//! this version counts: an earlier one gave a place to records that have none now, and what is gone
//! of a chat's beginning leaves no hole. Whatever names a place of the old server (an answer, an
//! edit, a mark) is said in the new ones.

use serde_json::{Value, json};

use super::{KINDS, meant};
use crate::domain::words::Kind;

/// Of one chat, as far as its messages have been told.
#[derive(Debug, Default)]
pub struct Places {
    /// From where on in the old places how much is counted in the new ones, ascending: one for the
    /// first message, one for each record that has lost its place.
    steps: Vec<(u64, u64)>,
    /// Of the last message.
    place: u64,
    /// So many records have come since that have none.
    after: u64,
}

impl Places {
    /// Gives the next message of the chat its new place, and those that it names theirs.
    pub fn renumber(&mut self, message: &mut Value) {
        let kind = message["type"].as_str().and_then(|text| meant(&KINDS, text));
        match kind.is_none_or(Kind::has_place) {
            true => (self.place, self.after) = (self.place + 1, 0),
            false => self.after += 1,
        }
        // What is no number is left for `piece` to refuse.
        let Some(seq) = message["seq"].as_u64() else { return };
        if self.reckoned(seq) != self.place {
            self.steps.push((seq, self.place));
        }
        message["seq"] = self.place.into();
        message["after"] = self.after.into();
        for key in ["reply_to", "target", "reach"] {
            if let Some(seq) = message[key].as_u64() {
                message[key] = self.at(seq).into();
            }
        }
    }

    /// How far a member of the chat is, once its messages have been told.
    pub fn mark(&self, member: &Value) -> Value {
        let at = |key: &str| member[key].as_u64().map(|seq| self.at(seq));
        json!({ "id": member["id"], "delivered": at("delivered"), "read": at("read") })
    }

    /// 0 for what lies before the first message.
    fn at(&self, seq: u64) -> u64 {
        let next = self.steps.get(self.steps_to(seq)).map_or(self.place, |(_, place)| *place);
        self.reckoned(seq).min(next)
    }

    fn reckoned(&self, seq: u64) -> u64 {
        let last = self.steps_to(seq).checked_sub(1).and_then(|last| self.steps.get(last));
        last.map_or(0, |(from, place)| place.saturating_add(seq.saturating_sub(*from)))
    }

    fn steps_to(&self, seq: u64) -> usize {
        self.steps.partition_point(|(from, _)| *from <= seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The new places of messages that were told as kind and seq.
    fn counted(places: &mut Places, told: &[(&str, u64)]) -> Vec<(u64, u64)> {
        let mut count = |(kind, seq): &(&str, u64)| {
            let mut message = json!({ "type": kind, "seq": seq });
            places.renumber(&mut message);
            (message["seq"].as_u64().unwrap(), message["after"].as_u64().unwrap())
        };
        told.iter().map(&mut count).collect()
    }

    #[test]
    fn what_has_no_place_follows_the_one_before_it() {
        let mut places = Places::default();
        let told = [("created", 0), ("joined", 0), ("text", 1), ("left", 1), ("text", 2)];
        assert_eq!(counted(&mut places, &told), [(0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]);
        assert_eq!([0, 1, 2, 9].map(|seq| places.at(seq)), [0, 1, 2, 2]);
    }

    #[test]
    fn what_had_a_place_has_none_and_nobody_who_is_named_is_mistaken() {
        let mut places = Places::default();
        // Four were gone before the first.
        let told =
            [("text", 5), ("joined", 6), ("left", 7), ("text", 8), ("joined", 9), ("text", 10)];
        let new = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)];
        assert_eq!(counted(&mut places, &told), new);
        assert_eq!([3, 5, 6, 7, 8, 9, 10].map(|seq| places.at(seq)), [0, 1, 1, 1, 2, 2, 3]);
        let mut answer = json!({ "type": "text", "seq": 11, "reply_to": 8, "target": 4 });
        places.renumber(&mut answer);
        assert_eq!((&answer["reply_to"], &answer["target"]), (&json!(2), &json!(0)));
        let mark = places.mark(&json!({ "id": "bob", "read": 9, "delivered": 11, "want": "R" }));
        assert_eq!(mark, json!({ "id": "bob", "read": 2, "delivered": 4 }));
    }

    #[test]
    fn a_chat_that_begins_with_its_clearing_begins_at_nothing() {
        let mut places = Places::default();
        let mut cleared = json!({ "type": "cleared", "seq": 5, "after": 1, "reach": 5 });
        places.renumber(&mut cleared);
        let place = json!({ "type": "cleared", "seq": 0, "after": 1, "reach": 0 });
        assert_eq!(cleared, place);
        assert_eq!(counted(&mut places, &[("text", 6), ("text", 7)]), [(1, 0), (2, 0)]);
        // No number at all is somebody else's to refuse.
        let mut odd = json!({ "type": "song", "seq": -1, "reply_to": "x" });
        places.renumber(&mut odd);
        assert_eq!(odd["seq"], -1);
    }
}
