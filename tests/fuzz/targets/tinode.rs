#![no_main]
use msimd::config::Tinode;
use msimd::wire::tinode::mode::Mode;
use msimd::wire::tinode::names::Topic;
use msimd::wire::tinode::packet::Packet;
use msimd::wire::tinode::request::{Payload, Request, Verb};
use msimd::wire::tinode::{key, lines, ws};
use msimd::wire::{Buffer, Codec};

// The same bytes as a name, as letters, as a key, as a message, and on both carriers.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let topic = Topic::parse(text);
        // A name has one spelling.
        assert!(matches!(topic, Topic::Bad | Topic::Unknown) || topic.to_string() == text);
        if let Mode::Letters(access) = Mode::parse(text) {
            assert_eq!(Mode::parse(&access.to_string()), Mode::Letters(access));
        }
        key::is_good(text, &Tinode::default());
        read(text);
    }
    drain(ws::Codec::new(4096), bytes);
    drain(lines::Codec::new(4096), bytes);
});

/// What is kept of a message's own JSON is JSON.
fn read(text: &str) {
    let Ok(request) = Request::parse(text) else { return };
    let kept = match &request.verb {
        Verb::Pub { content, .. } => vec![content],
        Verb::Set(set) => {
            let info = set.info.iter().flat_map(|info| [&info.public, &info.private]);
            info.chain(set.sub.iter().map(|sub| &sub.info)).filter_map(json).collect()
        }
        Verb::Sub(sub) => [&sub.init.public, &sub.init.private, &sub.sub.info]
            .into_iter()
            .filter_map(json)
            .collect(),
        Verb::Acc(acc) => {
            [&acc.init.public, &acc.init.private].into_iter().filter_map(json).collect()
        }
        _ => Vec::new(),
    };
    for json in kept {
        let object = format!("{{\"a\":{json}}}");
        msimd::wire::json::object(object.as_bytes()).unwrap();
    }
}

fn json(payload: &Payload) -> Option<&Box<str>> {
    match payload {
        Payload::Json(json) => Some(json),
        Payload::Absent | Payload::Clear => None,
    }
}

fn drain(mut codec: impl Codec<Packet = Packet>, bytes: &[u8]) {
    let mut input = Buffer::default();
    input.extend(bytes);
    while let Ok(Some(packet)) = codec.decode(&mut input) {
        if let Packet::Said(text) = &packet {
            read(text);
        }
        codec.encode(&packet, &mut Vec::new());
    }
}
