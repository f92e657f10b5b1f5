//! From a burst to its destinations.

use super::counters::{Drop, QueueCounters, Tally};
use super::deliver::{self, Batch};
use super::fabric::{Endpoint, Fabric};
use super::scratch::{Incoming, Planned, Scratch, head_len};
use crate::limits::BURST;
use crate::offload::{EthView, PackedMac};
use crate::switch::{PortId, Snapshot, Verdict};

/// The last answer of a burst: frames of one flow come in rows.
#[derive(Default)]
struct Memo {
    addresses: Option<(PackedMac, PackedMac)>,
    to: PortId,
}

impl Memo {
    /// What [`Snapshot::forward`] says, asked once for frames in a row that are alike. Within a burst
    /// neither the snapshot nor the time changes.
    #[inline]
    fn forward<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        from: PortId,
        view: &EthView,
        now: u32,
    ) -> Verdict<'s> {
        let addresses = Some((view.dst, view.src)).filter(|_| view.tag.is_none());
        if addresses.is_some() && addresses == self.addresses {
            return Verdict::Port(self.to);
        }
        let verdict = snapshot.forward(from, view, now);
        if let Verdict::Port(to) = verdict {
            (self.addresses, self.to) = (addresses, to);
        }
        verdict
    }
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
        let (mut tally, mut memo) = (Tally::default(), Memo::default());
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
            tally.add(view.dst, total, &meta);
            let head = head.len() as u16;
            let planned = Planned {
                to: None,
                meta,
                head,
                queue: 0,
            };
            match memo.forward(&snapshot, from, &view, now) {
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
        snapshot: &Snapshot,
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
