//! An adaptive virtual function whose driver writes what it likes. See `src/avf_mailbox/mod.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::avf_mailbox::run(data));
