//! MQTT 3.1.1 with QoS 1 both ways: a login is a client and the topic that it listens to, a room
//! is a topic that many listen to.

use super::{Guest, Heard, Talk, lossy};
use crate::text::Text;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
/// QoS 1, which the sender repeats until it is acknowledged.
const PUBLISH: u8 = 0x32;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
/// MQTT allows 256 MB; nobody here sends that.
const PACKET_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Mqtt {
    guest: Guest,
    /// Packet identifiers, which are not 0.
    last: u16,
    is_ready: bool,
}

impl Mqtt {
    pub(super) fn new(guest: Guest) -> Mqtt {
        Mqtt { guest, last: 0, is_ready: false }
    }

    fn next(&mut self) -> [u8; 2] {
        self.last = self.last.checked_add(1).unwrap_or(1);
        self.last.to_be_bytes()
    }

    fn subscribe(&mut self, topic: &str, out: &mut Vec<u8>) {
        let mut body = self.next().to_vec();
        word(topic, &mut body);
        body.push(1);
        packet(SUBSCRIBE, &body, out);
    }

    fn publish(&mut self, topic: &str, text: Text, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(128);
        word(topic, &mut body);
        body.extend_from_slice(&self.next());
        body.extend_from_slice(text.write().as_bytes());
        packet(PUBLISH, &body, out);
    }

    fn on_publish(&mut self, flags: u8, body: &[u8], out: &mut Vec<u8>) -> Option<Heard> {
        let topic = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
        let mut payload = 2 + topic;
        if flags & 0x06 != 0 {
            packet(PUBACK, body.get(payload..payload + 2)?, out);
            payload += 2;
        }
        Some(Text::read(body.get(payload..)?).map_or(Heard::Nothing, Heard::Message))
    }
}

impl Talk for Mqtt {
    fn open(&mut self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        word("MQTT", &mut body);
        // Protocol level 4 is 3.1.1; the one flag asks for a clean session; no keep-alive.
        let flags = if self.guest.lasting { 0 } else { 2 };
        body.extend_from_slice(&[4, flags, 0, 0]);
        word(&self.guest.login, &mut body);
        packet(CONNECT, &body, out);
    }

    fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Heard)>, String> {
        let Some((start, end)) = bounds(input)? else { return Ok(None) };
        let Some(body) = input.get(start..end) else { return Ok(None) };
        let head = input[0];
        let heard = match head & 0xF0 {
            CONNACK if body.get(1) == Some(&0) => {
                let topic = self.guest.login.clone();
                self.subscribe(&topic, out);
                Heard::Nothing
            }
            SUBACK if body.get(2).is_some_and(|code| *code <= 2) => {
                match std::mem::replace(&mut self.is_ready, true) {
                    false => Heard::Ready,
                    true => Heard::Done,
                }
            }
            PUBACK => Heard::Answered,
            0x30 => self.on_publish(head, body, out).ok_or("a PUBLISH that is too short")?,
            CONNACK | SUBACK => return Err(format!("refused: {body:?}")),
            _ => return Err(format!("an unexpected packet {head:#x}: {}", lossy(body))),
        };
        Ok(Some((end, heard)))
    }

    fn say(&mut self, to: &str, text: Text, out: &mut Vec<u8>) {
        self.publish(to, text, out);
    }

    fn enter(&mut self, room: &str, out: &mut Vec<u8>) -> bool {
        self.subscribe(&format!("room/{room}"), out);
        true
    }

    fn tell(&mut self, room: &str, text: Text, out: &mut Vec<u8>) {
        self.publish(&format!("room/{room}"), text, out);
    }

    fn look_back(&mut self, _with: &str, _out: &mut Vec<u8>) {}

    /// Nothing to ask for: what was kept comes by itself.
    fn catch_up(&mut self, _out: &mut Vec<u8>) {}
}

/// A string as MQTT has it: its length, then its bytes.
fn word(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(head: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(head);
    let mut left = body.len();
    loop {
        let digit = (left % 128) as u8;
        left /= 128;
        out.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
}

/// Where the body of the packet that `input` begins with starts and ends.
fn bounds(input: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut length = 0;
    for place in 0..4 {
        let Some(digit) = input.get(1 + place) else { return Ok(None) };
        length |= usize::from(digit & 0x7F) << (7 * place);
        if digit & 0x80 == 0 {
            if length > PACKET_BYTES_MAX {
                return Err(format!("a packet of {length} bytes"));
            }
            let start = 2 + place;
            return Ok(Some((start, start + length)));
        }
    }
    Err("a length without end".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{guest, hear_all};
    use super::*;

    #[test]
    fn a_login_a_message_and_an_acknowledgement_are_heard() {
        let text = Text { stamp: 9, lane: 1 };
        let mut said = vec![0x20, 2, 0, 0, 0x90, 3, 0, 1, 1, 0x40, 2, 0, 1];
        let mut other = Mqtt::new(guest("alice"));
        other.say("bob", text, &mut said);
        let (heard, out) = hear_all(|| Box::new(Mqtt::new(guest("bob"))), &said);
        assert_eq!(heard, [Heard::Ready, Heard::Answered, Heard::Message(text)]);
        assert!(out.starts_with("\u{10}\u{f}\0\u{4}MQTT\u{4}\u{2}\0\0\0\u{3}bob"), "{out:?}");
        assert!(out.ends_with("@\u{2}\0\u{1}"), "the message is acknowledged: {out:?}");
    }

    #[test]
    fn refusals_and_absurd_lengths_are_errors() {
        let mut mqtt = Mqtt::new(guest("bob"));
        let mut out = Vec::new();
        assert!(mqtt.hear(&[0x20, 2, 0, 5], &mut out).is_err());
        assert!(mqtt.hear(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], &mut out).is_err());
        assert!(mqtt.hear(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1], &mut out).is_err());
        assert!(mqtt.hear(&[0x32, 2, 0, 9], &mut out).is_err());
    }

    #[test]
    fn long_packets_have_long_lengths() {
        let mut out = Vec::new();
        packet(PUBLISH, &[1; 321], &mut out);
        assert_eq!(&out[..3], [0x32, 0xC1, 2]);
        assert_eq!(bounds(&out), Ok(Some((3, 324))));
        assert_eq!(bounds(&out[..2]), Ok(None));
    }
}
