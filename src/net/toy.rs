//! A protocol as small as can be, spoken on Tinode's paths in tests.

use std::sync::Arc;

use crate::domain::id::SessionId;
use crate::domain::words::{Event, Refusal, Reply};
use crate::net::testing::session_id;
use crate::net::tinode::{Opening, Tongue};
use crate::wire::{Ask, Broken, Buffer, Codec, Dialogue, Farewell, Habit, House, Next, Told, What};

pub(super) const KEY: &str = "good+key";

pub(super) enum Toy {}

impl Tongue for Toy {
    type Packet = String;
    type Socket = Lines;
    type Frames = Frames;
    type Dialogue = Talk;

    fn is_key(_house: &House, key: &str) -> bool {
        key == KEY
    }

    fn socket(_house: &House) -> Lines {
        Lines
    }

    fn frames(_house: &House) -> Frames {
        Frames
    }

    fn dialogue(_house: Arc<House>, opening: Opening) -> Talk {
        Talk { opening, is_known: false }
    }
}

/// A packet is a line.
pub(super) struct Lines;

impl Codec for Lines {
    type Packet = String;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<String>, Broken<String>> {
        let Some(end) = input.as_slice().iter().position(|b| *b == b'\n') else { return Ok(None) };
        let line = String::from_utf8_lossy(&input.as_slice()[..end]).into_owned();
        input.consume(end + 1);
        Ok(Some(line))
    }

    fn encode(&mut self, packet: &String, out: &mut Vec<u8>) {
        out.extend_from_slice(packet.as_bytes());
        out.push(b'\n');
    }
}

/// A packet is its length and its bytes.
pub(super) struct Frames;

impl Codec for Frames {
    type Packet = String;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<String>, Broken<String>> {
        let Some((length, rest)) = input.as_slice().split_first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        let Some(packet) = rest.get(..length) else { return Ok(None) };
        let packet = String::from_utf8_lossy(packet).into_owned();
        input.consume(4 + length);
        Ok(Some(packet))
    }

    fn encode(&mut self, packet: &String, out: &mut Vec<u8>) {
        out.extend_from_slice(&(packet.len() as u32).to_be_bytes());
        out.extend_from_slice(packet.as_bytes());
    }
}

/// `use N` asks, `many N` says so many packets, `bye` ends; everything else is said again.
pub(super) struct Talk {
    opening: Opening,
    /// It has asked for a session, which it leaves at the end.
    is_known: bool,
}

impl Dialogue for Talk {
    type Packet = String;

    fn on_open(&mut self, out: &mut Vec<String>) {
        let Opening { id, sid } = &self.opening;
        let shown = |text: &Option<Box<str>>| text.as_deref().unwrap_or("-").to_owned();
        out.push(format!("hello id={} sid={}", shown(id), shown(sid)));
    }

    fn on_packet(&mut self, packet: String, out: &mut Vec<String>) -> Next {
        match packet.split_once(' ') {
            Some(("use", number)) => {
                self.is_known = true;
                let who = Some(session_id(number.parse().unwrap()));
                Next::Ask(Ask {
                    who,
                    session_required: true,
                    layer: 3,
                    habit: Habit::default(),
                    what: Ok(What::Attach),
                })
            }
            Some(("many", count)) => {
                out.extend((1..=count.parse().unwrap()).map(|n: u32| n.to_string()));
                Next::Listen
            }
            _ if packet == "bye" => Next::HangUp(Farewell::Done),
            _ => {
                out.push(packet);
                Next::Listen
            }
        }
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<String>) -> Next {
        out.push(if reply.is_ok() { "ok".into() } else { "refused".into() });
        Next::Listen
    }

    fn on_told(&mut self, _: &SessionId, _: u32, told: &Told<'_>, out: &mut Vec<String>) {
        out.push(match told {
            Told::Event(event) => match &***event {
                Event::ContactRemoved { who } => who.to_string(),
                _ => unreachable!("only those are posted"),
            },
            Told::Resync { .. } => "resync".into(),
        });
    }

    fn on_close(&mut self, why: Farewell, out: &mut Vec<String>) {
        out.push(format!("bye {why:?}"));
    }

    fn last_words(&mut self) -> Option<Ask> {
        std::mem::take(&mut self.is_known).then(|| Ask {
            who: None,
            session_required: false,
            layer: 3,
            habit: Habit::default(),
            what: Ok(What::Attach),
        })
    }
}
