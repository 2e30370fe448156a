#![no_main]
use msimd::config::Config;
use msimd::domain::words::Reply;
use msimd::wire::{Buffer, Codec as _, Dialogue as _, House, Next, line};

// A whole conversation: whatever is asked is done.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let house = House { name: "im.test".into(), config: Config::for_tests().into() };
    let (mut codec, mut talk) = (line::Codec::new(4096), line::Dialogue::new(house.into()));
    let (mut input, mut out, mut written) = (Buffer::default(), Vec::new(), Vec::new());
    input.extend(bytes);
    while let Ok(Some(packet)) = codec.decode(&mut input) {
        let mut next = talk.on_packet(packet, &mut out);
        while let Next::Ask(_) = next {
            next = talk.on_reply(Ok(Reply::Done), &mut out);
        }
        if let Next::HangUp(_) = next {
            break;
        }
    }
    for packet in &out {
        codec.encode(packet, &mut written);
    }
    // What the server says, it can read: every line but those of blocks.
    for line in String::from_utf8(written).unwrap().lines() {
        let is_block = line.is_empty() || line.starts_with(['[', ']', '.']);
        let rest = line.split_once(' ').filter(|(first, _)| first.parse::<u16>().is_ok());
        if !is_block {
            line::notation::parse(rest.map_or(line, |(_, rest)| rest)).unwrap();
        }
    }
});
