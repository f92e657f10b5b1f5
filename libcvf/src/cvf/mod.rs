//! A device: slice, personality and port joined, with an explicit life cycle.
//!
//! Owns nothing that the modules above own; ties them together. Never talks to sockets: whoever
//! serves the vfio-user protocol calls [`Cvf`].

mod change;
mod control;
mod device;
mod health;
mod host;
mod irq;
mod launch;
mod policy;
mod regions;
mod spec;
mod stats;
mod whole;

pub use change::ChangeError;
pub use health::{Health, Memory, Refusal};
pub use irq::{IrqAction, IrqData, IrqError, IrqRequest};
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
