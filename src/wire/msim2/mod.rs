//! mSIM 2.0, layers 1 to 5: one packet, several carriers.
//!
//! [`packet`] is the packet, `layer1` to `layer5` its fields in the domain's words, [`tcp`] and
//! [`ws`] its bytes; HTTP's bytes are in `wire::http`. The [`Dialogue`] here is the same for all of
//! them: who is asked, what is refused first, which layer a push may have.
//!
//! Our reading, where the specification is silent or speaks twice:
//!
//! - Integers of the TCP frame are big-endian; the sequence number is the client's, from 1, echoed
//!   in the response; 0 marks a push and is malformed in a request.
//! - A packet is refused in this order: malformed, type unknown or above the layer (501), session
//!   (401), rate (429), fields (400), the core's own reasons. Field refusals therefore travel to
//!   the core inside [`Ask`] and come back as its answer.
//! - The layer in force is the smaller of the packet's and ours; HELLO's own field is information.
//!   HELLO is not demanded. Layer 0 is refused and the connection goes on.
//! - HELLO, AUTH-PLAIN, REGISTER-* need no session and ignore one they do not know.
//! - Malformed packets are answered by a packet of type ERROR: layer 1, no session, the sequence
//!   number where it could be read. On HTTP, where the boundary is known, by a 400 of the request.
//! - CONTACT-CREATED, CONTACT-UPDATED and CONTACT-DELETED are the pushes' names (the examples';
//!   the table has others). `id` and `contact_id`, `id` and `chat_id` are both sent and either is
//!   read; both, and different, is a bad field.
//! - MESSAGE-READ-ACK and READ-CHAT are one request; both take an optional `chat_id`.
//! - In every bound of history `0` is the beginning and `-1` the end, bounds are exclusive, answers
//!   ascend and say `more` when something inside the bounds was left out.
//! - A wrong value of the right type is `bad-field`, except where a closer token exists. A text or
//!   name that is too long is 413, an empty one 400.
//! - An unknown session id in another shape than 64 hexadecimal digits is unknown, not malformed.
//! - A WebSocket packet without `session` belongs to the upgrade's X-Session, else to the last
//!   AUTH-PLAIN of that socket. Pushes always name theirs.
//! - With invitations, REGISTER-PLAIN has a field `invite` (an extension); REGISTER-INSTRUCTIONS
//!   always answers 200.
//! - A password that is no base64 of 1 to 1024 bytes of UTF-8 is 400 in AUTH-PLAIN too: it says
//!   nothing about any account.

mod fields;
pub mod http;
mod layer1;
pub(in crate::wire) mod layer2;
pub(in crate::wire) mod layer3;
pub(in crate::wire) mod layer4;
mod layer5;
pub mod packet;
mod push;
mod record;
pub mod tcp;
pub(in crate::wire) mod time;
pub mod words;
mod written;
pub mod ws;

use std::mem;
use std::sync::Arc;

use crate::domain::id::{MessageId, SessionId};
use crate::domain::words::{Refusal, Reply, Take};
use crate::wire::json::{self, ObjectWriter};
use crate::wire::{self, Ask, Farewell, Habit, House, Next, Told, What};

pub use packet::{Body, LAYER_MAX, Packet, Request, Type, in_force, named_session};
pub use words::refusal;
use words::refusal::{Fault, Wrong};

/// What a dialogue must know of its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Every packet names its session; a malformed one ends the stream.
    Tcp,
    /// The same, but a malformed body is only refused: the head told where it ends.
    Http,
    /// A packet without a session belongs to the socket's own.
    WebSocket,
}

/// Packets ⇄ the core's words, for one connection (or one HTTP request).
#[derive(Debug)]
pub struct Dialogue {
    house: Arc<House>,
    carrier: Carrier,
    /// WebSocket: whose packets are those that name nobody. In a box: elsewhere there is none.
    own: Option<Box<Own>>,
    /// In a box: an idle connection has none.
    pending: Option<Box<Pending>>,
}

#[derive(Clone, Copy, Debug)]
enum Own {
    /// X-Session named it: it stays.
    Given(SessionId),
    LoggedIn(SessionId),
}

/// What of a request its answer needs.
#[derive(Debug)]
struct Pending {
    request: Request,
    layer: u32,
    session: Option<SessionId>,
    seq: u32,
    fault: Option<Fault>,
    keep: Keep,
}

/// The part of it that only some requests have.
#[derive(Debug)]
enum Keep {
    Nothing,
    /// MESSAGE-SEND's, to be echoed.
    Cookie(Option<Box<str>>),
    /// From which end an answer is cut that is too long for one packet.
    Take(Take),
}

/// A request understood: what to ask, and what its answer needs.
type Understood = Result<(What, Keep), Fault>;

impl Dialogue {
    pub fn new(house: Arc<House>, carrier: Carrier) -> Dialogue {
        Dialogue { house, carrier, own: None, pending: None }
    }

    /// For a WebSocket whose upgrade named a session in `X-Session`.
    pub fn with_session(house: Arc<House>, carrier: Carrier, session: SessionId) -> Dialogue {
        Dialogue { own: Some(Box::new(Own::Given(session))), ..Dialogue::new(house, carrier) }
    }

    /// A request whose body was read already: the packet's own is not looked at.
    pub fn on_request(
        &mut self,
        packet: Packet,
        body: &json::Object<'_>,
        out: &mut Vec<Packet>,
    ) -> Next {
        let layer = in_force(packet.layer);
        let request = match packet.kind {
            // The layer comes first: without one there is no saying which types it has.
            Type::Request(_) | Type::Other(_) if layer == 0 => Err(refusal::BAD_LAYER),
            Type::Request(request) if layer < request.layer() => Err(refusal::ABOVE_LAYER),
            Type::Request(request) => Ok(request),
            Type::Other(_) => Err(refusal::UNKNOWN_TYPE),
        };
        let request = match request {
            Ok(request) => request,
            Err(wrong) => {
                out.push(answer(&packet, wrong.status, wrong.body(None, None)));
                return Next::Listen;
            }
        };
        let (what, keep, fault) = match understand(request, body, layer, &self.house) {
            Ok((what, keep)) => (Ok(what), keep, None),
            Err(fault) => (Err(fault.refusal), Keep::Nothing, Some(fault)),
        };
        let who = match request {
            // It is about to make a session; what it was sent with does not matter.
            Request::One(layer1::Request::AuthPlain) => None,
            Request::One(_)
            | Request::Two(_)
            | Request::Three(_)
            | Request::Four(_)
            | Request::Five(_) => packet.session.or(self.own_session()),
        };
        let session_required = request.needs_session();
        let (session, seq) = (packet.session, packet.seq);
        let pending = Pending { request, layer, session, seq, fault, keep };
        self.pending = Some(Box::new(pending));
        Next::Ask(Ask { who, session_required, layer, habit: Habit::default(), what })
    }

    fn own_session(&self) -> Option<SessionId> {
        match (self.carrier, self.own.as_deref()?) {
            (Carrier::WebSocket, Own::Given(session) | Own::LoggedIn(session)) => Some(*session),
            (Carrier::Tcp | Carrier::Http, _) => None,
        }
    }

    fn malformed(&self, packet: &Packet, why: &json::Malformed, out: &mut Vec<Packet>) -> Next {
        let body = refusal::MALFORMED.body(Some(&why.to_string()), None);
        match self.carrier {
            Carrier::Http => {
                out.push(answer(packet, refusal::MALFORMED.status, body));
                Next::Listen
            }
            Carrier::Tcp | Carrier::WebSocket => {
                out.push(error_packet(packet.seq, body));
                Next::HangUp(Farewell::Malformed)
            }
        }
    }

    /// The status and body of a successful answer.
    fn success(&self, pending: &Pending, reply: Reply) -> Result<(u16, Vec<u8>), Wrong> {
        let mut body = Vec::new();
        let mut status = 200;
        match reply {
            Reply::Done | Reply::Registered { .. } => match pending.request {
                Request::One(request) => layer1::done(request, &self.house, &mut body),
                Request::Two(_) | Request::Three(_) | Request::Four(_) | Request::Five(_) => {
                    body.extend_from_slice(b"{}");
                }
            },
            Reply::LoggedIn { session, account: _, who: _ } => {
                layer1::logged_in(&session, &mut body)
            }
            Reply::Contacts { contacts, more } => {
                layer2::contacts(&contacts, more, pending.layer, &mut body);
            }
            Reply::Chats { chats, more } => {
                layer3::chats(&chats, more, pending.layer, &mut body);
            }
            Reply::Messages { messages, more } => {
                let take = match pending.keep {
                    Keep::Take(take) => take,
                    Keep::Nothing | Keep::Cookie(_) => Take::First,
                };
                layer3::messages(&messages, more, take, pending.layer, &mut body);
            }
            Reply::Sent { id, seq: _, time, repeated } => {
                let cookie = match &pending.keep {
                    Keep::Cookie(cookie) => cookie.as_deref(),
                    Keep::Nothing | Keep::Take(_) => None,
                };
                status = if repeated { 201 } else { 200 };
                layer3::sent(id, time, cookie, &mut body);
            }
            Reply::Recorded { id, time } => layer4::recorded(id, time, &mut body),
            Reply::Found { messages, more, till } => {
                layer4::found(&messages, more, till, pending.layer, &mut body);
            }
            Reply::Profile(profile) => layer4::profile_view(&profile, &mut body),
            Reply::Chat(info) => layer5::facts(&info, ObjectWriter::new(&mut body)),
            Reply::Members { members, more } => layer5::members(&members, more, &mut body),
            Reply::Spaces { spaces, more } => layer5::spaces(&spaces, more, &mut body),
            Reply::Newest(_)
            | Reply::Challenge { .. }
            | Reply::Subscribed { .. }
            | Reply::Subscriptions { .. }
            | Reply::Subscribers { .. }
            | Reply::Myself(_)
            | Reply::Upload(_)
            | Reply::Received { .. }
            | Reply::Stored(_)
            | Reply::Bytes(_)
            | Reply::People { .. }
            | Reply::Rosters { .. }
            | Reply::Name(_)
            | Reply::Users(_)
            | Reply::Invite(_)
            | Reply::AppPassword(_)
            | Reply::AppPasswords(_) => return Err(refusal::INTERNAL),
        }
        Ok((status, body))
    }
}

impl wire::Dialogue for Dialogue {
    type Packet = Packet;

    fn on_packet(&mut self, mut packet: Packet, out: &mut Vec<Packet>) -> Next {
        let body = mem::take(&mut packet.body);
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        match json::object(body) {
            Ok(body) => self.on_request(packet, &body, out),
            Err(why) => self.malformed(&packet, &why, out),
        }
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Packet>) -> Next {
        let Some(mut pending) = self.pending.take() else { return Next::Listen };
        if let Ok(Reply::LoggedIn { session, .. }) = &reply {
            pending.session = Some(*session);
            let is_socket = self.carrier == Carrier::WebSocket;
            if is_socket && !matches!(self.own.as_deref(), Some(Own::Given(_))) {
                self.own = Some(Box::new(Own::LoggedIn(*session)));
            }
        }
        let (status, body) = match reply {
            Ok(reply) => {
                let done = self.success(&pending, reply);
                done.unwrap_or_else(|wrong| (wrong.status, wrong.body(None, None)))
            }
            Err(refusal) => refused(refusal, pending.fault),
        };
        out.push(Packet {
            layer: pending.layer,
            session: pending.session,
            seq: pending.seq,
            kind: Type::Request(pending.request),
            status,
            body: body.into(),
        });
        Next::Listen
    }

    fn on_told(&mut self, session: &SessionId, layer: u32, told: &Told<'_>, out: &mut Vec<Packet>) {
        out.extend(push(session, layer, told));
    }
}

fn understand(request: Request, body: &json::Object<'_>, layer: u32, house: &House) -> Understood {
    match request {
        Request::One(request) => layer1::understand(request, body, house),
        Request::Two(request) => layer2::understand(request, body, layer, house),
        Request::Three(request) => layer3::understand(request, body, layer, house),
        Request::Four(request) => layer4::understand(request, body, house),
        Request::Five(request) => layer5::understand(request, body, house),
    }
}

/// What a request asks, for a dialogue that asks the same and answers in other words.
pub(in crate::wire) fn what(
    request: Request,
    body: &json::Object<'_>,
    layer: u32,
    house: &House,
) -> Result<What, Fault> {
    understand(request, body, layer, house).map(|(what, _)| what)
}

/// The push that tells `session` what happened; `None` where its layer has no word for it.
pub fn push(session: &SessionId, layer: u32, told: &Told<'_>) -> Option<Packet> {
    let layer = in_force(layer);
    let (name, body) = match told {
        Told::Resync { .. } if layer == 0 => return None,
        Told::Resync { last } => ("RESYNC", Body::Own(resync(*last))),
        Told::Event(bulletin) => {
            let name = push::name(bulletin, layer)?;
            // Told to many, it is written once for each way of writing it.
            let body = match bulletin.spelling(push::spelling(layer)) {
                Some(spelling) => Body::Shared(
                    spelling.get_or_init(|| push::body(bulletin, layer).into()).clone(),
                ),
                None => Body::Own(push::body(bulletin, layer)),
            };
            (name, body)
        }
    };
    Some(Packet {
        layer,
        session: Some(*session),
        seq: 0,
        kind: Type::Other(name.into()),
        status: 200,
        body,
    })
}

fn resync(last: MessageId) -> Vec<u8> {
    let mut body = Vec::new();
    ObjectWriter::new(&mut body).number("last_message_id", last.0);
    body
}

/// The last packet of a stream that sent something else than packets (decision 11).
pub fn error_packet(seq: u32, body: Vec<u8>) -> Packet {
    let status = refusal::MALFORMED.status;
    Packet { layer: 1, session: None, seq, kind: packet::ERROR, status, body: body.into() }
}

/// The status and body of a refusal, with the field that caused it where one did.
fn refused(refusal: Refusal, fault: Option<Fault>) -> (u16, Vec<u8>) {
    match fault.filter(|fault| fault.refusal == refusal) {
        Some(fault) => (fault.wrong.status, fault.wrong.body(Some(fault.field), None)),
        None => {
            let wrong = Wrong::from(refusal);
            (wrong.status, wrong.body(None, refusal::retry_after(refusal)))
        }
    }
}

/// An answer that nobody had to be asked for.
fn answer(request: &Packet, status: u16, body: Vec<u8>) -> Packet {
    Packet {
        layer: in_force(request.layer).max(1),
        session: request.session,
        seq: request.seq,
        kind: request.kind.clone(),
        status,
        body: body.into(),
    }
}

#[cfg(test)]
mod tests;
