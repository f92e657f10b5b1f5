//! Bytes, descriptors, completions and DMA replies against the session. See `src/session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::session::run(data));
