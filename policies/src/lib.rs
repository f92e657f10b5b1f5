//! Decisions about what a device may be and what a guest may ask of it: pure functions of profile,
//! facts and request, without I/O, clock or state.
//!
//! A [`Profile`] is a text that an operator writes ([`Profile::parse`]) or that comes with this crate
//! ([`shipped`]). [`Profile::admit`] judges a device that is to be made, [`ProfileGatekeeper`] what
//! its guest asks for later, and [`explain`] tells an operator why. What an operator gave one device beside its
//! profile is a [`Given`]. [`DefaultGatekeeper`] is what
//! holds for every device, whatever its profile; the daemon knows only that so far.
//!
//! ```
//! use policies::{Profile, explain, request};
//!
//! let text = "[control]\nvlan-join = \"listed\"\nvlan-list = [\"200-299\"]";
//! let profile = Profile::parse("edge", text)?;
//! let facts = libcvf::control::DeviceFacts {
//!     assigned_mac: "52:54:00:12:34:56".parse()?,
//!     queue_pairs: 1,
//!     access_vlan: None,
//!     joined_vlans: 0,
//! };
//! assert!(explain(&profile, &facts, &request::parse("vlan=250")?).allowed);
//! let told = explain(&profile, &facts, &request::parse("vlan=300")?);
//! assert_eq!(told.rule, Some(policies::rule::VLAN_JOIN));
//!
//! let error = Profile::parse("edge", "[control]\nvlan-jion = \"any\"").unwrap_err();
//! assert!(error.render("edge.toml").starts_with("edge.toml:2:1: there is no key 'vlan-jion'"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admit;
mod explain;
mod gatekeeper;
mod given;
pub mod limits;
mod nearest;
pub mod profile;
pub mod request;
pub mod rule;
mod rules;
mod shipped;

pub use admit::{Refusal, Shape};
pub use explain::{Explanation, Outcome, Step, explain, explain_for};
pub use gatekeeper::{DefaultGatekeeper, ProfileGatekeeper};
pub use given::{Given, InForce};
pub use profile::{Fault, Profile, ProfileError};
pub use shipped::{Shipped, shipped};
