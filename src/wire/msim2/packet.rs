//! The packet, the same on every carrier, and the types a client may send.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::id::SessionId;
use crate::limits::TYPE_BYTES_MAX;
use crate::wire::msim2::{layer1, layer2, layer3, layer4, layer5};

/// The highest layer this server speaks.
pub const LAYER_MAX: u32 = 5;

/// One packet of mSIM 2.0, «Пакет», with the marker that TCP and WebSocket add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// As it came; the layer in force may be lower, see [`in_force`].
    pub layer: u32,
    pub session: Option<SessionId>,
    /// The client's marker, from 1; 0 in a push. HTTP has none.
    pub seq: u32,
    pub kind: Type,
    /// 0 in a request.
    pub status: u16,
    /// A JSON object, or nothing. Not checked yet in a request.
    pub body: Body,
}

/// The bytes of a packet's body: one packet's own, or the same for everybody who is told.
#[derive(Clone, Debug)]
pub enum Body {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Default for Body {
    fn default() -> Body {
        Body::Own(Vec::new())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::Own(bytes)
    }
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Body::Own(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        **self == **other
    }
}

impl Eq for Body {}

/// A packet's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Request(Request),
    /// A push's type, or what a client sent that no layer of ours knows.
    Other(Cow<'static, str>),
}

/// The type of the packet that says that another was none.
pub const ERROR: Type = Type::Other(Cow::Borrowed("ERROR"));

/// What a client may ask, by the lowest layer that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    One(layer1::Request),
    Two(layer2::Request),
    Three(layer3::Request),
    Four(layer4::Request),
    Five(layer5::Request),
}

impl Request {
    pub fn parse(text: &str) -> Option<Request> {
        let one = || layer1::Request::parse(text).map(Request::One);
        let two = || layer2::Request::parse(text).map(Request::Two);
        let three = || layer3::Request::parse(text).map(Request::Three);
        let four = || layer4::Request::parse(text).map(Request::Four);
        let five = || layer5::Request::parse(text).map(Request::Five);
        // Messages first: they are what mostly comes.
        three().or_else(four).or_else(two).or_else(one).or_else(five)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Request::One(request) => request.as_str(),
            Request::Two(request) => request.as_str(),
            Request::Three(request) => request.as_str(),
            Request::Four(request) => request.as_str(),
            Request::Five(request) => request.as_str(),
        }
    }

    pub fn layer(self) -> u32 {
        match self {
            Request::One(_) => 1,
            Request::Two(_) => 2,
            Request::Three(_) => 3,
            Request::Four(_) => 4,
            Request::Five(_) => 5,
        }
    }

    /// Layer 1 is where sessions come from; everything above belongs to somebody.
    pub fn needs_session(self) -> bool {
        match self {
            Request::One(_) => false,
            Request::Two(_) | Request::Three(_) | Request::Four(_) | Request::Five(_) => true,
        }
    }
}

impl Type {
    /// `None`: not 1 to 64 upper-case ASCII letters, digits and `-`.
    pub fn parse(text: &[u8]) -> Option<Type> {
        let may_be = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'-';
        if text.is_empty() || TYPE_BYTES_MAX < text.len() || !text.iter().all(may_be) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let other = || Type::Other(text.to_owned().into());
        Some(Request::parse(text).map_or_else(other, Type::Request))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Type::Request(request) => request.as_str(),
            Type::Other(name) => name,
        }
    }
}

/// The layer in force for a packet: the smaller of the client's and ours.
pub fn in_force(layer: u32) -> u32 {
    layer.min(LAYER_MAX)
}

/// The session that a text names, as in HTTP's `X-Session` and WebSocket's `session`: nothing and
/// 64 zeros are none, and what cannot be a session is one that nobody has, so that it is answered
/// like any other unknown one (decision 17).
pub fn named_session(text: &str) -> Option<SessionId> {
    /// As likely to exist as any guess.
    const NOBODYS: [u8; 32] = [0xFF; 32];
    if text.is_empty() {
        return None;
    }
    let session = SessionId::from_hex(text).unwrap_or(SessionId::new(NOBODYS));
    session_of(*session.bytes())
}

/// The session that 32 raw bytes name: all zero is none.
pub fn session_of(bytes: [u8; 32]) -> Option<SessionId> {
    (bytes != [0; 32]).then(|| SessionId::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_upper_case_ascii_of_1_to_64_bytes() {
        assert_eq!(
            Type::parse(b"HELLO"),
            Some(Type::Request(Request::One(layer1::Request::Hello)))
        );
        assert_eq!(Type::parse(b"X-1"), Some(Type::Other("X-1".into())));
        assert!(Type::parse(&[b'A'; 64]).is_some());
        let bad: [&[u8]; 6] = [b"", &[b'A'; 65], b"hello", b"A B", b"A_B", "Ä".as_bytes()];
        for bad in bad {
            assert_eq!(Type::parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn every_request_is_read_back_from_its_name() {
        let one = layer1::Request::ALL.map(Request::One);
        let two = layer2::Request::ALL.map(Request::Two);
        let three = layer3::Request::ALL.map(Request::Three);
        let four = layer4::Request::ALL.map(Request::Four);
        let five = layer5::Request::ALL.map(Request::Five);
        for request in one.into_iter().chain(two).chain(three).chain(four).chain(five) {
            let name = request.as_str();
            assert_eq!(Type::parse(name.as_bytes()), Some(Type::Request(request)), "{name}");
            assert!(request.layer() <= LAYER_MAX);
        }
    }

    #[test]
    fn a_session_in_words_is_none_known_or_nobodys() {
        assert_eq!(named_session(""), None);
        assert_eq!(named_session(&"0".repeat(64)), None);
        let id = SessionId::new([0xAB; 32]);
        assert_eq!(named_session(&"aB".repeat(32)), Some(id));
        for bad in ["x", "ab", &"g".repeat(64), &"a".repeat(65)] {
            assert_eq!(named_session(bad), Some(SessionId::new([0xFF; 32])), "{bad}");
        }
    }
}
