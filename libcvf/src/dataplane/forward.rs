//! From a burst to its destinations.

use super::counters::{Drop, QueueCounters};
use super::deliver::{self, Batch};
use super::fabric::{Endpoint, Fabric};
use super::scratch::{Incoming, Planned, Scratch, head_len};
use crate::limits::BURST;
use crate::offload::EthView;
use crate::switch::{PortId, Verdict};

/// What the sender's side counts for a burst.
#[derive(Default)]
struct Tally {
    frames: u64,
    bytes: u64,
    large: u64,
    multicast: u64,
    broadcast: u64,
}

impl Fabric {
    /// Forwards up to [`BURST`] frames that came in at `from`. `incoming` tells frame by frame;
    /// `None` is one to pass over. The sender's counters are `counters`, whose lock the caller holds.
    pub fn forward<'a>(
        &self,
        from: PortId,
        count: usize,
        incoming: impl Fn(usize) -> Option<Incoming<'a>>,
        counters: &QueueCounters,
        scratch: &mut Scratch,
    ) {
        let snapshot = self.switch().load();
        let (ports, now) = (self.ports(), self.now());
        let mut tally = Tally::default();
        let mut pending = false;
        for index in 0..count.min(BURST) {
            scratch.plan[index] = Planned::default();
            let Some(frame) = incoming(index) else {
                continue;
            };
            let head = &mut scratch.heads[index][..head_len(&frame)];
            frame.payload.read(head);
            let total = frame.payload.len();
            let Ok(view) = EthView::parse(head) else {
                counters.drop(Drop::Malformed);
                continue;
            };
            let Ok(meta) = frame.meta.check(head, total) else {
                counters.drop(Drop::BadOffload);
                continue;
            };
            tally.add(&view, total, &meta);
            let head = head.len() as u16;
            let planned = Planned {
                to: None,
                meta,
                head,
                queue: 0,
            };
            match snapshot.forward(from, &view, now) {
                Verdict::Port(to) => {
                    scratch.plan[index] = Planned {
                        to: Some(to),
                        ..planned
                    };
                    pending = true;
                }
                Verdict::Many(targets) => {
                    // What was planned goes first: a sender's frames keep their order.
                    if std::mem::take(&mut pending) {
                        self.flush(index, from, &incoming, &snapshot, &ports, scratch);
                    }
                    for to in targets {
                        scratch.plan[index] = Planned {
                            to: Some(to),
                            ..planned
                        };
                        let batch = Batch {
                            from,
                            to,
                            incoming: &incoming,
                            snapshot: &snapshot,
                        };
                        batch.deliver(index..index + 1, ports.get(to.index()), scratch);
                    }
                }
                Verdict::Drop(reason) => counters.drop(deliver::refusal(reason)),
            }
        }
        if pending {
            self.flush(
                count.min(BURST),
                from,
                &incoming,
                &snapshot,
                &ports,
                scratch,
            );
        }
        tally.record(counters);
    }

    /// Delivers what is planned below `end`, destination by destination.
    fn flush<'a>(
        &self,
        end: usize,
        from: PortId,
        incoming: &impl Fn(usize) -> Option<Incoming<'a>>,
        snapshot: &crate::switch::Snapshot,
        ports: &[Option<Endpoint>],
        scratch: &mut Scratch,
    ) {
        for index in 0..end {
            if let Some(to) = scratch.plan[index].to {
                let batch = Batch {
                    from,
                    to,
                    incoming,
                    snapshot,
                };
                batch.deliver(index..end, ports.get(to.index()), scratch);
            }
        }
    }
}

impl Tally {
    fn add(&mut self, view: &EthView, len: usize, meta: &crate::offload::FrameMeta) {
        self.frames += 1;
        self.bytes += len as u64;
        self.large += u64::from(meta.gso != crate::offload::Gso::None);
        if view.dst.is_multicast() {
            let broadcast = view.dst.is_broadcast();
            self.broadcast += u64::from(broadcast);
            self.multicast += u64::from(!broadcast);
        }
    }

    fn record(&self, counters: &QueueCounters) {
        counters.frames.add(self.frames);
        counters.bytes.add(self.bytes);
        if self.large > 0 {
            counters.large.add(self.large);
        }
        if self.multicast + self.broadcast > 0 {
            counters.multicast.add(self.multicast);
            counters.broadcast.add(self.broadcast);
        }
    }
}
