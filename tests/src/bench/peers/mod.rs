//! Who forwards frames between two guests, each in a file of its own, all attached to the same
//! driver.

pub mod mdevd;
pub mod model;
pub mod ovs;
pub mod testpmd;

use anyhow::Result;

use self::mdevd::Mdevd;
use self::testpmd::{Mode, Testpmd};
use super::family::Run;
use super::limits::{JUMBO_BUFFER, LARGE_BUFFER, LAST_LEVEL_CACHE, RING_SIZE};
use super::machine;
use crate::fakevm::net::{NetGuest, NetRingConfig, feature};
use crate::fakevm::{FakeVmConfig, InterruptMode};

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// mdevd with trapped doorbells, one worker.
    MdevdTrapped,
    /// mdevd with mapped doorbells, one worker.
    MdevdMapped,
    /// mdevd with trapped doorbells, one worker, between guests with packed rings in order.
    MdevdPacked,
    /// mdevd with trapped doorbells, one worker, between two adaptive virtual functions.
    AvfAvfTrapped,
    /// The same with mapped doorbells.
    AvfAvfMapped,
    /// mdevd with trapped doorbells, one worker, between an adaptive virtual function and virtio.
    AvfVirtioTrapped,
    /// The same with mapped doorbells.
    AvfVirtioMapped,
    /// DPDK `testpmd`, io forwarding between two vhost-user ports, one core.
    TestpmdIo,
    /// The same, rewriting MAC addresses.
    TestpmdMac,
    /// io forwarding between guests with packed rings in order.
    TestpmdPacked,
    /// OVS with DPDK: a learning switch between two vhost-user ports, one core.
    Ovs,
    /// Nobody: a bare copy in the driver's thread. Shows what the driver itself costs.
    Model,
}

impl Peer {
    /// Name in tables and results.
    pub fn name(self) -> &'static str {
        match self {
            Peer::MdevdTrapped => "mdevd-trapped",
            Peer::MdevdMapped => "mdevd-mapped",
            Peer::MdevdPacked => "mdevd-packed",
            Peer::AvfAvfTrapped => "avf-avf-trapped",
            Peer::AvfAvfMapped => "avf-avf-mapped",
            Peer::AvfVirtioTrapped => "avf-virtio-trapped",
            Peer::AvfVirtioMapped => "avf-virtio-mapped",
            Peer::TestpmdIo => "testpmd-io",
            Peer::TestpmdMac => "testpmd-mac",
            Peer::TestpmdPacked => "testpmd-packed",
            Peer::Ovs => "ovs-dpdk",
            Peer::Model => "bare-copy",
        }
    }

    /// Features that its guests ask for about their rings.
    pub fn ring_features(self) -> u64 {
        match self {
            Peer::MdevdPacked | Peer::TestpmdPacked => feature::RING_PACKED | feature::IN_ORDER,
            _ => 0,
        }
    }
}

/// mdevd in both doorbell modes, with their words in names of rows.
pub const OURS: [(Peer, &str); 2] = [
    (Peer::MdevdTrapped, "trapped"),
    (Peer::MdevdMapped, "mapped"),
];

/// What frames the guests of a contender carry: the same for every contender of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frames {
    /// Frames of an Ethernet without jumbo frames, a buffer each.
    Plain,
    /// Frames up to 9000 bytes of payload, a buffer each.
    Jumbo,
    /// Large-send frames of up to 64 KiB, a buffer each, spread over four times the last-level
    /// cache.
    Large,
}

/// What the guests of a contender look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// What frames they carry.
    pub frames: Frames,
    /// Whether their memory is of huge pages.
    pub huge: bool,
    /// Whether they want notifications, by event index: as a guest's kernel does. Otherwise
    /// they poll, as DPDK's driver does.
    pub notified: bool,
}

impl Shape {
    /// Guests that poll.
    pub fn polling(frames: Frames, run: &Run) -> Self {
        Shape {
            frames,
            huge: run.huge,
            notified: false,
        }
    }

    /// Link MTU.
    pub fn mtu(self) -> usize {
        match self.frames {
            Frames::Plain | Frames::Large => 1500,
            Frames::Jumbo => 9000,
        }
    }

    /// The guest.
    pub fn guest(self) -> FakeVmConfig {
        let mut rings = NetRingConfig {
            ring_size: RING_SIZE,
            ..NetRingConfig::default()
        };
        let mut features = feature::PLAIN;
        match self.frames {
            Frames::Plain => {}
            Frames::Jumbo => {
                rings.tx_buffer = JUMBO_BUFFER;
                rings.rx_buffer = JUMBO_BUFFER;
            }
            Frames::Large => {
                rings.tx_buffer = LARGE_BUFFER;
                rings.rx_buffer = LARGE_BUFFER;
                rings.buffers_each = large_buffers_each();
                features |= feature::CSUM | feature::GUEST_CSUM;
                features |= feature::HOST_TSO4 | feature::GUEST_TSO4;
            }
        }
        if self.notified {
            features |= feature::EVENT_IDX;
        }
        let mut guest = FakeVmConfig {
            queue_pairs: 1,
            rings,
            features,
            interrupts: if self.notified {
                InterruptMode::EventFd
            } else {
                InterruptMode::Polling
            },
            ..FakeVmConfig::default()
        };
        if self.huge {
            guest.memory = Some(guest.hugetlb_plan());
        }
        guest
    }
}

/// Bytes over which the large frames of one side are spread at least.
pub fn large_working_set() -> u64 {
    4 * machine::last_level_cache().unwrap_or(LAST_LEVEL_CACHE)
}

fn large_buffers_each() -> u16 {
    let ring = u64::from(RING_SIZE) * LARGE_BUFFER as u64;
    large_working_set().div_ceil(ring).clamp(1, 64) as u16
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
pub fn make(id: Peer, run: &Run) -> Result<Box<dyn Contender>> {
    Ok(match id {
        Peer::TestpmdIo => Box::new(Testpmd::new(Mode::Io, run)?),
        Peer::TestpmdMac => Box::new(Testpmd::new(Mode::Mac, run)?),
        Peer::TestpmdPacked => Box::new(Testpmd::new(Mode::Packed, run)?),
        Peer::Ovs => Box::new(ovs::Ovs::new(run)?),
        Peer::MdevdTrapped
        | Peer::MdevdMapped
        | Peer::MdevdPacked
        | Peer::AvfAvfTrapped
        | Peer::AvfAvfMapped
        | Peer::AvfVirtioTrapped
        | Peer::AvfVirtioMapped => Box::new(Mdevd::new(id, run.cores)?),
        Peer::Model => Box::new(model::Model),
    })
}
