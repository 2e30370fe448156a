#![no_main]
use msimd::wire::{Buffer, Codec, msim2::ws};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut codec, mut input) = (ws::Codec::new(3, 4096), Buffer::default());
    input.extend(bytes);
    while let Ok(Some(packet)) = codec.decode(&mut input) {
        codec.encode(&packet, &mut Vec::new());
    }
});
