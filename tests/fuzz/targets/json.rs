#![no_main]
use msimd::config::Config;
use msimd::wire::msim2::{Carrier, Dialogue, Packet, Type};
use msimd::wire::{Dialogue as _, House};

// The first byte chooses the request, the rest is its body.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    const TYPES: [&str; 31] = [
        "HELLO",
        "AUTH-PLAIN",
        "REGISTER-PLAIN",
        "CONTACTS-GET",
        "CONTACTS-ADD",
        "CONTACTS-CHANGE",
        "MESSAGE-SEND",
        "CHATS-GET",
        "CHAT-HISTORY",
        "HISTORY-REWIND",
        "READ-CHAT",
        "TYPING-STARTED",
        "PROFILE-GET",
        "PROFILE-UPDATE",
        "DIALOG-UPDATE",
        "MESSAGE-EDIT",
        "MESSAGE-DELETE",
        "CHAT-DELETE",
        "CHAT-SEARCH",
        "CONTACT-REQUEST",
        "CONTACT-BLOCK",
        "CHAT-CREATE",
        "CHAT-INFO",
        "CHAT-MEMBERS",
        "CHAT-INVITE",
        "CHAT-KICK",
        "CHAT-ACCESS",
        "CHAT-CHANGE",
        "SPACE-CREATE",
        "SPACE-GET",
        "SPACE-REMOVE",
    ];
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = Type::parse(TYPES[usize::from(*first) % TYPES.len()].as_bytes()).unwrap();
    let house = House { name: "im.test".into(), config: Config::for_tests().into() };
    let packet = Packet {
        layer: 5,
        session: None,
        seq: 1,
        kind,
        status: 0,
        body: body.to_vec().into(),
    };
    Dialogue::new(house.into(), Carrier::Tcp).on_packet(packet, &mut Vec::new());
});
