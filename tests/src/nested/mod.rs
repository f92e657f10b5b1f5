//! A virtual machine that is a host with physical functions, and what is at the other end of their wires.
//!
//! Inside, everything that was built here runs as it is: this machine's whole file system is there, read-only, under
//! what is written in memory ([`outer`]). Its functions are QEMU's emulated NICs behind an IOMMU, each in a group of
//! its own ([`function`], [`binding`]). The other end of a function's wire is this process ([`wire`], [`peer`]), or
//! a kernel in a network namespace that this process can listen in on. Full guests can be booted inside ([`guest`]). Programs that the lab itself has inside are in
//! [`inside`].
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lab::nested::{Crossing, Mdevd, Model, Outer, Outside, Plug, Run};
//!
//! let (lab, programs) = (lab::lab::Lab::prepare()?, lab::artifacts::programs()?);
//! let plug = Plug { model: Model::Igb, outside: Outside::Process };
//! let (outer, mut functions) = Outer::boot(&lab, &[plug])?;
//! let igb = &mut functions[0];
//! igb.function.bind_vfio(&outer.vm)?;
//! // A PF of whatever kind the daemon makes of a function at this address:
//! let daemon = Mdevd::start(&outer, &programs, &[format!("KIND:pf0,{}", igb.function.address)])?;
//! let device = daemon.create("web1", &[])?;
//! let run = Run { number: 0, count: 1000, size: 60, window: 32 };
//! let crossing = Crossing::make(&outer, &mut igb.wire, &device.socket, &run)
//!     .map_err(|error| daemon.explain("frames through igb", &error))?;
//! crossing.must_be_perfect(&run)?;
//! # Ok(())
//! # }
//! ```

pub mod account;
pub mod binding;
pub mod daemon;
pub mod function;
pub mod guest;
pub mod inside;
pub mod limits;
pub mod outer;
pub mod peer;
pub mod sys;
pub mod traffic;
pub mod wire;

pub use daemon::Mdevd;
pub use function::{Function, Model};
pub use guest::Inner;
pub use outer::{Outer, Outside, Physical, Plug};
pub use traffic::{Crossing, Driven, Run};
pub use wire::Wire;
