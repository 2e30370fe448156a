#![no_main]
use msimd::config::Config;
use msimd::wire::msim2::{Carrier, Dialogue, Packet, Type};
use msimd::wire::{Dialogue as _, House};

// The first byte chooses the request, the rest is its body.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    const TYPES: [&str; 8] = [
        "HELLO",
        "AUTH-PLAIN",
        "CONTACTS-GET",
        "CONTACTS-ADD",
        "MESSAGE-SEND",
        "CHAT-HISTORY",
        "HISTORY-REWIND",
        "READ-CHAT",
    ];
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = Type::parse(TYPES[usize::from(*first) % TYPES.len()].as_bytes()).unwrap();
    let house = House { name: "im.test".into(), config: Config::for_tests().into() };
    let packet = Packet { layer: 3, session: None, seq: 1, kind, status: 0, body: body.into() };
    Dialogue::new(house.into(), Carrier::Tcp).on_packet(packet, &mut Vec::new());
});
