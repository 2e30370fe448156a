//! mSIM 2 over TCP, by the frames of `msimd bench`.

use std::collections::VecDeque;

use msimd::bench::frame::{self, Kind};

use super::{Guest, Heard, PAGE, Talk, after, find, lossy};
use crate::text::Text;

/// The password of every account, in base64.
const PASSWORD: &str = "YmVuY2htYXJr";
/// Messages a page when much is missing: the most that the server gives.
const CATCH_UP_PAGE: u32 = 500;
/// The layer that has groups.
const GROUPS: u32 = 5;

/// What an answer will be the answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Register,
    LogIn,
    Return,
    Send,
    Room,
    Page,
}

#[derive(Debug)]
pub(super) struct Msim {
    guest: Guest,
    session: [u8; 32],
    layer: u32,
    seq: u32,
    /// Answers come in the order of requests.
    asked: VecDeque<Asked>,
    has_heard: bool,
    /// The newest message that a catching-up page held.
    newest: u64,
}

impl Msim {
    pub(super) fn new(guest: Guest) -> Msim {
        Msim {
            guest,
            session: frame::NOBODY,
            layer: frame::LAYER,
            seq: 0,
            asked: VecDeque::new(),
            has_heard: false,
            newest: 0,
        }
    }

    fn ask(&mut self, asked: Asked, kind: &str, body: &str, out: &mut Vec<u8>) {
        self.seq += 1;
        self.asked.push_back(asked);
        let start = out.len();
        frame::request(&self.session, self.seq, kind, body.as_bytes(), out);
        frame::renumber(&mut out[start..], self.layer, self.seq);
    }

    fn log_in(&mut self, out: &mut Vec<u8>) {
        let body = credentials(&self.guest.login);
        self.ask(Asked::LogIn, "AUTH-PLAIN", &body, out);
    }

    fn send(&mut self, to: &str, text: Text, out: &mut Vec<u8>) {
        let (cookie, text) = (text.stamp, text.write());
        let body =
            format!("{{\"chat_id\":\"{to}\",\"text\":\"{text}\",\"cookie\":\"{cookie:x}\"}}");
        self.ask(Asked::Send, "MESSAGE-SEND", &body, out);
    }

    fn on_answer(&mut self, status: u16, body: &[u8], out: &mut Vec<u8>) -> Result<Heard, String> {
        let asked = self.asked.pop_front().ok_or("an answer to nothing")?;
        if status != 200 {
            return Err(format!("{asked:?} was answered {status}: {}", lossy(body)));
        }
        Ok(match asked {
            Asked::Register => {
                self.log_in(out);
                Heard::Nothing
            }
            Asked::LogIn => {
                self.session = frame::session_in(body).ok_or("no sessid in an answer")?;
                Heard::Ready
            }
            Asked::Return => Heard::Ready,
            Asked::Send => Heard::Answered,
            Asked::Room => Heard::Done,
            Asked::Page => {
                let texts = self.read_page(body);
                Heard::Page { texts, more: frame::has(body, "\"more\":true") }
            }
        })
    }

    fn read_page(&mut self, body: &[u8]) -> Vec<Text> {
        let mut texts = Vec::new();
        let mut rest = body;
        while let Some(at) = find(rest, "\"text\":\"") {
            rest = &rest[at + 8..];
            texts.extend(Text::read(rest));
        }
        rest = body;
        while let Some(at) = find(rest, "\"message_id\":") {
            rest = &rest[at..];
            self.newest =
                frame::number_after(rest, "\"message_id\":").unwrap_or(0).max(self.newest);
            rest = &rest[1..];
        }
        texts
    }
}

impl Talk for Msim {
    fn open(&mut self, out: &mut Vec<u8>) {
        if let Some(session) = self.guest.token.as_deref().and_then(read_hex) {
            self.session = session;
            // Any packet attaches the session that it names.
            self.ask(Asked::Return, "CHATS-GET", "{\"count\":1}", out);
        } else if self.guest.is_new {
            let body = credentials(&self.guest.login);
            self.ask(Asked::Register, "REGISTER-PLAIN", &body, out);
        } else {
            self.log_in(out);
        }
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Heard)>, String> {
        let Some(frame) = frame::cut(input)? else { return Ok(None) };
        let end = frame.body.end;
        let body = &input[frame.body.clone()];
        let heard = match frame.kind {
            Kind::Answer => self.on_answer(frame.status, body, out)?,
            Kind::Message => match after(body, "\"text\":\"").and_then(Text::read) {
                Some(text) => {
                    self.has_heard = true;
                    Heard::Message(text)
                }
                None => Heard::Nothing,
            },
            // Who comes back is told that something may have been missed.
            Kind::Resync if self.guest.token.is_some() && !self.has_heard => Heard::Nothing,
            Kind::Resync => return Err("RESYNC: messages were not pushed".into()),
            Kind::Error => return Err(lossy(body)),
            Kind::Other => Heard::Nothing,
        };
        Ok(Some((end, heard)))
    }

    fn say(&mut self, to: &str, text: Text, out: &mut Vec<u8>) {
        self.send(to, text, out);
    }

    fn found(&mut self, room: &str, out: &mut Vec<u8>) -> bool {
        self.layer = GROUPS;
        let body =
            format!("{{\"kind\":\"group\",\"name\":\"{room}\",\"id\":\"{room}\",\"open\":true}}");
        self.ask(Asked::Room, "CHAT-CREATE", &body, out);
        true
    }

    fn enroll(&mut self, room: &str, out: &mut Vec<u8>) -> bool {
        self.layer = GROUPS;
        self.ask(Asked::Room, "CHAT-JOIN", &format!("{{\"chat_id\":\"{room}\"}}"), out);
        true
    }

    fn enter(&mut self, _room: &str, _out: &mut Vec<u8>) -> bool {
        false
    }

    fn tell(&mut self, room: &str, text: Text, out: &mut Vec<u8>) {
        self.layer = GROUPS;
        self.send(room, text, out);
    }

    fn look_back(&mut self, with: &str, out: &mut Vec<u8>) {
        let body = format!("{{\"chat_id\":\"{with}\",\"id_till\":-1,\"count\":{PAGE}}}");
        self.ask(Asked::Page, "CHAT-HISTORY", &body, out);
    }

    fn catch_up(&mut self, out: &mut Vec<u8>) {
        let newest = self.newest;
        let body = format!("{{\"message_id_gt\":{newest},\"count\":{CATCH_UP_PAGE}}}");
        self.ask(Asked::Page, "HISTORY-REWIND", &body, out);
    }

    fn token(&self) -> Option<String> {
        let is_known = self.session != frame::NOBODY;
        is_known.then(|| self.session.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn credentials(login: &str) -> String {
    format!("{{\"login\":\"{login}\",\"password\":\"{PASSWORD}\"}}")
}

fn read_hex(digits: &str) -> Option<[u8; 32]> {
    frame::session_in(format!("\"sessid\":\"{digits}\"").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{guest, hear_all};
    use super::*;

    fn answer(seq: u32, kind: &str, body: &str, all: &mut Vec<u8>) {
        let start = all.len();
        frame::request(&frame::NOBODY, seq, kind, body.as_bytes(), all);
        if seq > 0 {
            // The status lies before the body.
            let at = all.len() - body.len() - 2;
            all[at..at + 2].copy_from_slice(&200u16.to_be_bytes());
        }
        assert!(all.len() > start);
    }

    #[test]
    fn a_stranger_registers_logs_in_and_hears() {
        let text = Text { stamp: 77, lane: 5 };
        let mut said = Vec::new();
        answer(1, "REGISTER-PLAIN", "{}", &mut said);
        answer(2, "AUTH-PLAIN", &format!("{{\"sessid\":\"{}\"}}", "a5".repeat(32)), &mut said);
        let push = format!("{{\"message_id\":8,\"text\":\"{}\"}}", text.write());
        answer(0, "MESSAGE-RECEIVE", &push, &mut said);
        let make =
            || -> Box<dyn Talk> { Box::new(Msim::new(Guest { is_new: true, ..guest("bob") })) };
        let (heard, out) = hear_all(make, &said);
        assert_eq!(heard, [Heard::Ready, Heard::Message(text)]);
        assert!(out.contains("REGISTER-PLAIN") && out.contains("AUTH-PLAIN"), "{out}");
    }

    #[test]
    fn a_session_is_what_one_comes_back_with() {
        let token = "0f".repeat(32);
        let mut msim = Msim::new(Guest { token: Some(token.clone()), ..guest("bob") });
        let mut out = Vec::new();
        msim.open(&mut out);
        assert_eq!(out[4..36], [0x0F; 32]);
        assert_eq!(msim.token(), Some(token));
    }

    #[test]
    fn pages_are_read_and_the_next_begins_behind_them() {
        let texts = [Text { stamp: 1, lane: 0 }, Text { stamp: 2, lane: 0 }];
        let mut said = Vec::new();
        let one =
            |id, text: &Text| format!("{{\"message_id\":{id},\"text\":\"{}\"}}", text.write());
        let page =
            format!("{{\"data\":[{},{}],\"more\":true}}", one(4, &texts[0]), one(9, &texts[1]));
        answer(1, "HISTORY-REWIND", &page, &mut said);
        let mut msim = Msim::new(guest("bob"));
        let mut out = Vec::new();
        msim.catch_up(&mut out);
        let (_, heard) = msim.hear(&said, &mut out).unwrap().unwrap();
        assert_eq!(heard, Heard::Page { texts: texts.to_vec(), more: true });
        out.clear();
        msim.catch_up(&mut out);
        assert!(find(&out, "\"message_id_gt\":9").is_some());
    }
}
