//! Decisions about what a guest may ask of its device: pure functions of facts and request, without
//! I/O, clock or state.

mod gatekeeper;

pub use gatekeeper::{DefaultGatekeeper, rule};
