//! What is spoken on Tinode's paths: the one place where its codecs, its dialogue and its keys plug
//! into the carriers.

use std::sync::Arc;

use crate::wire::{Codec, Dialogue, House, line};

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
    type Packet = line::Packet;
    type Socket = line::Codec;
    type Frames = line::Codec;
    type Dialogue = line::Dialogue;

    /// Until its own codecs and dialogue stand below, nobody has a valid key.
    fn is_key(_house: &House, _key: &str) -> bool {
        false
    }

    fn socket(house: &House) -> line::Codec {
        line::Codec::new(house.config.limits.max_packet_bytes)
    }

    fn frames(house: &House) -> line::Codec {
        Tinode::socket(house)
    }

    fn dialogue(house: Arc<House>, opening: Opening) -> line::Dialogue {
        drop((opening.id, opening.sid));
        line::Dialogue::new(house)
    }
}
