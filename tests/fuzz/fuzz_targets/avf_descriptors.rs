//! Rings of an AVF driver over arbitrary descriptors and tails. See `src/avf.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::avf::run(data));
