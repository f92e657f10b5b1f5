//! What is sliced: the trait of physical functions and its back ends.
//!
//! A back end owns an inventory, a data plane and the ways out. It does not know which personality
//! sits on a slice.

mod carrier;
mod soft;
mod sys;
mod tap;

pub use carrier::CarrierWatcher;
pub use soft::{PfError, SoftPf, SoftPfConfig, UplinkConfig};
pub use tap::{TapConfig, TapError};

use std::sync::Arc;

use crate::dataplane::{Fabric, QueueStats};
use crate::ledger::{Inventory, Ledger};

/// How a PF reaches the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkState {
    /// "tap".
    pub kind: &'static str,
    /// Interface name on the host.
    pub name: String,
    /// The bridge it is in.
    pub bridge: Option<String>,
    /// It is set up and has a carrier.
    pub carrier: bool,
    /// Frames that came in from outside.
    pub receive: QueueStats,
    /// Frames that went out.
    pub transmit: QueueStats,
}

/// A physical function as devices see it. All methods may be called from any thread.
pub trait PhysicalFunction: Send + Sync {
    /// Its name, unique in the daemon.
    fn name(&self) -> &str;

    /// Kind of back end.
    fn kind(&self) -> &'static str;

    /// What it has and who has it.
    fn ledger(&self) -> &Arc<Ledger>;

    /// Its switch and workers.
    fn fabric(&self) -> &Arc<Fabric>;

    /// Its way out, if there is one.
    fn uplink(&self) -> Option<UplinkState>;

    /// Whether frames can pass to the outside, as far as its way out says. Without one: true.
    fn has_carrier(&self) -> bool {
        true
    }

    /// Has `watcher` told of every change of [`PhysicalFunction::has_carrier`]. A PF has one watcher, the first.
    fn watch_carrier(&self, watcher: CarrierWatcher) {
        drop(watcher);
    }

    /// Worker threads.
    fn workers(&self) -> u16;

    /// What is there and what is free.
    fn inventory(&self) -> Inventory {
        self.ledger().inventory()
    }
}
