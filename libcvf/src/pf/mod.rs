//! What is sliced: the trait of physical functions and its back ends.
//!
//! A back end owns an inventory, a data plane and the ways out. It does not know which personality
//! sits on a slice.

mod carrier;
pub mod direct;
mod dma;
mod error;
mod events;
pub mod igb;
mod loss;
mod soft;
mod sys;
mod tap;
pub mod vfio;
pub mod virtio;

pub use carrier::CarrierWatcher;
pub use error::PfError;
pub use soft::{SoftPf, SoftPfConfig, UplinkConfig};
pub use tap::{TapConfig, TapError};

use std::sync::Arc;

use crate::control::MacAddr;
use crate::dataplane::{Fabric, LaneParts, Port, QueueStats};
use crate::ledger::{Inventory, Ledger, Slice};

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

/// What a PF gives one device at most; `None`: as much as its ledger has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Queue pairs.
    pub most_pairs: Option<u16>,
    /// Filter entries, which it then has, however many it asks for.
    pub filters: Option<u32>,
    /// MTU in bytes: what its buffers hold. `None`: as much as a device can have.
    pub most_mtu: Option<u16>,
    /// Its hardware can work the rings of one device, which then has all of it.
    pub direct: bool,
}

/// What a device wants of what comes from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    /// Unicast addresses, its own first.
    pub unicast: Vec<MacAddr>,
    /// VLANs whose tagged frames it takes; `None`: of all.
    pub vlans: Option<Vec<u16>>,
    /// Frames without tag.
    pub untagged: bool,
    /// Multicast, some or all.
    pub multicast: bool,
    /// Broadcast.
    pub broadcast: bool,
    /// Bytes of the longest frame.
    pub longest: u32,
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

    /// What it gives one device.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Why its function is not to be had any more, in words for the operator; `None`: it is, or there is none. Devices on its
    /// hardware were stopped, and are again when their driver starts.
    fn lost(&self) -> Option<String> {
        None
    }

    /// Hardware queues for a device that has this slice, from its first queue pair on; none where frames to the
    /// outside take the switch's way.
    ///
    /// # Errors
    /// Why there are none, in words for the operator.
    fn equip(&self, slice: &Slice) -> Result<Vec<LaneParts>, String> {
        let _ = slice;
        Ok(Vec::new())
    }

    /// Hardware that works the rings of a device's driver itself; the device has all of this PF.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    fn direct(&self, slice: &Slice) -> Result<Arc<dyn direct::DirectQueues>, String> {
        let _ = slice;
        Err(format!(
            "a {} PF has no hardware that works a guest's rings",
            self.kind()
        ))
    }

    /// The device with this slice, whose hardware has ended what it did for it, has a worker work its rings for a while and
    /// wants a way out at the switch; or it does not any more.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    fn stand_aside(&self, slice: &Slice, aside: bool) -> Result<(), String> {
        let _ = (slice, aside);
        Ok(())
    }

    /// The device with this slice has its place at the switch: its hardware may begin.
    fn seat(&self, slice: &Slice, port: &Arc<Port>) {
        let _ = (slice, port);
    }

    /// It has left: what its hardware queues did has ended before.
    fn leave(&self, slice: &Slice) {
        let _ = slice;
    }

    /// Sets what reaches the device with this slice from outside. More may reach it; the switch decides anyway.
    ///
    /// # Errors
    /// Why it cannot be so, in words for guest and operator; nothing has changed.
    fn tune(&self, slice: &Slice, station: &Station) -> Result<(), String> {
        let _ = (slice, station);
        Ok(())
    }

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
