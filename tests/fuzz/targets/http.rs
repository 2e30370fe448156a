#![no_main]
use msimd::wire::{Buffer, http};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut codec, mut input) = (http::Codec::new(4096), Buffer::default());
    input.extend(bytes);
    while let Ok(Some(request)) = codec.decode(&mut input) {
        std::hint::black_box(request.field("x-session"));
    }
});
