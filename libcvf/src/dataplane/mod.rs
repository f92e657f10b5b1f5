//! The data plane: workers, ports, notification and quiescence.
//!
//! A transmit ring belongs to one worker. It takes a burst, decides where each frame goes,
//! copies it from guest to guest (the only copy of its payload), publishes once per burst and
//! destination, and sleeps when there is nothing to do; a frame that is alone after a silence is
//! forwarded by whoever hears of it. Nothing here is async; nothing on the way of a frame allocates,
//! logs, locks globally or makes a system call, except the write into an uplink, which is one.

mod alarm;
mod answer;
mod balance;
mod biased;
mod bucket;
mod claim;
mod clock;
mod coalesce;
mod counters;
mod deliver;
mod due;
mod fabric;
mod forward;
mod group;
mod interrupts;
mod inward;
mod lane;
mod lone;
mod mailbox;
mod mask;
mod neighbours;
mod outward;
mod pinned;
mod police;
mod policed;
mod port;
mod queue;
mod rates;
mod rearm;
mod receiver;
mod scratch;
mod seat;
mod serve;
mod sorted;
mod stats;
mod steer;
mod stop;
mod tap;
mod target;
mod watch;
mod wishes;
mod worker;

pub use alarm::Alarm;
pub use biased::{Access, Biased};
pub use coalesce::Held;
pub use counters::{Counter, Drop, QueueCounters};
pub use fabric::{Endpoint, Fabric, Uplink};
pub use forward::Route;
pub use group::{GroupError, RateGroup};
pub use interrupts::{Interrupts, LineError, LineKind};
pub use lane::{
    Ask, FillLane, Filled, HardwareFill, HardwareLine, HardwareSend, Hold, LaneParts, Piece, Reach,
    Reaching, SendLane, Slots,
};
pub use neighbours::{NeighbourCheck, Neighbours, Network};
pub use port::{Port, Quiescing, Stalled};
pub use queue::{ReceiveQueue, ReceiveState, TransmitQueue, TransmitState, VectorCell};
pub use rates::PortRates;
pub use scratch::{Desk, Scratch};
pub use stats::QueueStats;
pub use steer::{SetBy, Steering, SteeringState};
pub use tap::{Catch, Seen, Tap, Wanted, Way};
pub use watch::TapError;
