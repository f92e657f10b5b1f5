//! The way of a frame that is alone in its ring and goes where the one before it went.

use super::counters::{QueueCounters, Tally};
use super::deliver::longest_within;
use super::fabric::{Endpoint, Fabric};
use super::forward::{Flow, Route};
use super::policed::Policed;
use super::port::Port;
use super::queue::ReceiveState;
use super::receiver::Receiver;
use super::scratch::Scratch;
use crate::limits::{HEADER_COPY, MAX_ANSWERED_FRAME};
use crate::mem::fault_count;
use crate::offload::FrameHash;
use crate::ring::{Lone, Unread};

/// The receive queue and hash of a frame for a port that steers.
#[inline(never)]
fn place(port: &Port, lone: &Lone<'_>) -> (u16, FrameHash) {
    let mut room = [0; HEADER_COPY];
    port.steering.load().place(lone.beginning(&mut room))
}

impl Fabric {
    /// Sends a frame of `from` to the device that `route` leads to. The sender's counters are `counters`, whose lock
    /// the caller holds. False: nothing has happened, and the frame has to be looked at like any other.
    ///
    /// It is expected to go where the one before it went, so that its receiver is ready for it before it is there.
    #[inline]
    pub(super) fn forward_lone(
        &self,
        from: &Port,
        unread: &Unread<'_>,
        counters: &QueueCounters,
        route: &mut Route,
        scratch: &mut Scratch,
    ) -> bool {
        let Scratch { desk, view } = scratch;
        let (snapshot, ports, version) = self.view(view);
        let Some(to) = route.leads(version) else {
            return false;
        };
        let look = |route: &Route| {
            let lone = unread.look();
            lone.filter(|lone| route.is_for(Flow::of(lone.start())))
        };
        let Some(Some(Endpoint::Device(port))) = ports.get(to.index()) else {
            return false;
        };
        if snapshot.edits() {
            return false;
        }
        let (mut number, mut looked_at) = (0, None);
        if port.steers() {
            let Some(lone) = look(route) else {
                return false;
            };
            let (place, hash) = place(port, &lone);
            number = place;
            looked_at = Some(lone.hashed(hash));
        }
        let Some(queue) = port.receive.get(usize::from(number)) else {
            return false;
        };
        let faults = fault_count();
        let guard = if desk.held.watches() {
            Some(queue.state.lock())
        } else if queue.coalesce.is_watched() || unread.size() > MAX_ANSWERED_FRAME {
            // Such a thread holds nothing back, waits for nobody, and keeps its client waiting for a short frame at most.
            None
        } else {
            queue.state.try_lock()
        };
        let Some(mut guard) = guard else {
            return false;
        };
        let ReceiveState { ring: slot, memory } = &mut *guard;
        let Some(ring) = slot.as_mut().filter(|_| port.running()) else {
            return false;
        };
        let regions = port.memory.keep(memory);
        let Some(lone) = looked_at.or_else(|| look(route)) else {
            return false;
        };
        if lone.size() > longest_within(port.mtu()) {
            return false;
        }
        let pushed = if Policed::passes(from.policed(), port.policed()) {
            matches!(ring.push_lone(regions, &lone), Ok(true))
        } else {
            self.push_policed((from, port), (ring.as_mut(), regions), &lone, desk)
        };
        if !pushed {
            // Whoever looks next would not find the fault anew.
            if port.truncated(faults, regions, || ring.faulted()) {
                *slot = None;
            }
            return false;
        }
        let mut tally = Tally::default();
        tally.add_unicast(lone.size());
        let receiver = Receiver {
            port,
            number,
            queue,
            regions,
            faults,
        };
        // For a burst. The lines of another lone frame are not asked for ahead of it: who waits for one frame looks at just
        // those, and taking them away before there is something to be seen costs more than it saves.
        let ahead = Some(route.ahead());
        receiver.conclude(slot, Ok(false), &tally, desk, ahead);
        tally.record(counters);
        true
    }
}
