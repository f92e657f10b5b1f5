//! The function as the switch's way out: what sends, and what receives.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::line::Line;
use super::transport::Transport;
use crate::dataplane::{
    Drop, Fabric, FillLane, HardwareLine, QueueCounters, Route, Scratch, SendLane, Uplink,
};
use crate::limits::BURST;
use crate::offload::{Csum, FrameMeta};
use crate::pf::carrier::LinkState;
use crate::pf::events::Hearing;
use crate::ring::{BurstBuffers, Payload};
use crate::switch::PortId;

/// Vector of configuration changes, and of what is received.
pub(super) const VECTOR_CONFIG: u16 = 0;
pub(super) const VECTOR_RECEIVE: u16 = 1;
/// Vectors in use.
pub(super) const VECTORS: u16 = 2;
/// Bursts in a row before interrupts are looked at again.
const TURN: usize = 16;

/// What is at the switch for all that is outside. Frames are lost while it leads nowhere.
#[derive(Default)]
pub(super) struct Outside {
    lane: Mutex<Option<SendLane>>,
    transmit: QueueCounters,
}

impl Outside {
    /// Has it lead to a queue, in place of the one before, which ends.
    pub(super) fn lead(&self, lane: Option<SendLane>) {
        let mut before = std::mem::replace(&mut *self.lane.lock(), lane);
        if let Some(lane) = &mut before {
            lane.stop();
        }
    }
}

impl Uplink for Outside {
    fn send(&self, _: &FrameMeta, _: &[u8], _: Payload<'_>) {
        // Everything takes the queue.
        self.transmit.drop(Drop::Uplink);
    }

    fn counters(&self) -> &QueueCounters {
        &self.transmit
    }

    fn queue(&self) -> Option<&Mutex<Option<SendLane>>> {
        Some(&self.lane)
    }
}

/// Puts frames that come in into the switch. Lives in the thread that hears interrupts.
pub(super) struct Reader {
    fill: FillLane,
    line: Line,
    /// There may be more: the interrupt is not asked for.
    busy: bool,
    transport: Arc<Transport>,
    link: Arc<LinkState>,
    counters: Arc<QueueCounters>,
    port: PortId,
    fabric: Weak<Fabric>,
    scratch: Scratch,
    lent: BurstBuffers,
    route: Route,
}

impl Reader {
    /// Reads a queue that is in use, from its first frame on.
    pub(super) fn new(
        (fill, line): (FillLane, Line),
        (transport, link): (Arc<Transport>, Arc<LinkState>),
        (fabric, port): (Weak<Fabric>, PortId),
        counters: Arc<QueueCounters>,
    ) -> Self {
        Self {
            fill,
            line,
            busy: true,
            transport,
            link,
            counters,
            port,
            fabric,
            scratch: Scratch::default(),
            lent: BurstBuffers::default(),
            route: Route::default(),
        }
    }

    fn look_at_link(&self) {
        if self.transport.is_gone() {
            self.link.set(false);
        } else if self.transport.needs_reset() {
            tracing::error!("the device cannot go on (DEVICE_NEEDS_RESET): restart the daemon");
            self.link.set(false);
        } else {
            self.link.set(self.transport.link());
        }
    }

    /// Forwards one burst; false without a frame.
    fn serve(&mut self, fabric: &Fabric) -> bool {
        let (mut slots, mut count, mut taken) = ([(0, 0, false); BURST], 0, false);
        while count < BURST
            && let Some((slot, filled)) = self.fill.take_slot()
        {
            taken = true;
            if filled.good {
                slots[count] = (slot, filled.len, filled.checksum);
                count += 1;
            } else {
                self.counters.as_ref().drop(Drop::Malformed);
            }
        }
        if !taken {
            return false;
        }
        let mut burst = self.lent.lend();
        for &(slot, len, checksum) in &slots[..count] {
            let meta = FrameMeta {
                csum: if checksum { Csum::Valid } else { Csum::None },
                ..FrameMeta::default()
            };
            burst.push_slice(meta.into(), self.fill.slots().read(slot, len));
        }
        let (route, scratch) = (&mut self.route, &mut self.scratch);
        fabric.forward(self.port, &mut burst, &self.counters, route, scratch);
        self.fill.restock();
        true
    }
}

impl Hearing for Reader {
    fn heard(&mut self, vector: usize) {
        if vector == usize::from(VECTOR_CONFIG) {
            self.look_at_link();
        } else if !self.busy {
            self.line.disarm();
            self.busy = true;
        }
    }

    fn rest(&mut self) -> Option<Duration> {
        if self.busy {
            return Some(Duration::ZERO);
        }
        self.scratch.rest();
        self.scratch.desk.held.patience()
    }

    fn awake(&mut self) {
        let now = Instant::now();
        self.scratch.desk.held.expire(now);
        if !self.busy {
            return;
        }
        let Some(fabric) = self.fabric.upgrade() else {
            self.busy = false;
            return;
        };
        fabric.tick(now);
        for _ in 0..TURN {
            if !self.serve(&fabric) {
                // What comes from here on is told, and what came just before, too.
                self.busy = false;
                self.line.arm();
                return;
            }
        }
    }
}

impl std::ops::Drop for Reader {
    fn drop(&mut self) {
        self.fill.stop();
    }
}
