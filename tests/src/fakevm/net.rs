//! virtio-net on top of queues of either format: frames in, frames out (virtio 1.3 5.1).
//!
//! A pair of rings is all that vfio-user and vhost-user guests have in common, and everything
//! that a benchmark measures of them: both peers get exactly this driver.

pub(in crate::fakevm) mod buffers;
mod header;
mod rx;
#[cfg(test)]
mod tests;
mod tx;

pub use self::header::{HASH_HEADER_LEN, HEADER_LEN, NetHeader, gso, header_flag, header_len};
pub use self::rx::{Frame, RxRing};
pub use self::tx::{TxLayout, TxRing};
use super::error::Result;
pub use super::guest::{NetGuest, Rx, Tx};
use super::memory::GuestMemory;
use super::ring::QueueLayout;

/// Feature bits, as masks (virtio 1.3 5.1.3 and 6).
#[allow(missing_docs)]
pub mod feature {
    pub const CSUM: u64 = 1 << 0;
    pub const GUEST_CSUM: u64 = 1 << 1;
    pub const CTRL_GUEST_OFFLOADS: u64 = 1 << 2;
    pub const MTU: u64 = 1 << 3;
    pub const MAC: u64 = 1 << 5;
    pub const GUEST_TSO4: u64 = 1 << 7;
    pub const GUEST_TSO6: u64 = 1 << 8;
    pub const GUEST_ECN: u64 = 1 << 9;
    pub const GUEST_UFO: u64 = 1 << 10;
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const HOST_TSO6: u64 = 1 << 12;
    pub const HOST_ECN: u64 = 1 << 13;
    pub const HOST_UFO: u64 = 1 << 14;
    pub const MRG_RXBUF: u64 = 1 << 15;
    pub const STATUS: u64 = 1 << 16;
    pub const CTRL_VQ: u64 = 1 << 17;
    pub const CTRL_RX: u64 = 1 << 18;
    pub const CTRL_VLAN: u64 = 1 << 19;
    pub const GUEST_ANNOUNCE: u64 = 1 << 21;
    pub const MQ: u64 = 1 << 22;
    pub const CTRL_MAC_ADDR: u64 = 1 << 23;
    pub const INDIRECT_DESC: u64 = 1 << 28;
    pub const EVENT_IDX: u64 = 1 << 29;
    pub const VERSION_1: u64 = 1 << 32;
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
    pub const RING_PACKED: u64 = 1 << 34;
    pub const IN_ORDER: u64 = 1 << 35;
    pub const NOTIFICATION_DATA: u64 = 1 << 38;
    pub const RING_RESET: u64 = 1 << 40;
    pub const DEVICE_STATS: u64 = 1 << 50;
    pub const VQ_NOTF_COAL: u64 = 1 << 52;
    pub const NOTF_COAL: u64 = 1 << 53;
    pub const GUEST_USO4: u64 = 1 << 54;
    pub const GUEST_USO6: u64 = 1 << 55;
    pub const HOST_USO: u64 = 1 << 56;
    pub const HASH_REPORT: u64 = 1 << 57;
    pub const RSS: u64 = 1 << 60;
    pub const SPEED_DUPLEX: u64 = 1 << 63;

    /// What a plain guest wants: mergeable buffers, no offloads, no event index, as DPDK's driver.
    pub const PLAIN: u64 = VERSION_1 | ACCESS_PLATFORM | MAC | MRG_RXBUF | STATUS;
    /// Everything that this driver can make use of, with split rings and plain doorbells.
    pub const FULL: u64 = PLAIN
        | CSUM
        | GUEST_CSUM
        | CTRL_GUEST_OFFLOADS
        | MTU
        | GUEST_TSO4
        | GUEST_TSO6
        | GUEST_ECN
        | GUEST_UFO
        | HOST_TSO4
        | HOST_TSO6
        | HOST_ECN
        | HOST_UFO
        | CTRL_VQ
        | CTRL_RX
        | CTRL_VLAN
        | GUEST_ANNOUNCE
        | MQ
        | CTRL_MAC_ADDR
        | INDIRECT_DESC
        | EVENT_IDX
        | RING_RESET
        | GUEST_USO4
        | GUEST_USO6
        | HOST_USO
        | SPEED_DUPLEX;
    /// What is asked of queues by command. Not part of [`FULL`]: the header is longer with it.
    pub const QUEUES: u64 = DEVICE_STATS | VQ_NOTF_COAL | NOTF_COAL | HASH_REPORT | RSS;
}

/// How the rings of a guest are set up.
#[derive(Clone, Copy, Debug)]
pub struct NetRingConfig {
    /// Entries of each receive and transmit queue.
    pub ring_size: u16,
    /// How frames lie in the transmit queue.
    pub tx_layout: TxLayout,
    /// Bytes of one transmit buffer, header included.
    pub tx_buffer: usize,
    /// Bytes of one receive buffer, header included.
    pub rx_buffer: usize,
    /// Buffers of each descriptor, used in turn: more than one spreads the frames of a small ring
    /// over much memory.
    pub buffers_each: u16,
    /// The region of guest memory that receive buffers lie in; any that has room if none is named.
    pub rx_region: Option<usize>,
}

impl Default for NetRingConfig {
    fn default() -> Self {
        NetRingConfig {
            ring_size: 256,
            tx_layout: TxLayout::Joined,
            tx_buffer: super::limits::BUFFER_SIZE,
            rx_buffer: super::limits::BUFFER_SIZE,
            buffers_each: 1,
            rx_region: None,
        }
    }
}

/// One queue pair.
#[derive(Debug)]
pub struct NetPair {
    /// Frames to the device.
    pub tx: TxRing,
    /// Frames from the device.
    pub rx: RxRing,
}

impl NetPair {
    /// Takes memory for both rings and their buffers, and fills the receive ring without
    /// showing it to the device yet.
    ///
    /// # Errors
    /// Fails when memory has no room.
    pub fn new(memory: &mut GuestMemory, config: &NetRingConfig, features: u64) -> Result<Self> {
        let rx = QueueLayout::alloc_for(memory, config.ring_size, features)?;
        let tx = QueueLayout::alloc_for(memory, config.ring_size, features)?;
        Ok(NetPair {
            rx: RxRing::new(memory, rx, config, features)?,
            tx: TxRing::new(memory, tx, config, features)?,
        })
    }
}

/// Index of the receive queue of a pair.
pub fn rx_queue(pair: u16) -> u16 {
    pair * 2
}

/// Index of the transmit queue of a pair.
pub fn tx_queue(pair: u16) -> u16 {
    pair * 2 + 1
}
