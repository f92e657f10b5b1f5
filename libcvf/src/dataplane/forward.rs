//! From a burst to its destinations.

use super::counters::{Drop, QueueCounters, Tally};
use super::deliver::{self, Batch};
use super::fabric::{Endpoint, Fabric, Ports};
use super::outward::Outward;
use super::policed::Policed;
use super::port::Port;
use super::scratch::Scratch;
use super::sorted::Sorted;
use crate::limits::{FLOW_COPY, HEADER_COPY};
use crate::mem::Ahead;
use crate::offload::{EthView, FrameMeta, is_transport};
use crate::ring::{Burst, FrameFault, Frames};
use crate::switch::{PortId, Verdict};

/// What decides where an untagged frame goes: both addresses, and the type that says that it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow(u128);

impl Flow {
    #[inline]
    pub(super) const fn of(head: &[u8; FLOW_COPY]) -> Self {
        // Two bytes behind the type do not count.
        Self(u128::from_le_bytes(*head) << 16)
    }

    #[inline]
    pub(super) const fn ethertype(self) -> u16 {
        ((self.0 >> 112) as u16).swap_bytes()
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

/// The last answer that holds for as long as the snapshot does, kept from burst to burst.
#[derive(Clone, Copy, Debug, Default)]
pub struct Route {
    /// Of the snapshot; 0: none.
    version: u64,
    flow: Flow,
    to: PortId,
    /// Where the next frame will probably be written there.
    ahead: Ahead,
}

impl Route {
    /// The port that frames of its flow go to, if this is about the snapshot of that version.
    #[inline]
    pub(super) fn leads(&self, version: u64) -> Option<PortId> {
        (version != 0 && self.version == version).then_some(self.to)
    }

    /// Frames of this flow go there.
    #[inline]
    pub(super) fn is_for(&self, flow: Flow) -> bool {
        self.flow == flow
    }

    /// Where the next frame will probably be written.
    #[inline]
    pub(super) fn ahead(&mut self) -> &mut Ahead {
        &mut self.ahead
    }

    /// Asks the processor for where the next frame will probably be written.
    #[inline]
    pub(super) fn fetch(&self) {
        self.ahead.fetch();
    }
}

/// Where a burst comes from.
#[derive(Default)]
struct Origin<'o> {
    port: PortId,
    /// The device, if it is one, and its way into hardware.
    sender: Option<&'o Port>,
    lane: Option<Outward<'o>>,
    /// Who it is for, whatever the switch says.
    only: Option<PortId>,
}

/// Usual frames of one flow, one behind the other.
struct Run {
    count: usize,
    bytes: u64,
    longest: usize,
}

/// The usual frames from `first` on that are of this flow, up to the first that is not.
#[inline]
fn run(burst: &Burst<'_>, first: usize, flow: Flow) -> Run {
    let (mut count, mut bytes, mut longest) = (0, 0, 0);
    for (len, head) in burst.usual(first) {
        if Flow::of(head) != flow {
            break;
        }
        count += 1;
        bytes += len as u64;
        longest = longest.max(len);
    }
    Run {
        count,
        bytes,
        longest,
    }
}

impl Fabric {
    /// Forwards the frames of a burst that came in at `from`, an uplink. The sender's counters are `counters`,
    /// whose lock the caller holds; `route` is the same from burst to burst.
    pub fn forward(
        &self,
        from: PortId,
        burst: &mut Burst<'_>,
        counters: &QueueCounters,
        route: &mut Route,
        scratch: &mut Scratch,
    ) {
        let way = Origin {
            port: from,
            ..Origin::default()
        };
        self.forward_all(way, burst, counters, route, scratch);
        scratch.desk.due.fire();
    }

    /// Forwards the frames of a burst that a device sends, as far as it may: as [`Self::forward`].
    #[inline]
    pub(super) fn forward_from(
        &self,
        (port, lane): (&Port, Option<Outward<'_>>),
        burst: &mut Burst<'_>,
        counters: &QueueCounters,
        route: &mut Route,
        scratch: &mut Scratch,
    ) {
        let way = Origin {
            port: port.id(),
            sender: Some(port),
            lane,
            only: None,
        };
        self.forward_all(way, burst, counters, route, scratch);
    }

    /// Forwards the frames of a burst that came in at `from`, an uplink, and that hardware has for `to` alone: as
    /// [`Self::forward`], but nobody else gets them.
    pub(super) fn forward_in(
        &self,
        (from, to): (PortId, PortId),
        burst: &mut Burst<'_>,
        counters: &QueueCounters,
        route: &mut Route,
        scratch: &mut Scratch,
    ) {
        let way = Origin {
            port: from,
            only: Some(to),
            ..Origin::default()
        };
        self.forward_all(way, burst, counters, route, scratch);
    }

    fn forward_all(
        &self,
        origin: Origin<'_>,
        burst: &mut Burst<'_>,
        counters: &QueueCounters,
        route: &mut Route,
        scratch: &mut Scratch,
    ) {
        let Origin {
            port: from,
            sender,
            lane,
            only,
        } = origin;
        let Scratch { desk, view } = scratch;
        let (snapshot, ports, version) = self.view(view);
        desk.time.forget();
        // Asked once, so that a burst is watched from its begin to its end or not at all.
        let policed = sender.map_or(Policed::default(), Port::policed);
        if let Some(port) = sender
            && policed.any(Policed::BEFORE)
        {
            self.police((port, policed), burst, counters, desk);
        }
        let plain = burst.usuals();
        let mut batch = Batch {
            fabric: self,
            from,
            sender,
            snapshot,
            burst,
            desk,
            plain,
            longest: 0,
            unicast: true,
            looks_ahead: false,
            ahead: Ahead::default(),
            lane,
            only,
        };
        let known = version != 0 && route.version == version;
        if known && !policed.detours(route.flow.ethertype()) {
            let run = run(batch.burst, 0, route.flow);
            if run.count == batch.burst.len() {
                (batch.longest, batch.looks_ahead) = (run.longest, true);
                let to = route.to;
                batch.deliver(to, Frames::row(0, run.count), ports.get(to.index()));
                route.ahead = batch.ahead;
                counters.frames.add(run.count as u64);
                counters.bytes.add(run.bytes);
                return;
            }
        }
        self.sort(&mut batch, (ports, version), counters, known, route);
        std::mem::take(&mut batch.desk.cut).record(counters);
    }

    /// Forwards frames of which not all take the way that is known.
    #[inline(never)]
    fn sort(
        &self,
        batch: &mut Batch<'_, '_>,
        (ports, version): (&Ports, u64),
        counters: &QueueCounters,
        known: bool,
        route: &mut Route,
    ) {
        let (from, snapshot, now) = (batch.from, batch.snapshot, self.now());
        let policed = batch.policed();
        let sender = batch.sender.filter(|_| policed.any(Policed::NEIGHBOURS));
        let neighbours = sender.map(|port| port.neighbours.load());
        let (mut tally, mut memo) = (Tally::default(), Memo::default());
        let mut sorted = Sorted::default();
        if known {
            memo.flow = Some(route.flow);
            memo.place = sorted.place(route.to);
        }
        let mut next = 0;
        while next < batch.burst.len() {
            if let Some(flow) = memo.flow.filter(|flow| !policed.looks_at(flow.ethertype())) {
                let run = run(batch.burst, next, flow);
                if run.count > 0 {
                    batch.longest = batch.longest.max(run.longest);
                    tally.add_all(run.count as u64, run.bytes);
                    sorted.add(memo.place, Frames::row(next, run.count));
                    next += run.count;
                    continue;
                }
            }
            let index = next;
            next += 1;
            let Some(frame) = batch.burst.frame(index) else {
                break;
            };
            match frame.fault {
                None => {}
                Some(FrameFault::Refused) => continue,
                Some(FrameFault::Contradicted) => {
                    batch.refuse(index, Drop::BadOffload, counters);
                    continue;
                }
                Some(_) => {
                    batch.refuse(index, Drop::Malformed, counters);
                    continue;
                }
            }
            let (total, is_plain) = (frame.len(), frame.meta.is_plain());
            if is_plain {
                batch.plain.add(Frames::one(index));
                batch.longest = batch.longest.max(total);
            } else if !batch.check(index) {
                batch.refuse(index, Drop::BadOffload, counters);
                continue;
            }
            let head = batch.burst.copy_head(index, HEADER_COPY);
            let flow = head.first_chunk().map(Flow::of);
            let known = flow.is_some() && flow == memo.flow;
            let Ok(view) = EthView::parse(head) else {
                batch.refuse(index, Drop::Malformed, counters);
                continue;
            };
            let flow = flow.filter(|_| view.tag.is_none());
            let says_nothing = neighbours.is_some() && is_transport(head);
            tally.add(view.dst, total);
            if !is_plain {
                let meta = batch.burst.frame(index).unwrap_or(frame).meta;
                tally.add_offloads(total, &meta.into());
            }
            if let Some(neighbours) = &neighbours
                && (view.tag.is_some() || policed.looks_at(view.ethertype))
                && !says_nothing
                && !batch.may_say(index, neighbours, policed)
            {
                batch.refuse(index, Drop::Spoofed, counters);
                continue;
            }
            if known {
                sorted.add(memo.place, Frames::one(index));
                continue;
            }
            match snapshot.forward(from, &view, now) {
                Verdict::Port { to, fixed } => {
                    let place = sorted.place(to);
                    sorted.add(place, Frames::one(index));
                    memo = Memo { flow, place };
                    if let Some(flow) = flow.filter(|_| fixed) {
                        *route = Route {
                            version,
                            flow,
                            to,
                            ahead: Ahead::default(),
                        };
                    }
                }
                Verdict::Many(targets) => {
                    if policed.any(Policed::FLOOD) && targets.is_flood() && !batch.may_flood() {
                        batch.refuse(index, Drop::FloodRate, counters);
                        continue;
                    }
                    // What was planned goes first: a sender's frames keep their order.
                    flush(batch, &mut sorted, ports, next);
                    memo = Memo::default();
                    batch.unicast = false;
                    for to in targets {
                        batch.deliver(to, Frames::one(index), ports.get(to.index()));
                    }
                    batch.unicast = true;
                }
                Verdict::Drop(reason) => batch.refuse(index, deliver::refusal(reason), counters),
            }
        }
        flush(batch, &mut sorted, ports, next);
        batch.desk.fates.end();
        tally.record(counters);
    }
}

impl Batch<'_, '_> {
    /// Checks what the sender says about a frame against its headers; false when it contradicts them.
    fn check(&mut self, index: usize) -> bool {
        let Some(frame) = self.burst.frame(index) else {
            return false;
        };
        let checked = FrameMeta::from(frame.meta).check(self.full_head(index), frame.len());
        checked.is_ok_and(|checked| {
            self.burst.set_meta(index, checked.into());
            true
        })
    }
}

/// Delivers what was sorted, destination by destination: of the frames up to `next`.
fn flush(batch: &mut Batch<'_, '_>, sorted: &mut Sorted, ports: &[Option<Endpoint>], next: usize) {
    batch.show_sent(next);
    sorted.drain(|to, frames| batch.deliver(to, frames, ports.get(to.index())));
}
