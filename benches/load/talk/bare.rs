//! The least that a protocol of messages can be, spoken by `crate::bare`: what is left of a row
//! when a server does nothing but pass bytes on.

use super::{Guest, Heard, Talk, lossy};
use crate::text::Text;

const LINE_BYTES_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Bare {
    login: String,
}

impl Bare {
    pub(super) fn new(guest: Guest) -> Bare {
        Bare { login: guest.login }
    }
}

impl Talk for Bare {
    fn open(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("I {}\n", self.login).as_bytes());
    }

    fn hear(&mut self, input: &[u8], _out: &mut Vec<u8>) -> Result<Option<(usize, Heard)>, String> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            let is_endless = input.len() > LINE_BYTES_MAX;
            return if is_endless { Err("a line without end".into()) } else { Ok(None) };
        };
        let heard = match &input[..end] {
            b"I" => Heard::Ready,
            b"J" => Heard::Done,
            b"A" => Heard::Answered,
            [b'M', b' ', text @ ..] => Text::read(text).map_or(Heard::Nothing, Heard::Message),
            line => return Err(lossy(line)),
        };
        Ok(Some((end + 1, heard)))
    }

    fn say(&mut self, to: &str, text: Text, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("M {to} {}\n", text.write()).as_bytes());
    }

    fn enter(&mut self, _room: &str, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(b"J\n");
        true
    }

    /// There is one room.
    fn tell(&mut self, _room: &str, text: Text, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("M * {}\n", text.write()).as_bytes());
    }

    fn look_back(&mut self, _with: &str, _out: &mut Vec<u8>) {}

    fn catch_up(&mut self, _out: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::super::testing::{guest, hear_all};
    use super::*;

    #[test]
    fn four_words_are_all_there_is() {
        let text = Text { stamp: 4, lane: 2 };
        let said = format!("I\nJ\nA\nM {}\n", text.write());
        let (heard, out) = hear_all(|| Box::new(Bare::new(guest("bob"))), said.as_bytes());
        assert_eq!(heard, [Heard::Ready, Heard::Done, Heard::Answered, Heard::Message(text)]);
        assert_eq!(out, "I bob\n");
        let mut bare = Bare::new(guest("bob"));
        assert!(bare.hear(b"what\n", &mut Vec::new()).is_err());
    }
}
