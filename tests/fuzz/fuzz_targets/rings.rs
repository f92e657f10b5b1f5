//! Rings of either format over arbitrary memory. See `src/rings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::rings::run(data));
