//! Queues that are enabled and disabled.

use super::super::Host;
use super::message::{Outcome, check_vsi};
use super::refusal::{Refusal, granted};
use super::state::State;
use super::wire::queues::QueueSelect;
use crate::control::ControlRequest;

/// The bits of a bitmap.
pub(super) fn ones(bitmap: u32) -> impl Iterator<Item = u16> {
    (0..u32::BITS as u16).filter(move |bit| bitmap >> bit & 1 != 0)
}

impl State {
    pub(super) fn check_queue(&self, pair: u16) -> Result<(), Refusal> {
        if pair < self.pairs {
            Ok(())
        } else {
            let have = self.pairs;
            Err(Refusal::param(format!(
                "queue {pair} is not there, the function has {have}"
            )))
        }
    }

    /// Indices of the queues that a message names, ascending.
    fn selected(&self, bytes: &[u8]) -> Result<Vec<u16>, Refusal> {
        let select = QueueSelect::parse(bytes).ok_or_else(Refusal::length)?;
        check_vsi(select.vsi)?;
        if select.receive | select.transmit == 0 {
            return Err(Refusal::param("no queue is named"));
        }
        ones(select.receive | select.transmit).try_for_each(|pair| self.check_queue(pair))?;
        let receive = ones(select.receive).map(|pair| 2 * pair);
        let transmit = ones(select.transmit).map(|pair| 2 * pair + 1);
        let mut all: Vec<u16> = receive.chain(transmit).collect();
        all.sort_unstable();
        Ok(all)
    }

    /// All or none; the first of them start the device.
    pub(super) fn enable_queues(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let mut wanted = self.selected(bytes)?;
        wanted.retain(|queue| !self.is_enabled(*queue));
        let rings = wanted
            .iter()
            .map(|queue| {
                let ring = self.ring(*queue);
                ring.ok_or_else(|| Refusal::param(format!("queue {} has no ring", queue / 2)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let before = self.pairs_in_use;
        self.spread(host, self.reach(&wanted))?;
        for (n, (queue, ring)) in wanted.iter().zip(rings).enumerate() {
            if let Err(why) = host.avf_enable(*queue, ring) {
                for queue in &wanted[..n] {
                    self.queues[usize::from(*queue)].enabled = false;
                    host.queue_disable(*queue);
                }
                let _ = self.spread(host, before);
                return Err(Refusal::param(format!(
                    "queue {queue} cannot be used: {why}"
                )));
            }
            self.queues[usize::from(*queue)].enabled = true;
        }
        if !self.started {
            self.started = true;
            // None of virtio's features.
            host.start(0);
        }
        Ok(Outcome::DoneAndLink)
    }

    /// Pairs up to the last of the queues that are enabled, and of those that are about to be.
    fn reach(&self, wanted: &[u16]) -> u16 {
        let enabled = (0..self.queues.len() as u16).filter(|queue| self.is_enabled(*queue));
        let last = enabled.chain(wanted.iter().copied()).max();
        last.map_or(1, |queue| queue / 2 + 1)
    }

    /// Frames go to so many pairs, or to those that may be used.
    fn spread(&mut self, host: &mut dyn Host, pairs: u16) -> Result<(), Refusal> {
        let pairs = pairs.min(self.usable);
        if pairs != self.pairs_in_use {
            let request = match self.rss.settings(pairs, self.usable) {
                Some(settings) => ControlRequest::SetRss(settings),
                None => ControlRequest::SetQueuePairs(pairs),
            };
            granted(host.control(request))?;
            self.pairs_in_use = pairs;
        }
        Ok(())
    }

    /// Where they are stays known: drivers enable a queue again without saying so anew.
    pub(super) fn disable_queues(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        for index in self.selected(bytes)? {
            let queue = &mut self.queues[usize::from(index)];
            if std::mem::take(&mut queue.enabled) {
                host.queue_disable(index);
                queue.tail.renew();
            }
        }
        Ok(Outcome::done())
    }
}
