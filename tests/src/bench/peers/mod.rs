//! Who forwards frames between two guests, each in a file of its own, all attached to the same
//! driver.

pub mod mdevd;
pub mod model;
pub mod testpmd;

use anyhow::Result;

use self::mdevd::Mdevd;
use self::testpmd::{Mode, Testpmd};
use super::cpu::Cores;
use super::limits::RING_SIZE;
use crate::fakevm::net::{NetGuest, NetRingConfig, feature};
use crate::fakevm::{FakeVmConfig, InterruptMode};

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// mdevd with trapped doorbells, one worker.
    MdevdTrapped,
    /// mdevd with mapped doorbells, one worker.
    MdevdMapped,
    /// DPDK `testpmd`, io forwarding between two vhost-user ports, one core.
    TestpmdIo,
    /// The same, rewriting MAC addresses.
    TestpmdMac,
    /// Nobody: a bare copy in the driver's thread. Shows what the driver itself costs.
    Model,
}

impl Peer {
    /// Name in tables and results.
    pub fn name(self) -> &'static str {
        match self {
            Peer::MdevdTrapped => "mdevd-trapped",
            Peer::MdevdMapped => "mdevd-mapped",
            Peer::TestpmdIo => "testpmd-io",
            Peer::TestpmdMac => "testpmd-mac",
            Peer::Model => "bare-copy",
        }
    }
}

/// What the guests of a contender look like: the same for every contender of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Frames of an Ethernet without jumbo frames, a buffer each.
    Plain,
    /// Frames up to 9000 bytes of payload, a buffer each.
    Jumbo,
}

impl Shape {
    /// Link MTU.
    pub fn mtu(self) -> usize {
        match self {
            Shape::Plain => 1500,
            Shape::Jumbo => 9000,
        }
    }

    /// Guests that drive their rings as DPDK's virtio driver does: polling, without event index.
    pub fn guest(self) -> FakeVmConfig {
        let mut rings = NetRingConfig {
            ring_size: RING_SIZE,
            ..NetRingConfig::default()
        };
        if self == Shape::Jumbo {
            rings.rx_buffer = 9216;
        }
        FakeVmConfig {
            queue_pairs: 1,
            rings,
            features: feature::PLAIN,
            interrupts: InterruptMode::Polling,
            ..FakeVmConfig::default()
        }
    }
}

/// Someone who can be started, with two guests attached.
pub trait Contender {
    /// Which one it is.
    fn id(&self) -> Peer;

    /// Name in tables and results.
    fn name(&self) -> &'static str {
        self.id().name()
    }

    /// What it is, exactly: version and command line.
    fn describe(&self) -> String;

    /// Starts it afresh.
    ///
    /// # Errors
    /// Fails when it does not come up, or a guest cannot be attached.
    fn start(&self, shape: Shape) -> Result<Rig>;
}

/// A running contender with two guests.
pub struct Rig {
    /// The guest that always sends.
    pub first: Box<dyn NetGuest>,
    /// The guest that always receives.
    pub second: Box<dyn NetGuest>,
    /// Addresses of both.
    pub macs: [[u8; 6]; 2],
    /// The process that forwards, if there is one.
    pub pid: Option<u32>,
    /// Stops the contender, after the guests have gone.
    pub stop: Box<dyn FnOnce() -> Result<()>>,
}

impl Rig {
    /// Detaches the guests and stops the contender.
    ///
    /// # Errors
    /// Fails when the contender did not survive until here.
    pub fn stop(self) -> Result<()> {
        let Rig {
            first,
            second,
            stop,
            ..
        } = self;
        drop((first, second));
        stop()
    }
}

/// Makes a contender; installs what it needs.
///
/// # Errors
/// Fails when something is missing that cannot be had here.
pub fn make(id: Peer, cores: Cores) -> Result<Box<dyn Contender>> {
    Ok(match id {
        Peer::TestpmdIo => Box::new(Testpmd::new(Mode::Io, cores)?),
        Peer::TestpmdMac => Box::new(Testpmd::new(Mode::Mac, cores)?),
        Peer::MdevdTrapped | Peer::MdevdMapped => Box::new(Mdevd::new(id, cores)?),
        Peer::Model => Box::new(model::Model),
    })
}
