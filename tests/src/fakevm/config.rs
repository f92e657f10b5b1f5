//! What a fake VM is asked to be.

use super::doorbell::DoorbellMode;
use super::memory::{Backing, MemoryPlan};
use super::net::{NetRingConfig, feature};

/// How a fake VM learns of returned buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InterruptMode {
    /// Events, armed before every wait: what a guest kernel does.
    #[default]
    EventFd,
    /// By looking; interrupts are suppressed in the rings and no vector is assigned to a queue.
    Polling,
}

/// What a fake VM is asked to be.
#[derive(Clone, Debug)]
pub struct FakeVmConfig {
    /// Queue pairs to use.
    pub queue_pairs: u16,
    /// How the rings are set up.
    pub rings: NetRingConfig,
    /// Features the driver can make use of; what the device offers besides is declined.
    pub features: u64,
    /// Guest memory; enough of it for the rings if none is given.
    pub memory: Option<MemoryPlan>,
    /// Bytes in front of the rings that are left alone: guests have their rings in different places, and
    /// where they are decides what of a cache they compete for.
    pub skew: u64,
    /// How doorbells are rung.
    pub doorbells: DoorbellMode,
    /// How interrupts are received.
    pub interrupts: InterruptMode,
    /// Payload of the `VERSION` message.
    pub capabilities: &'static str,
}

impl Default for FakeVmConfig {
    fn default() -> Self {
        FakeVmConfig {
            queue_pairs: 1,
            rings: NetRingConfig::default(),
            features: feature::FULL,
            memory: None,
            skew: 0,
            doorbells: DoorbellMode::default(),
            interrupts: InterruptMode::default(),
            capabilities: super::client::QEMU_CAPABILITIES,
        }
    }
}

impl FakeVmConfig {
    /// Guest memory to make.
    pub fn memory_plan(&self) -> MemoryPlan {
        if let Some(plan) = &self.memory {
            return plan.clone();
        }
        MemoryPlan::split(1 << 20, self.memory_size())
    }

    /// The same, on huge pages.
    pub fn hugetlb_plan(&self) -> MemoryPlan {
        let size = (self.memory_size() + (1 << 20)).next_multiple_of(super::memory::HUGE_PAGE);
        MemoryPlan::single(size, Backing::Hugetlb)
    }

    /// Bytes that the rings and their buffers take, generously.
    pub fn memory_size(&self) -> u64 {
        let entries = u64::from(self.rings.ring_size);
        let buffers = (self.rings.tx_buffer + self.rings.rx_buffer + 2 * 256) as u64;
        let buffers = buffers * u64::from(self.rings.buffers_each.max(1));
        let ring = entries * (buffers + 64 * 16) + (64 << 10);
        let all = u64::from(self.queue_pairs) * ring + (2 << 20);
        all.next_multiple_of(1 << 20) + self.skew
    }
}
