//! What a fake VM with an AVF function is asked to be.

use super::virtchnl::cap;
use crate::fakevm::doorbell::DoorbellMode;
use crate::fakevm::limits::BUFFER_SIZE;
use crate::fakevm::memory::MemoryPlan;
use crate::fakevm::net::{NetRingConfig, TxLayout, feature};
use crate::fakevm::{FakeVmConfig, InterruptMode};

/// Largest receive buffer that is a multiple of 128 bytes and fits a descriptor's length.
pub const MAX_RX_BUFFER: usize = 16_256;
/// Largest frame that a device of this kind takes from a wire.
pub const MAX_FRAME: u32 = 9728;

/// How the rings of a function are set up.
#[derive(Clone, Copy, Debug)]
pub struct AvfRingConfig {
    /// Descriptors of each transmit ring: a multiple of 32, from 64 to 4096.
    pub tx_size: u16,
    /// Descriptors of each receive ring: likewise.
    pub rx_size: u16,
    /// Bytes of one transmit buffer.
    pub tx_buffer: usize,
    /// Bytes of one receive buffer: a multiple of 128.
    pub rx_buffer: usize,
    /// Buffers of each descriptor, used in turn.
    pub buffers_each: u16,
    /// The region of guest memory that receive buffers lie in; any that has room if none is named.
    pub rx_region: Option<usize>,
    /// After so many descriptors the end of a frame has the device report: 1 as Linux's driver, 32 as DPDK's.
    pub reports: u16,
}

impl Default for AvfRingConfig {
    fn default() -> Self {
        AvfRingConfig {
            tx_size: 512,
            rx_size: 512,
            tx_buffer: BUFFER_SIZE,
            rx_buffer: BUFFER_SIZE,
            buffers_each: 1,
            rx_region: None,
            reports: 1,
        }
    }
}

/// What a fake VM with an AVF function is asked to be.
#[derive(Clone, Debug)]
pub struct AvfVmConfig {
    /// Queue pairs to use.
    pub queue_pairs: u16,
    /// How the rings are set up.
    pub rings: AvfRingConfig,
    /// Capabilities that the driver asks for, see [`cap`].
    pub wanted: u32,
    /// Largest frame that it takes in, with its Ethernet header; as Linux's driver has it if none is given.
    pub max_frame: Option<u32>,
    /// Received frames keep their check sequence, where the device can leave it; the driver looks at it and takes it off.
    /// Tags are left in then.
    pub keep_crc: bool,
    /// The flexible format of receive descriptors is asked for besides [`AvfVmConfig::wanted`], and used where the device
    /// has it.
    pub flex: bool,
    /// VLAN tags are taken out of received frames, where the device can.
    pub strip_vlan: bool,
    /// The key of the hash that chooses the receive queue; one of the driver's own if none is given.
    pub rss_key: Option<Vec<u8>>,
    /// Guest memory; enough of it for the rings if none is given.
    pub memory: Option<MemoryPlan>,
    /// Bytes in front of the rings that are left alone.
    pub skew: u64,
    /// How tails are written: not by events, which lose what is written.
    pub doorbells: DoorbellMode,
    /// How interrupts are received.
    pub interrupts: InterruptMode,
    /// Payload of the `VERSION` message of vfio-user.
    pub capabilities: &'static str,
}

impl Default for AvfVmConfig {
    fn default() -> Self {
        AvfVmConfig {
            queue_pairs: 1,
            rings: AvfRingConfig::default(),
            wanted: cap::FULL,
            max_frame: None,
            keep_crc: false,
            flex: false,
            strip_vlan: true,
            rss_key: None,
            memory: None,
            skew: 0,
            doorbells: DoorbellMode::default(),
            interrupts: InterruptMode::default(),
            capabilities: crate::fakevm::client::QEMU_CAPABILITIES,
        }
    }
}

impl AvfVmConfig {
    /// The guest that a fake VM with a virtio function of this configuration would be: rings as large, buffers as
    /// large as they may be. One that polls is told of what it has sent as DPDK's driver is.
    pub fn like(vm: &FakeVmConfig) -> Self {
        let rx_buffer = vm.rings.rx_buffer.next_multiple_of(128).min(MAX_RX_BUFFER);
        let hashes = vm.features & (feature::RSS | feature::HASH_REPORT) != 0;
        let defaults = AvfVmConfig::default();
        AvfVmConfig {
            queue_pairs: vm.queue_pairs,
            wanted: if hashes {
                defaults.wanted
            } else {
                defaults.wanted & !cap::RSS_PF
            },
            rings: AvfRingConfig {
                tx_size: vm.rings.ring_size,
                rx_size: vm.rings.ring_size,
                tx_buffer: vm.rings.tx_buffer,
                rx_buffer,
                buffers_each: vm.rings.buffers_each,
                rx_region: vm.rings.rx_region,
                reports: match vm.interrupts {
                    InterruptMode::EventFd => 1,
                    InterruptMode::Polling => 32,
                },
            },
            memory: vm.memory.clone(),
            skew: vm.skew,
            doorbells: vm.doorbells,
            interrupts: vm.interrupts,
            capabilities: vm.capabilities,
            ..defaults
        }
    }

    /// Capabilities that the driver asks for, all told.
    pub fn asked(&self) -> u32 {
        let flex = if self.flex { cap::RX_FLEX_DESC } else { 0 };
        self.wanted | flex
    }

    /// Guest memory to make.
    pub fn memory_plan(&self) -> MemoryPlan {
        if let Some(plan) = &self.memory {
            return plan.clone();
        }
        MemoryPlan::split(1 << 20, self.memory_size())
    }

    /// Bytes that the rings, their buffers and the mailbox take, generously.
    pub fn memory_size(&self) -> u64 {
        let rings = &self.rings;
        let like = FakeVmConfig {
            queue_pairs: self.queue_pairs,
            rings: NetRingConfig {
                ring_size: rings.tx_size.max(rings.rx_size),
                tx_layout: TxLayout::Joined,
                tx_buffer: rings.tx_buffer,
                rx_buffer: rings.rx_buffer,
                buffers_each: rings.buffers_each,
                rx_region: None,
            },
            skew: self.skew,
            ..FakeVmConfig::default()
        };
        like.memory_size() + (1 << 20)
    }
}
