//! What host and guest of the lab agree on: the agent's messages and the numbered frames.
//!
//! The library half is linked by the host side too, so that both speak from one definition. The
//! binary half (`guest-agent`) runs inside the virtual machine, linked statically.

pub mod crc;
pub mod frame;
pub mod inspect;
pub mod kernel;
pub mod limits;
pub mod pattern;
pub mod plan;
pub mod tally;
pub mod wire;
