//! A device: slice, personality and port joined, with an explicit life cycle.
//!
//! Owns nothing that the modules above own; ties them together. Never talks to sockets: whoever
//! serves the vfio-user protocol calls [`Cvf`].

mod change;
mod compose;
mod control;
mod device;
mod direct;
mod health;
mod host;
mod irq;
mod launch;
mod mailbox;
mod model;
mod placed;
mod policy;
mod regions;
mod spec;
mod stats;
mod takeover;
mod tune;
mod whole;

pub use change::ChangeError;
pub use direct::DataPath;
pub use health::{HardwarePath, Health, Memory, Refusal};
pub use irq::{IrqAction, IrqData, IrqError, IrqRequest};
pub use model::Model;
pub use policy::{
    GroupError, GroupRate, NeighbourCheck, Network, PolicyError, PortPolicy, PortRates, RateGroup,
    SourceMac, Vid, VlanSet,
};
pub use regions::{RegionInfo, RegionMap};
pub use spec::{ComposeError, CvfSpec};
pub use stats::{CvfStats, Misbehaviour};
pub use whole::Cvf;

pub use crate::control::QueuePolicy;
pub use crate::dataplane::{
    Catch, Drop, QueueStats, Quiescing, Seen, SetBy, Stalled, SteeringState, Tap, TapError, Wanted,
    Way,
};
pub use crate::mem::{MapError, MapRequest};
pub use crate::offload::TagStyle;
pub use crate::pci::AccessError;
pub use crate::personality::{DoorbellRegister, Doorbells, Interrupts, RingFormats};
pub use crate::pf::direct::DmaFaults;
