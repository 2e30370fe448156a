//! mSIM 2 in lines: one mapping between `key=value` and a packet's body, for every packet that the
//! other carriers have. Nothing here knows any of them but HELLO, which sets the layer that a line
//! has no place for.

use std::sync::Arc;

use super::Packet;
use super::notation::{Line, Writer, is_plain};
use crate::domain::id::SessionId;
use crate::domain::words::{Refusal, Reply};
use crate::limits::LINE_SEQ_BYTES_MAX;
use crate::wire::json::{self, Object, Value};
use crate::wire::msim2::{self, LAYER_MAX, Type, in_force, named_session};
use crate::wire::{Ask, Dialogue as _, Farewell, House, Next, Told};

/// A request whose answer is under way. The dialogue of mSIM 2 lives no longer than that: what it
/// keeps for connections of other carriers a line has in every packet, or does not have.
#[derive(Debug)]
pub(super) struct Question {
    talk: msim2::Dialogue,
    seq: Option<Box<str>>,
    /// HELLO: the connection's layer if all goes well.
    greets: Option<u32>,
}

/// `own`: whose a packet is that names nobody. An error: there is nothing to ask, `out` has what there
/// is to say, and where it is the last word the stream ends for that reason.
pub(super) fn understand(
    line: Line<'_>,
    layer: u32,
    own: Option<SessionId>,
    house: &Arc<House>,
    out: &mut Vec<Packet>,
) -> Result<(Question, Ask), Option<Farewell>> {
    let mut fields = line.fields;
    let head = (seq(&mut fields), session(&mut fields), Type::parse(line.kind.as_bytes()));
    let (Ok(seq), Ok(session), Some(kind)) = head else {
        out.push(super::malformed("seq is a plain word of at most 64 bytes, session is a text"));
        return Err(Some(Farewell::Malformed));
    };
    let greets = (line.kind == "HELLO").then(|| highest_layer(&fields)).flatten();
    let request = msim2::Packet {
        layer: greets.unwrap_or(layer),
        session: session.or(own),
        // Only for telling it from a push.
        seq: 1,
        kind,
        status: 0,
        body: msim2::Body::default(),
    };
    // Malformed bodies cannot come: the fields have been read.
    let mut talk = msim2::Dialogue::new(house.clone(), msim2::Carrier::Tcp);
    let mut said = Vec::new();
    let next = talk.on_request(request, &fields, &mut said);
    out.extend(said.iter().map(|packet| answer(packet, seq.as_deref())));
    match next {
        Next::Ask(ask) => Ok((Question { talk, seq, greets }, ask)),
        Next::Listen => Err(None),
        Next::HangUp(why) => Err(Some(why)),
    }
}

impl Question {
    /// The layer that the connection has if this is answered well.
    pub(super) fn greets(&self) -> Option<u32> {
        self.greets
    }

    pub(super) fn on_reply(mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Packet>) {
        let mut said = Vec::new();
        // mSIM 2 asks one question a packet.
        let _ = self.talk.on_reply(reply, &mut said);
        out.extend(said.iter().map(|packet| answer(packet, self.seq.as_deref())));
    }
}

/// `PUSH TYPE key=value…`: whose it is goes without saying.
pub(super) fn push(session: &SessionId, layer: u32, told: &Told<'_>) -> Option<Packet> {
    let packet = msim2::push(session, layer, told)?;
    Some(with_body(Writer::new("PUSH").word(packet.kind.as_str()), &packet))
}

/// `200 TYPE seq=… key=value…`
fn answer(packet: &msim2::Packet, seq: Option<&str>) -> Packet {
    let mut writer = Writer::new(&packet.status.to_string()).word(packet.kind.as_str());
    if let Some(seq) = seq {
        writer = writer.text("seq", seq);
    }
    with_body(writer, packet)
}

fn with_body(writer: Writer, packet: &msim2::Packet) -> Packet {
    // What we wrote ourselves can be read; an empty body has no fields.
    let body = json::object(&packet.body).unwrap_or_default();
    Packet(writer.fields(&body).finish())
}

fn seq(fields: &mut Object<'_>) -> Result<Option<Box<str>>, ()> {
    match fields.take("seq") {
        None => Ok(None),
        Some(Value::Word(seq)) if is_plain(&seq) && seq.len() <= LINE_SEQ_BYTES_MAX => {
            Ok(Some(seq.into()))
        }
        Some(_) => Err(()),
    }
}

fn session(fields: &mut Object<'_>) -> Result<Option<SessionId>, ()> {
    match fields.take("session") {
        None => Ok(None),
        Some(Value::Word(text)) => Ok(named_session(&text)),
        Some(_) => Err(()),
    }
}

/// HELLO's own layer, which is the connection's here (elsewhere it is information). `None`: it is
/// none, and the packet will be refused for it.
fn highest_layer(fields: &Object<'_>) -> Option<u32> {
    let named = match fields.integer("highest-supported-layer").ok()? {
        Some(layer) => Some(layer),
        None => fields.integer("protocol-layer").ok()?,
    };
    match named {
        None => Some(LAYER_MAX),
        Some(Ok(layer @ 1..)) => Some(in_force(u32::try_from(layer).unwrap_or(u32::MAX))),
        Some(Ok(0) | Err(_)) => None,
    }
}
