//! Device state behind registers and messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::{DriverState, Given, Host, QueueRole, Status};
use super::admin::AdminQueue;
use super::capabilities::{bits, capability_names};
use super::filters::Filters;
use super::function;
use super::interrupts::{Causes, ITRS, Route, Vector};
use super::registers::{itr_of, tail_of};
use super::reset::ResetState;
use super::rss::Rss;
use super::settings::AvfConfig;
use super::wire::resources::Version;
use crate::control::MacAddr;
use crate::mem::SharedRegisters;
use crate::ring::{AvfRing, MailboxSide, ReceiveFormat, Tail};
use crate::sync::atomic::{AtomicBool, Ordering};

/// Where the driver put a ring, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub size: u16,
    pub base: u64,
    /// Receive: bytes of a buffer, and of the longest frame.
    pub buffer: u32,
    pub longest: u32,
    pub format: ReceiveFormat,
    pub keep_crc: bool,
}

/// What the driver said about one queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// As written last; drivers post receive buffers before they say where the ring is.
    pub tail: Tail,
    pub placed: Option<Placed>,
    pub enabled: bool,
    pub route: Option<Route>,
}

/// Everything that registers and messages stand for. What a reset of the function by its driver keeps is first.
#[derive(Debug)]
pub(super) struct State {
    pub config: AvfConfig,
    /// What the operator gave since; the next reset takes it up.
    pub next: Given,
    /// The registers' bar where a client may map it; tails and `VFINT_ITRN1` are there.
    pub shared: Option<Arc<SharedRegisters>>,
    pub link_up: bool,
    /// What the driver speaks; it does not say so again after a reset.
    pub version: Version,
    /// The address that the driver is told: what it set last, or what the operator gave.
    pub mac: MacAddr,
    /// `VIRTCHNL_OP_REQUEST_QUEUES`.
    pub requested: Option<u16>,
    /// Most queue pairs that the driver was told of since it started. It is not told of fewer before it starts anew:
    /// Linux brings up as many as before after a reset that it did not ask for, and does not get over a refusal.
    pub told: u16,

    pub reset: ResetState,
    pub send: AdminQueue,
    pub receive: AdminQueue,
    pub causes: Causes,
    /// By vector.
    pub lines: Vec<Vector>,
    /// By index.
    pub queues: Vec<Queue>,
    /// Capabilities; 0 before `VIRTCHNL_OP_GET_VF_RESOURCES`.
    pub granted: u32,
    /// Queue pairs that the driver was told of then.
    pub pairs: u16,
    /// Of them those that it may have frames spread over.
    pub usable: u16,
    /// Of those the ones that they are spread over.
    pub pairs_in_use: u16,
    /// Rings run.
    pub started: bool,
    pub filters: Filters,
    pub vlans: BTreeSet<u16>,
    /// Receive rings take tags out of frames.
    pub strip: Arc<AtomicBool>,
    pub rss: Rss,
}

impl State {
    pub(super) fn new(config: AvfConfig, shared: Option<Arc<SharedRegisters>>) -> Self {
        let queue = |index| {
            let mut queue = Queue::default();
            if let Some(shared) = &shared {
                queue.tail = Tail::shared(Arc::clone(shared), tail_of(index));
                queue.tail.renew();
            }
            queue
        };
        let lines = vec![Vector::default(); function::vectors(&config).into()];
        if let Some(shared) = &shared {
            let all = (0..ITRS)
                .flat_map(|index| (0..lines.len() as u16 - 1).map(move |nth| itr_of(index, nth)));
            all.for_each(|at| shared.store(at, 0));
        }
        Self {
            queues: (0..2 * config.queue_pairs).map(queue).collect(),
            next: Given {
                mac: config.mac,
                mtu: config.mtu,
                pairs: config.shown(),
                features: config.features,
            },
            link_up: true,
            version: Version::OURS,
            mac: config.mac,
            requested: None,
            told: 0,
            reset: ResetState::default(),
            send: AdminQueue::default(),
            receive: AdminQueue::default(),
            causes: Causes::default(),
            lines,
            granted: 0,
            pairs: config.shown(),
            usable: 1,
            pairs_in_use: 1,
            started: false,
            filters: Filters::new(config.mac),
            vlans: BTreeSet::new(),
            strip: Arc::new(AtomicBool::new(false)),
            rss: Rss::default(),
            shared,
            config,
        }
    }

    /// True when the driver was granted this capability.
    pub(super) const fn has(&self, capability: u32) -> bool {
        self.granted & capability != 0
    }

    /// Queues alternate as virtio's do; the mailbox comes after them.
    pub(super) fn role(&self, queue: u16) -> Option<QueueRole> {
        let pair = queue / 2;
        if queue == 2 * self.config.queue_pairs {
            Some(QueueRole::Control)
        } else if pair >= self.config.queue_pairs {
            None
        } else if queue.is_multiple_of(2) {
            Some(QueueRole::Receive(pair))
        } else {
            Some(QueueRole::Transmit(pair))
        }
    }

    /// A queue as a ring that can be taken into use.
    pub(super) fn ring(&self, queue: u16) -> Option<AvfRing> {
        let found = self.queues.get(usize::from(queue))?;
        let placed = found.placed?;
        Some(AvfRing {
            size: placed.size,
            base: placed.base,
            tail: found.tail.clone(),
            buffer: placed.buffer,
            longest: placed.longest,
            strip: Arc::clone(&self.strip),
            format: placed.format,
            keep_crc: placed.keep_crc,
            uso: self.has(bits::OFFLOAD_USO),
        })
    }

    /// `QTX_TAIL1`, `QRX_TAIL1` as they read.
    pub(super) fn tail(&self, queue: u16) -> u32 {
        let found = self.queues.get(usize::from(queue));
        found.map_or(0, |queue| queue.tail.get())
    }

    /// A ring looks at what is written here, and judges it.
    pub(super) fn write_tail(&mut self, host: &mut dyn Host, queue: u16, value: u32) {
        if let Some(found) = self.queues.get(usize::from(queue)) {
            found.tail.set(value);
            if found.enabled {
                let size = found.placed.map_or(0, |placed| placed.size);
                if value >= size.into() {
                    host.torn(format!("queue {queue}: tail {value} of a ring of {size}"));
                }
                host.tail(queue, value);
            }
        }
    }

    pub(super) fn is_enabled(&self, queue: u16) -> bool {
        let found = self.queues.get(usize::from(queue));
        found.is_some_and(|queue| queue.enabled)
    }

    pub(super) fn has_queues(&self) -> bool {
        self.queues.iter().any(|queue| queue.enabled)
    }

    pub(super) fn strips_tags(&self) -> bool {
        self.strip.load(Ordering::Relaxed)
    }

    pub(super) fn set_strip(&self, on: bool) {
        self.strip.store(on, Ordering::Relaxed);
    }

    pub(super) const fn admin(&self, which: MailboxSide) -> &AdminQueue {
        match which {
            MailboxSide::Send => &self.send,
            MailboxSide::Receive => &self.receive,
        }
    }

    pub(super) fn admin_mut(&mut self, which: MailboxSide) -> &mut AdminQueue {
        match which {
            MailboxSide::Send => &mut self.send,
            MailboxSide::Receive => &mut self.receive,
        }
    }

    pub(super) fn describe(&self) -> Status {
        let state = if self.queues.iter().any(|queue| queue.enabled) {
            DriverState::Running
        } else if self.granted != 0 {
            DriverState::Negotiated
        } else if self.send.place().is_some() {
            DriverState::Acknowledged
        } else {
            DriverState::Absent
        };
        let features = u64::from(self.granted);
        Status {
            state,
            reason: None,
            driver_status: self.reset as u8,
            features,
            feature_names: capability_names(features),
            mac: self.filters.own,
            active_pairs: if self.started { self.pairs_in_use } else { 0 },
            mtu: self.config.mtu,
            link_up: self.link_up,
        }
    }
}
