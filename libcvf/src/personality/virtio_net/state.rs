//! Device state behind the registers.

use super::super::{DriverState, Given, Host, Interrupts, QueueRole, RingFormats, Status};
use super::features::{self, bits, feature_names};
use super::layout;
use super::queue::{NO_VECTOR, Queue};
use super::settings::VirtioNetConfig;
use super::statistics::Tally;
use crate::control::MacAddr;
use crate::ring::RingFormat;

/// Device status bits (2.1).
pub(super) mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const NEEDS_RESET: u8 = 64;
    pub const FAILED: u8 = 128;
    /// Bits a driver may set.
    pub const OF_DRIVER: u8 = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED;
}

/// Everything a driver's registers stand for.
#[derive(Debug)]
pub(super) struct State {
    pub config: VirtioNetConfig,
    /// What the operator gave since; the next reset takes it up.
    pub next: Given,
    pub offered: u64,
    pub vectors: u16,
    pub status: u8,
    pub device_feature_select: u32,
    pub driver_feature_select: u32,
    /// What the driver accepted, 32 bits each (bits 0 to 127).
    pub driver_features: [u32; 4],
    pub config_vector: u16,
    pub generation: u8,
    /// Device configuration changed since the driver last read any of it.
    pub stale: bool,
    pub queue_select: u16,
    pub queues: Vec<Queue>,
    pub mac: MacAddr,
    pub link_up: bool,
    pub announce: bool,
    pub active_pairs: u16,
    /// What the control queue did; a reset keeps it, as it keeps the other queues' counters.
    pub commands: Tally,
    /// Why the device needs a reset.
    pub broken: Option<String>,
}

/// What may be offered. Where rings are as ever, so are doorbells: 16 bits, which is what a client's
/// kernel turns into events.
fn mask(config: &VirtioNetConfig) -> u64 {
    match config.ring_formats {
        RingFormats::Split => config.features & !(bits::RING_PACKED | bits::NOTIFICATION_DATA),
        RingFormats::Packed | RingFormats::Any => config.features,
    }
}

impl State {
    pub(super) fn new(config: VirtioNetConfig) -> Self {
        let queues = vec![Queue::new(config.max_ring_size); layout::num_queues(&config).into()];
        Self {
            next: Given {
                mac: config.mac,
                mtu: config.mtu,
                pairs: config.shown(),
                features: config.features,
            },
            offered: features::offer(config.shown(), mask(&config)),
            vectors: layout::msix(&config).map_or(0, |msix| msix.vectors),
            status: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: [0; 4],
            config_vector: NO_VECTOR,
            generation: 0,
            stale: false,
            queue_select: 0,
            queues,
            mac: config.mac,
            link_up: true,
            announce: false,
            active_pairs: 1,
            commands: Tally::default(),
            broken: None,
            config,
        }
    }

    pub(super) fn has(&self, bit: u8) -> bool {
        self.status & bit != 0
    }

    pub(super) fn running(&self) -> bool {
        self.has(status::DRIVER_OK)
    }

    /// Negotiated features; zero before FEATURES_OK.
    pub(super) fn features(&self) -> u64 {
        if self.has(status::FEATURES_OK) {
            self.accepted()
        } else {
            0
        }
    }

    /// Bits 0 to 63 of what the driver wrote.
    pub(super) fn accepted(&self) -> u64 {
        u64::from(self.driver_features[1]) << 32 | u64::from(self.driver_features[0])
    }

    pub(super) fn negotiated(&self, feature: u64) -> bool {
        self.features() & feature != 0
    }

    /// The format of all rings. Settled with FEATURES_OK.
    pub(super) fn ring_format(&self) -> RingFormat {
        if self.negotiated(bits::RING_PACKED) {
            RingFormat::Packed
        } else {
            RingFormat::Split
        }
    }

    pub(super) fn num_queues(&self) -> u16 {
        layout::num_queues(&self.config)
    }

    /// Pairs that exist: one without MQ and RSS (5.1.2). Before negotiation: what is offered.
    pub(super) fn pairs(&self) -> u16 {
        if self.in_force() & (bits::MQ | bits::RSS) != 0 {
            self.config.shown()
        } else {
            1
        }
    }

    fn in_force(&self) -> u64 {
        if self.has(status::FEATURES_OK) {
            self.accepted()
        } else {
            self.offered
        }
    }

    pub(super) fn role(&self, queue: u16) -> Option<QueueRole> {
        layout::role(self.pairs(), self.in_force() & bits::CTRL_VQ != 0, queue)
    }

    /// The page of a queue: see the module's documentation.
    pub(super) fn page_of_queue(&self, queue: u16) -> u16 {
        match self.role(queue) {
            Some(QueueRole::Control) => 2 * self.config.queue_pairs,
            _ => queue,
        }
    }

    pub(super) fn queue_of_page(&self, page: u64) -> Option<u16> {
        let page = u16::try_from(page).ok()?;
        let control = 2 * self.pairs();
        let queue = if page == 2 * self.config.queue_pairs {
            control
        } else {
            page
        };
        let role = self.role(queue)?;
        // Without MQ, page 2 belongs to no queue although index 2 is the control queue's.
        (role != QueueRole::Control || page == 2 * self.config.queue_pairs).then_some(queue)
    }

    /// True when the queue's doorbell counts (2.1.2: nothing is consumed before DRIVER_OK).
    pub(super) fn rings(&self, queue: u16) -> bool {
        self.running()
            && self
                .queues
                .get(usize::from(queue))
                .is_some_and(|q| q.enabled)
    }

    /// A vector as it reads back (4.1.5.1.2.1): what cannot be mapped becomes NO_VECTOR.
    pub(super) fn vector(&self, wanted: u16) -> u16 {
        let exists = self.config.interrupts == Interrupts::Msix && wanted < self.vectors;
        if exists { wanted } else { NO_VECTOR }
    }

    /// Device configuration changed: what the driver read before is stale, and it is told.
    pub(super) fn config_changed(&mut self, host: &mut dyn Host) {
        self.stale = true;
        if self.running() {
            host.config_changed();
        }
    }

    /// The device cannot go on (2.1.2): shown in the status register, and told to a running driver.
    pub(super) fn needs_reset(&mut self, host: &mut dyn Host, reason: String) {
        self.status |= status::NEEDS_RESET;
        self.broken.get_or_insert(reason);
        self.config_changed(host);
    }

    /// Device reset (2.4): shared by status 0, function level reset and the client's reset.
    /// Configuration space is not part of it. Link state belongs to the operator and stays.
    pub(super) fn reset(&mut self, host: &mut dyn Host) {
        host.stop();
        for index in 0..self.num_queues() {
            if self.queues[usize::from(index)].vector().is_some() {
                host.queue_vector(index, None);
            }
        }
        if self.config_vector != NO_VECTOR {
            host.config_vector(None);
        }
        self.renew();
    }

    /// The state of a reset device, with what the operator gave last.
    fn renew(&mut self) {
        let (generation, link_up, commands) = (self.generation, self.link_up, self.commands);
        let Given {
            mac,
            mtu,
            pairs,
            features,
        } = self.next;
        *self = Self {
            generation,
            link_up,
            commands,
            stale: true,
            ..Self::new(VirtioNetConfig {
                mac,
                mtu,
                shown_pairs: Some(pairs),
                features,
                ..self.config.clone()
            })
        };
    }

    pub(super) fn give(&mut self, host: &mut dyn Host, given: Given) -> bool {
        if self.next == given {
            return false;
        }
        let kept = self.mac == self.config.mac;
        self.next = given;
        if self.status == 0 && !self.queues.iter().any(|queue| queue.enabled) {
            self.renew();
        } else if self.config.mac != given.mac {
            self.config.mac = given.mac;
            if kept {
                self.mac = given.mac;
            }
            self.config_changed(host);
        }
        true
    }

    pub(super) fn set_link(&mut self, host: &mut dyn Host, up: bool) -> bool {
        let changed = self.link_up != up;
        if changed {
            self.link_up = up;
            self.config_changed(host);
        }
        changed
    }

    /// 5.1.6.5.4: the bit stays until the driver acknowledges.
    pub(super) fn announce(&mut self, host: &mut dyn Host) -> bool {
        let wanted = bits::GUEST_ANNOUNCE | bits::STATUS;
        if !self.running() || self.features() & wanted != wanted {
            return false;
        }
        self.announce = true;
        self.config_changed(host);
        true
    }

    pub(super) fn describe(&self) -> Status {
        let state = match self.status {
            s if s & status::NEEDS_RESET != 0 => DriverState::NeedsReset,
            s if s & status::FAILED != 0 => DriverState::Failed,
            s if s & status::DRIVER_OK != 0 => DriverState::Running,
            s if s & status::FEATURES_OK != 0 => DriverState::Negotiated,
            0 => DriverState::Absent,
            _ => DriverState::Acknowledged,
        };
        Status {
            state,
            reason: self.broken.clone(),
            driver_status: self.status,
            features: self.features(),
            feature_names: feature_names(self.features()),
            mac: self.mac,
            active_pairs: if self.running() { self.active_pairs } else { 0 },
            mtu: self.config.mtu,
            link_up: self.link_up,
        }
    }
}
