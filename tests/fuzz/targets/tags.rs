#![no_main]
use msimd::config::Config;
use msimd::domain::id::{AccountNo, SessionId};
use msimd::domain::words::Reply;
use msimd::wire::{Buffer, Codec as _, Dialogue as _, House, Next, tags};

// A whole conversation of somebody who is here: whatever is asked is done.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let house = House { name: "im.test".into(), config: Config::for_tests().into() };
    let (mut codec, mut talk) = (tags::Codec::new(), tags::Dialogue::new(house.into()));
    let (mut input, mut out, mut written) = (Buffer::default(), Vec::new(), Vec::new());
    input.extend(b"IAM alice secret\n");
    input.extend(bytes);
    let session = SessionId::new([1; 32]);
    let who = || "alice@im.test".into();
    let mut first = Some(Reply::LoggedIn { session, account: AccountNo(1), who: who() });
    while let Ok(Some(packet)) = codec.decode(&mut input) {
        let mut next = talk.on_packet(packet, &mut out);
        while let Next::Ask(_) = next {
            next = talk.on_reply(Ok(first.take().unwrap_or(Reply::Done)), &mut out);
        }
        if let Next::HangUp(_) = next {
            break;
        }
    }
    for packet in &out {
        codec.encode(packet, &mut written);
    }
    // Whatever the server says are lines.
    for line in written.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").unwrap();
        let text = std::str::from_utf8(line).unwrap();
        assert!(text.len() <= 4096 && !text.contains(|c: char| c.is_control() && c != '\t'));
    }
});
