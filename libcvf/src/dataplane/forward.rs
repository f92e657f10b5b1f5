//! From a burst to its destinations.

use super::counters::{Drop, QueueCounters, Tally};
use super::deliver::{self, Batch};
use super::fabric::{Endpoint, Fabric};
use super::scratch::Scratch;
use super::sorted::Sorted;
use crate::limits::{FLOW_COPY, HEADER_COPY};
use crate::offload::{EthView, FrameMeta};
use crate::ring::{Burst, Frames};
use crate::switch::{PortId, Verdict};

/// What decides where an untagged frame goes: both addresses, and the type that says that it is one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Flow(u64, u32, u16);

impl Flow {
    #[inline]
    fn of(head: &[u8; FLOW_COPY]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, _, _] = *head;
        Self(
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u16::from_ne_bytes([m, n]),
        )
    }
}

/// The last answer of a burst: frames of one flow come in rows, and within a burst neither the
/// snapshot nor the time changes. Only ever about a frame for one port.
#[derive(Default)]
struct Memo {
    flow: Option<Flow>,
    /// The destination's place among the sorted.
    place: usize,
}

impl Fabric {
    /// Forwards the frames of a burst that came in at `from`. The sender's counters are `counters`,
    /// whose lock the caller holds.
    pub fn forward(
        &self,
        from: PortId,
        burst: &mut Burst<'_>,
        counters: &QueueCounters,
        scratch: &mut Scratch,
    ) {
        let mut view = std::mem::take(&mut scratch.view);
        let (snapshot, ports) = self.view(&mut view);
        let now = self.now();
        let (mut tally, mut memo) = (Tally::default(), Memo::default());
        let mut sorted = Sorted::default();
        let mut batch = Batch {
            from,
            snapshot,
            burst,
            scratch,
            plain: Frames::default(),
            longest: 0,
            unicast: true,
        };
        for index in 0..batch.burst.frames().len() {
            let frame = &batch.burst.frames()[index];
            if frame.fault.is_some() {
                counters.drop(Drop::Malformed);
                continue;
            }
            let (total, plain) = (frame.len(), frame.meta.is_plain());
            if plain {
                batch.plain.add(Frames::one(index));
                batch.longest = batch.longest.max(total);
                let flow = batch.burst.copy_flow(index).map(Flow::of);
                if memo.flow.is_some() && flow == memo.flow {
                    tally.add_unicast(total);
                    sorted.again(memo.place, index);
                    continue;
                }
            } else if !batch.check(index) {
                counters.drop(Drop::BadOffload);
                continue;
            }
            let head = batch.burst.copy_head(index, HEADER_COPY);
            let Ok(view) = EthView::parse(head) else {
                counters.drop(Drop::Malformed);
                continue;
            };
            let flow = head
                .first_chunk()
                .map(Flow::of)
                .filter(|_| view.tag.is_none());
            tally.add(view.dst, total);
            if !plain {
                tally.add_offloads(total, &batch.burst.frames()[index].meta.into());
            }
            match snapshot.forward(from, &view, now) {
                Verdict::Port(to) => {
                    let place = sorted.add(to, index);
                    memo = Memo { flow, place };
                }
                Verdict::Many(targets) => {
                    // What was planned goes first: a sender's frames keep their order.
                    flush(&mut batch, &mut sorted, ports);
                    memo = Memo::default();
                    batch.unicast = false;
                    for to in targets {
                        batch.deliver(to, Frames::one(index), ports.get(to.index()));
                    }
                    batch.unicast = true;
                }
                Verdict::Drop(reason) => counters.drop(deliver::refusal(reason)),
            }
        }
        flush(&mut batch, &mut sorted, ports);
        tally.record(counters);
        std::mem::take(&mut scratch.cut).record(counters);
        scratch.view = view;
    }
}

impl Batch<'_, '_> {
    /// Checks what the sender says about a frame against its headers; false when it contradicts them.
    fn check(&mut self, index: usize) -> bool {
        let (meta, total) = match self.burst.frames().get(index) {
            Some(frame) => (FrameMeta::from(frame.meta), frame.len()),
            None => return false,
        };
        let checked = meta.check(self.full_head(index), total);
        match (checked, self.burst.frame_mut(index)) {
            (Ok(checked), Some(frame)) => {
                frame.meta = checked.into();
                true
            }
            _ => false,
        }
    }
}

/// Delivers what was sorted, destination by destination.
fn flush(batch: &mut Batch<'_, '_>, sorted: &mut Sorted, ports: &[Option<Endpoint>]) {
    sorted.drain(|to, frames| batch.deliver(to, frames, ports.get(to.index())));
}
