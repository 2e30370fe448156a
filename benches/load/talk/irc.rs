//! IRC as RFC 2812 has it: a nick is a login, a channel is a room, nothing is acknowledged and
//! nothing kept.

use super::{Guest, Heard, Talk, after, lossy};
use crate::text::Text;

/// A line of RFC 2812 has 512 bytes; extensions have made it more.
const LINE_BYTES_MAX: usize = 8192;

#[derive(Debug)]
pub(super) struct Irc {
    nick: String,
}

impl Irc {
    pub(super) fn new(guest: Guest) -> Irc {
        Irc { nick: guest.login }
    }
}

impl Talk for Irc {
    fn open(&mut self, out: &mut Vec<u8>) {
        let nick = &self.nick;
        out.extend_from_slice(format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n").as_bytes());
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Heard)>, String> {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            let is_endless = input.len() > LINE_BYTES_MAX;
            return if is_endless { Err("a line without end".into()) } else { Ok(None) };
        };
        let line = input[..end].trim_ascii_end();
        let mut words = line.split(|byte| *byte == b' ');
        let mut command = words.next().unwrap_or_default();
        if command.starts_with(b":") {
            command = words.next().unwrap_or_default();
        }
        let heard = match command {
            b"PRIVMSG" => match after(line, " :").and_then(Text::read) {
                Some(text) => Heard::Message(text),
                None => Heard::Nothing,
            },
            // The end of the message of the day, or that there is none: the last of a welcome.
            b"376" | b"422" => Heard::Ready,
            // The end of the names: the last of a join.
            b"366" => Heard::Done,
            b"PING" => {
                out.extend_from_slice(b"PONG");
                out.extend_from_slice(line.strip_prefix(b"PING").unwrap_or_default());
                out.extend_from_slice(b"\r\n");
                Heard::Nothing
            }
            b"ERROR" => return Err(lossy(line)),
            [b'4' | b'5', _, _] => return Err(lossy(line)),
            _ => Heard::Nothing,
        };
        Ok(Some((end + 1, heard)))
    }

    fn say(&mut self, to: &str, text: Text, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PRIVMSG {to} :{}\r\n", text.write()).as_bytes());
    }

    fn enter(&mut self, room: &str, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(format!("JOIN #{room}\r\n").as_bytes());
        true
    }

    fn tell(&mut self, room: &str, text: Text, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PRIVMSG #{room} :{}\r\n", text.write()).as_bytes());
    }

    fn look_back(&mut self, _with: &str, _out: &mut Vec<u8>) {}

    fn catch_up(&mut self, _out: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::super::testing::{guest, hear_all};
    use super::*;

    #[test]
    fn a_welcome_a_join_and_a_message_are_heard() {
        let text = Text { stamp: 7, lane: 3 };
        let said = format!(
            ":s.example 001 bob :Welcome\r\nPING :s.example\r\n:s.example 422 bob :No MOTD\r\n\
             :bob!~b@h JOIN :#room\r\n:s.example 366 bob #room :End\r\n\
             :alice!~a@h PRIVMSG bob :{}\r\n:alice!~a@h PRIVMSG bob :hello\r\n",
            text.write()
        );
        let (heard, out) = hear_all(|| Box::new(Irc::new(guest("bob"))), said.as_bytes());
        assert_eq!(heard, [Heard::Ready, Heard::Done, Heard::Message(text)]);
        assert_eq!(out, "NICK bob\r\nUSER bob 0 * :bob\r\nPONG :s.example\r\n");
    }

    #[test]
    fn a_refusal_is_an_error_in_the_servers_words() {
        let mut irc = Irc::new(guest("bob"));
        let line = b":s.example 433 * bob :Nickname already in use\r\n";
        assert!(irc.hear(line, &mut Vec::new()).unwrap_err().contains("already in use"));
        assert!(irc.hear(&[b'x'; 9000], &mut Vec::new()).is_err());
    }
}
