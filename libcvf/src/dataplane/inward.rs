//! A worker's turn at a lane: frames that hardware has for one device.
//!
//! Hardware fills slots of ours, whose frames go the ordinary way through the switch, or buffers that the driver has
//! posted and that were lent to it. A frame in one of these is where it belongs already: what is left to do is to
//! look at its beginning as for any other, and to give the buffer back with a header in front.

use std::sync::Arc;

use super::counters::{Drop, Tally};
use super::fabric::Fabric;
use super::forward::Flow;
use super::lane::{Buffer, Filled, Inward, Lane};
use super::policed::Policed;
use super::port::Port;
use super::queue::ReceiveState;
use super::receiver::Receiver;
use super::scratch::Scratch;
use super::serve::Served;
use crate::limits::{BURST, FLOW_COPY, LENT_LEAST, SLOTS_POSTED};
use crate::mem::{ReadSlice, Regions, fault_count};
use crate::offload::{Accepts, Csum, EthView, FrameMeta, ethertype};
use crate::ring::{Borrowed, Burst, BurstBuffers, Lender, RingError};
use crate::switch::{Snapshot, Verdict};
use crate::sync::atomic::Ordering;

/// What is known of a frame from outside.
fn said(filled: &Filled, accepts: Accepts) -> FrameMeta {
    let valid = filled.checksum && accepts.hears_valid();
    FrameMeta {
        csum: if valid { Csum::Valid } else { Csum::None },
        ..FrameMeta::default()
    }
}

/// Serves one burst of a lane.
pub(super) fn serve(
    port: &Arc<Port>,
    number: u16,
    fabric: &Fabric,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> Served {
    let Some(lane) = port.lanes().get(usize::from(number)) else {
        return Served::Gone;
    };
    let mut guard = lane.inward.lock();
    let inward = &mut *guard;
    if !inward.fill.running() || port.stopped() {
        return Served::Gone;
    }
    // A transmit queue may have asked for the same interrupt.
    if std::mem::take(&mut inward.armed) && !lane.sending.load(Ordering::Acquire) {
        lane.line.disarm();
    }
    if !inward.fill.pending() {
        let low = inward.fill.posted() < LENT_LEAST;
        return if low && refill(port, (number, lane), inward) {
            Served::Some
        } else {
            Served::Nothing
        };
    }
    let (mut slots, mut lent) = ([(0, Filled::default()); BURST], [None; BURST]);
    let (mut copied, mut placed) = (0, 0);
    while copied + placed < BURST
        && let Some((buffer, filled)) = inward.fill.take()
    {
        match buffer {
            Buffer::Slot(slot) => {
                slots[copied] = (slot, filled);
                copied += 1;
            }
            Buffer::Guest(borrowed) => {
                lent[placed] = Some((borrowed, filled));
                placed += 1;
            }
        }
    }
    if copied > 0 {
        let read = |(slot, filled): &(u32, Filled)| {
            (Some(inward.fill.slots().read(*slot, filled.len)), *filled)
        };
        let frames = slots[..copied].iter().map(read);
        let mut burst = gather(frames, port.accepts(), lane, buffers);
        let way = (lane.outside, port.id());
        fabric.forward_in(way, &mut burst, &lane.counters, &mut inward.route, scratch);
        for (slot, _) in &slots[..copied] {
            inward.fill.give_back(*slot);
        }
    }
    let lent = &lent[..placed];
    if placed > 0 && is_plain(port, lane) {
        place(port, (number, lane), inward, lent, fabric, scratch);
    } else if placed > 0 {
        // Something has to be done to frames now: they go the ordinary way, out of the buffers they came in.
        let regions = port.memory.keep(&mut inward.memory);
        let read = |(borrowed, filled): &(Borrowed, Filled)| {
            (borrowed.frame(regions, filled.len), *filled)
        };
        let frames = lent.iter().flatten().map(read);
        let mut burst = gather(frames, port.accepts(), lane, buffers);
        let way = (lane.outside, port.id());
        fabric.forward_in(way, &mut burst, &lane.counters, &mut inward.route, scratch);
        inward
            .again
            .extend(lent.iter().flatten().map(|(borrowed, _)| *borrowed));
    }
    refill(port, (number, lane), inward);
    Served::Some
}

/// Frames that go the ordinary way, as a burst; what cannot be read, or came damaged, is dropped.
fn gather<'b>(
    frames: impl Iterator<Item = (Option<ReadSlice<'b>>, Filled)>,
    accepts: Accepts,
    lane: &Lane,
    buffers: &'b mut BurstBuffers,
) -> Burst<'b> {
    let mut burst = buffers.lend();
    let mut bytes = 0;
    for (frame, filled) in frames {
        if let Some(frame) = frame.filter(|_| filled.good) {
            bytes += u64::from(filled.len);
            burst.push_slice(said(&filled, accepts).into(), frame);
        } else {
            lane.counters.drop(Drop::Malformed);
        }
    }
    lane.copied_in.add(bytes);
    burst
}

/// Nothing has to be done to frames on their way to it, and hardware gives it none that are not for it.
fn is_plain(port: &Port, lane: &Lane) -> bool {
    let exact = lane.exact.load(Ordering::Relaxed);
    exact && !port.steers() && !port.policed().any(Policed::BEHIND) && !port.edited()
}

/// Gives buffers back that hardware has filled in place.
fn place(
    port: &Arc<Port>,
    (number, lane): (u16, &Lane),
    inward: &mut Inward,
    lent: &[Option<(Borrowed, Filled)>],
    fabric: &Fabric,
    scratch: &mut Scratch,
) {
    let Some(queue) = port.receive.get(usize::from(number)) else {
        return;
    };
    let accepts = port.accepts();
    let faults = fault_count();
    let Scratch { desk, view } = scratch;
    let (snapshot, ..) = fabric.view(view);
    // Frames of one flow come in rows, and within a burst neither the snapshot nor the time changes.
    let mut taken = None;
    let mut guard = queue.state.lock();
    let ReceiveState { ring: slot, memory } = &mut *guard;
    let Some(ring) = slot.as_mut().filter(|_| port.running()) else {
        (0..lent.len()).for_each(|_| queue.counters.drop(Drop::NotReady));
        return;
    };
    let regions = port.memory.keep(memory);
    let (mut tally, mut came) = (Tally::default(), Tally::default());
    let mut filled = Ok(false);
    for (borrowed, frame) in lent.iter().flatten() {
        let Some(lender) = ring.lender() else { break };
        let slice = borrowed.frame(regions, frame.len).filter(|_| frame.good);
        let Some(head) = slice.and_then(|slice| slice.start()) else {
            lane.counters.drop(Drop::Malformed);
            inward.again.push(*borrowed);
            continue;
        };
        came.add_start(&head, frame.len as usize);
        let flow = Some(Flow::of(&head));
        if flow != taken && !takes(fabric, snapshot, lane, port, &head) {
            lane.counters.drop(Drop::NoDestination);
            inward.again.push(*borrowed);
            continue;
        }
        // What a tag says is no part of a flow.
        taken = flow.filter(|flow| !ethertype::is_tag(flow.ethertype()));
        if let Err(error) = lender.fill(regions, &said(frame, accepts), borrowed, frame.len) {
            filled = Err(error);
            break;
        }
        tally.add_start(&head, frame.len as usize);
    }
    came.record(&lane.counters);
    let receiver = Receiver {
        port,
        number,
        queue,
        regions,
        faults,
    };
    receiver.conclude(slot, filled, &tally, desk, None);
}

/// The switch would give the device a frame that begins like this.
fn takes(
    fabric: &Fabric,
    snapshot: &Snapshot,
    lane: &Lane,
    port: &Port,
    head: &[u8; FLOW_COPY],
) -> bool {
    let Ok(eth) = EthView::parse(head) else {
        return false;
    };
    match snapshot.forward(lane.outside, &eth, fabric.now()) {
        Verdict::Port { to, .. } => to == port.id(),
        Verdict::Many(targets) => targets.into_iter().any(|to| to == port.id()),
        Verdict::Drop(_) => false,
    }
}

/// Posts buffers: the driver's as long as they can be lent and nothing has to be done to frames on the way, else
/// slots. Half of what the driver has posted stays for frames from other devices, which never wait for hardware. True:
/// something was posted.
fn refill(port: &Arc<Port>, (number, lane): (u16, &Lane), inward: &mut Inward) -> bool {
    let before = inward.fill.posted();
    if is_plain(port, lane) {
        post_again(port, inward);
    }
    if inward.copies || port.is_pinning() || !is_plain(port, lane) {
        // Not all there are: when buffers can be lent again, these come first.
        while inward.fill.posted() < SLOTS_POSTED && inward.fill.post_slot() {}
    } else if let Some(queue) = port.receive.get(usize::from(number)) {
        let mut guard = queue.state.lock();
        let ReceiveState { ring, memory } = &mut *guard;
        let regions = port.memory.keep(memory);
        let lent = ring.as_mut().filter(|_| port.running()).map(|ring| {
            let lender = ring.lender();
            lender.map_or(Ok(false), |lender| lend(lender, regions, port, inward))
        });
        match lent {
            // There is no ring: who puts one in place wakes the lane.
            None | Some(Ok(true) | Err(RingError::Away(_))) => {}
            // Buffers that cannot be lent, now and probably later.
            Some(Ok(false)) => inward.copies = true,
            Some(Err(error)) => {
                *ring = None;
                drop(guard);
                port.stop_for_ring(format!("receive queue {number}: {error}"));
                return false;
            }
        }
    }
    inward.fill.kick();
    inward.fill.posted() > before
}

/// Posts buffers again whose frames were not for the driver.
fn post_again(port: &Port, inward: &mut Inward) {
    let reach = port.reach().keep(&mut inward.reach);
    let most = inward.fill.buffer().into();
    for borrowed in inward.again.drain(..) {
        // What is out of reach was unmapped: its driver knows better than to wait for it.
        if let Some(iova) = reach.find(borrowed.place(), most, true)
            && inward.fill.has_room()
        {
            inward.fill.post_lent(iova, borrowed);
        }
    }
}

/// Lends hardware what may be lent of what the driver has posted. False where that is of no use to it.
fn lend(
    lender: &mut dyn Lender,
    regions: &Regions,
    port: &Port,
    inward: &mut Inward,
) -> Result<bool, RingError> {
    let longest = port.longest();
    let reach = port.reach().keep(&mut inward.reach);
    // All that hardware could write, whatever its filter lets pass.
    let most = inward.fill.buffer();
    let find = |place| reach.find(place, most.into(), true);
    if longest > inward.fill.buffer() {
        return Ok(false);
    }
    loop {
        let waiting = usize::from(lender.waiting(regions)?);
        let lent = inward.fill.lent();
        if lent >= (lent + waiting).div_ceil(2) || !inward.fill.has_room() {
            // The driver rings when there is more, if that is soon needed.
            let low = lent < LENT_LEAST && waiting == 0;
            let more = lender.await_buffers(regions, low)?;
            if low && more {
                continue;
            }
            return Ok(true);
        }
        let borrowed = lender.borrow(regions, longest, &|place| find(place).is_some())?;
        let Some((borrowed, iova)) = borrowed.and_then(|it| Some((it, find(it.place())?))) else {
            return Ok(false);
        };
        inward.fill.post_lent(iova, borrowed);
    }
}

/// Asks for an interrupt and lets go of the lane. False when there turned out to be work.
pub(super) fn release(port: &Port, number: u16) -> bool {
    let Some(lane) = port.lanes().get(usize::from(number)) else {
        return true;
    };
    let mut inward = lane.inward.lock();
    let stopped = port.stopped();
    // An interrupt comes once, and tells both directions: who asks for it before the claim is gone may not hear it.
    lane.claim.leave(|| {
        if stopped || !inward.fill.running() {
            return false;
        }
        if !inward.armed {
            inward.armed = true;
            lane.line.arm();
        }
        inward.fill.pending()
    })
}
