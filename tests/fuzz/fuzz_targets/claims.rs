//! Neighbour messages in arbitrary frames. See `src/claims.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::claims::run(data));
