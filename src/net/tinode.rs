//! What is spoken on Tinode's paths: the one place where its codecs, its dialogue and its keys plug
//! into the carriers.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::id::Timestamp;
use crate::limits::TINODE_PACKET_BYTES_MAX;
use crate::wire::{Codec, Dialogue, House, tinode};

/// What a dialogue knows of its connection from the start.
#[derive(Default)]
pub(super) struct Opening {
    /// How the client calls the request that connects it; the first packet answers to that.
    pub(super) id: Option<Box<str>>,
    /// The secret of a long-poll session, which the first packet tells its client.
    pub(super) sid: Option<Box<str>>,
}

/// A trait so that the carriers can be tried without the protocol.
pub(super) trait Tongue: 'static {
    type Packet: Send + 'static;
    /// After an upgrade to WebSocket.
    type Socket: Codec<Packet = Self::Packet> + Send + 'static;
    /// Between the requests of a long-poll session: frames as of [`crate::net::poll::pipe`].
    type Frames: Codec<Packet = Self::Packet> + Send + 'static;
    type Dialogue: Dialogue<Packet = Self::Packet> + Send + 'static;

    /// Whether a client with this API key is served.
    fn is_key(house: &House, key: &str) -> bool;

    fn socket(house: &House) -> Self::Socket;

    fn frames(house: &House) -> Self::Frames;

    fn dialogue(house: Arc<House>, opening: Opening) -> Self::Dialogue;
}

/// Tinode 0.5.
#[derive(Debug)]
pub(super) enum Tinode {}

impl Tongue for Tinode {
    type Packet = tinode::packet::Packet;
    type Socket = tinode::ws::Codec;
    type Frames = tinode::lines::Codec;
    type Dialogue = tinode::dialogue::Dialogue;

    fn is_key(house: &House, key: &str) -> bool {
        tinode::key::is_good(key, &house.config.tinode)
    }

    fn socket(house: &House) -> tinode::ws::Codec {
        tinode::ws::Codec::new(house.config.limits.max_packet_bytes)
    }

    fn frames(house: &House) -> tinode::lines::Codec {
        tinode::lines::Codec::new(house.config.limits.max_packet_bytes.min(TINODE_PACKET_BYTES_MAX))
    }

    fn dialogue(house: Arc<House>, opening: Opening) -> tinode::dialogue::Dialogue {
        let Opening { id, sid } = opening;
        tinode::dialogue::Dialogue::new(house, tinode::dialogue::Opening { id, sid }, now)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
