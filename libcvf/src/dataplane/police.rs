//! Rates kept: what is above one is dropped and counted. The way of a lone frame that has to be looked at.

use std::time::{Duration, Instant};

use super::counters::{Drop, QueueCounters};
use super::deliver::Batch;
use super::fabric::Fabric;
use super::forward::Flow;
use super::policed::Policed;
use super::port::Port;
use super::rates::{Paid, ticks};
use super::scratch::Desk;
use crate::limits::MAX_RATE_BURST;
use crate::mem::Regions;
use crate::ring::{Burst, Frames, Lone, ReceiveRing};

/// The time, as a burst sees it.
#[derive(Debug, Default)]
pub(super) struct Time {
    /// In ticks; 0: nobody has asked yet.
    read: u64,
    /// It stands still here.
    set: Option<Duration>,
}

impl Time {
    /// The next to ask looks at the clock.
    #[inline]
    pub(super) const fn forget(&mut self) {
        self.read = 0;
    }

    pub(super) const fn set(&mut self, time: Duration) {
        self.set = Some(time);
    }

    /// The time since `start`, read once a burst. A rate was idle for as long before that as counts.
    fn since(&mut self, start: Instant) -> u64 {
        if self.read == 0 {
            let time = self.set.unwrap_or_else(|| start.elapsed());
            self.read = ticks(time.saturating_add(MAX_RATE_BURST));
        }
        self.read
    }
}

/// What a frame has cost its sender and its receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Toll {
    sent: Paid,
    received: Paid,
}

impl Toll {
    /// Lets one frame from port to port, of which at least one has a rate; `None`: it is above one, or may be.
    fn pay(fabric: &Fabric, from: &Port, to: &Port, len: usize, desk: &mut Desk) -> Option<Self> {
        let now = desk.time.since(fabric.started());
        let sent = from
            .rates
            .transmit
            .take(from.rates.at(now), 1, len as u64)?;
        let Some(received) = to.rates.receive.take(to.rates.at(now), 1, len as u64) else {
            from.rates.transmit.give(sent);
            return None;
        };
        Some(Self { sent, received })
    }

    /// The frame goes another way.
    fn repay(self, from: &Port, to: &Port) {
        from.rates.transmit.give(self.sent);
        to.rates.receive.give(self.received);
    }
}

impl Fabric {
    /// Pushes a frame that is alone into a port's ring, where its rates and its sender's let it. False: it wants
    /// another way, and has cost nothing.
    #[inline(never)]
    pub(super) fn push_policed(
        &self,
        (from, to): (&Port, &Port),
        (ring, regions): (&mut dyn ReceiveRing, &Regions),
        lone: &Lone<'_>,
        desk: &mut Desk,
    ) -> bool {
        let policed = from.policed();
        let kind = Flow::of(lone.start()).ethertype();
        if policed.any(Policed::GROUP) || policed.detours(kind) || to.policed().any(Policed::TAPPED)
        {
            return false;
        }
        desk.time.forget();
        let Some(toll) = Toll::pay(self, from, to, lone.size(), desk) else {
            return false;
        };
        let pushed = matches!(ring.push_lone(regions, lone), Ok(true));
        if !pushed {
            toll.repay(from, to);
        }
        pushed
    }

    /// Drops what a port sends above its rates. Where somebody looks at it, a burst begins.
    #[inline(never)]
    pub(super) fn police(
        &self,
        (port, policed): (&Port, Policed),
        burst: &mut Burst<'_>,
        counters: &QueueCounters,
        desk: &mut Desk,
    ) {
        if policed.any(Policed::TAPPED) {
            desk.fates.begin();
        }
        let mut sound = burst.usuals();
        for index in Frames::row(0, burst.len()).without(sound) {
            if burst
                .frame(index)
                .is_some_and(|frame| frame.fault.is_none())
            {
                sound.add(Frames::one(index));
            }
        }
        let at = port.rates.at(desk.time.since(self.started()));
        let mut refused = port
            .rates
            .transmit
            .refuse(at, sound, |index| burst.size(index));
        if port.policed().any(Policed::GROUP)
            && let Some(group) = &port.group.load().0
        {
            let (frames, share) = (sound.without(refused), &port.rates.share);
            refused.add(group.refuse(at, share, frames, |index| burst.size(index)));
        }
        if !refused.is_empty() {
            burst.refuse(refused);
            refused.for_each(|index| desk.fates.note(index, Drop::OverRate));
            counters.drop_many(Drop::OverRate, refused.count() as u64);
        }
    }
}

impl Batch<'_, '_> {
    /// Those of `frames` that a port may receive; the others are dropped. Where somebody looks at them, they go the
    /// way on which that is possible.
    #[inline(never)]
    pub(super) fn within_rate(&mut self, frames: Frames, port: &Port) -> Frames {
        let at = port.rates.at(self.desk.time.since(self.fabric.started()));
        let burst = &*self.burst;
        let refused = port
            .rates
            .receive
            .refuse(at, frames, |index| burst.size(index));
        if let Some(queue) = port.receive.first().filter(|_| !refused.is_empty()) {
            self.lose(refused, Drop::OverRate, (port, &queue.counters));
        }
        self.look_at(frames, port);
        frames.without(refused)
    }

    /// True when the sender may send one more frame to many.
    #[inline(never)]
    pub(super) fn may_flood(&mut self) -> bool {
        let now = self.desk.time.since(self.fabric.started());
        self.sender.is_none_or(|port| port.rates.floods(now))
    }

    /// What of the sender's frames has to be looked at.
    #[inline]
    pub(super) fn policed(&self) -> Policed {
        self.sender.map_or(Policed::default(), Port::policed)
    }
}

#[cfg(test)]
mod tests;
