//! Which vectors queues have.

use super::super::Host;
use super::interrupts::{ITRS, Route};
use super::message::{Outcome, check_vsi};
use super::queues::ones;
use super::refusal::Refusal;
use super::state::State;
use super::wire::vectors;

impl State {
    /// Queues that are not named keep what they have. Vector 0 is the mailbox's, and may be named for none.
    pub(super) fn config_irq_map(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let maps = vectors::parse(bytes).ok_or_else(Refusal::length)?;
        let have = self.lines.len();
        if maps.len() > have {
            return Err(Refusal::param(format!(
                "{} vectors to be mapped, the function has {have}",
                maps.len()
            )));
        }
        for map in &maps {
            check_vsi(map.vsi)?;
            let (vector, queues) = (map.vector, map.receive | map.transmit);
            if usize::from(vector) >= have || (vector == 0 && queues != 0) {
                return Err(Refusal::param(format!(
                    "vector {vector} is not there for queues, 1 to {} are",
                    have - 1
                )));
            }
            ones(queues.into()).try_for_each(|pair| self.check_queue(pair))?;
            for itr in [map.receive_itr, map.transmit_itr] {
                if usize::from(itr) > ITRS {
                    return Err(Refusal::param(format!("there is no ITR {itr}")));
                }
            }
        }
        for map in maps {
            let vector = map.vector;
            let route = |itr| Route {
                vector,
                itr: itr as u8,
            };
            for pair in ones(map.receive.into()) {
                self.map_queue(host, 2 * pair, route(map.receive_itr));
            }
            for pair in ones(map.transmit.into()) {
                self.map_queue(host, 2 * pair + 1, route(map.transmit_itr));
            }
        }
        Ok(Outcome::done())
    }
}
