//! Decisions about what a device may be and what a guest may ask of it: pure functions of profile,
//! facts and request, without I/O, clock or state.
//!
//! A [`Profile`] is a text that an operator writes ([`Profile::parse`]) or that comes with this crate
//! ([`shipped`]). [`Profile::admit`] judges a device that is to be made, [`ProfileGatekeeper`] what
//! its guest asks for later, and [`explain`] tells an operator why. [`DefaultGatekeeper`] is what
//! holds for every device, whatever its profile.

mod admit;
mod explain;
mod gatekeeper;
pub mod limits;
mod nearest;
pub mod profile;
pub mod request;
pub mod rule;
mod rules;
mod shipped;

pub use admit::{Refusal, Shape};
pub use explain::{Explanation, Outcome, Step, explain};
pub use gatekeeper::{DefaultGatekeeper, ProfileGatekeeper};
pub use profile::{Fault, Profile, ProfileError};
pub use shipped::{Shipped, shipped};
