//! Rings that hardware has worked, worked by a worker until the driver's next reset.

use std::collections::BTreeMap;

use super::device::{Device, Rings};
use crate::control::UuidText;
use crate::mem::{PlaceError, RingPlace};
use crate::personality::QueueRole;
use crate::ring::{SplitReceive, SplitTransmit};

impl Device {
    /// Has a worker go on with rings that hardware has worked, until the driver's next reset.
    ///
    /// # Errors
    /// Why it cannot; where that was found too late the device is stopped, and says so.
    pub(super) fn stand_aside(&self) -> Result<(), String> {
        let Some(direct) = self.hardware() else {
            return Err("a worker works its rings already".into());
        };
        if !direct.running() {
            // It may be about to: no reason to stop the device.
            return Err("hardware does not work its rings yet; repeat in a moment".into());
        }
        let mut rings = self.rings.lock();
        if !rings.features.in_order {
            return Err(
                "its driver does not have buffers used in order (VIRTIO_F_IN_ORDER), so nobody can tell where hardware is \
                 in its rings"
                    .into(),
            );
        }
        let places = direct.stand_aside().inspect_err(|why| {
            if !direct.running() {
                self.port
                    .stop(format!("its rings could not be taken over: {why}"));
            }
        })?;
        self.port.release_reach();
        let taken = self.take_over(&mut rings, &places);
        drop(rings);
        if let Err(why) = &taken {
            self.port.stop(why.clone());
        }
        taken
    }

    fn take_over(
        &self,
        rings: &mut Rings,
        places: &BTreeMap<u16, RingPlace>,
    ) -> Result<(), String> {
        if let Some(slice) = &*self.slice.lock() {
            self.pf.stand_aside(slice, true)?;
        }
        let regions = self.port.memory.load();
        for (&queue, &place) in places {
            let role = rings.roles.get(usize::from(queue)).copied().flatten();
            let misplaced = |error: PlaceError| self.misplaced(queue, &error);
            match role {
                Some(QueueRole::Receive(pair)) => {
                    let ring = SplitReceive::resume(place, rings.features, &regions);
                    let ring = ring.map_err(misplaced)?;
                    self.port.renew_receive(pair);
                    if let Some(queue) = self.port.receive.get(usize::from(pair)) {
                        queue.state.lock().ring = Some(Box::new(ring));
                        self.port.interrupts.queue(queue.vector.get());
                    }
                }
                Some(QueueRole::Transmit(pair)) => {
                    let ring = SplitTransmit::resume(place, rings.features, &regions);
                    let ring = ring.map_err(misplaced)?;
                    self.port.renew_transmit(pair);
                    if let Some(queue) = self.port.transmit.get(usize::from(pair)) {
                        queue.state.lock().ring = Some(Box::new(ring));
                        self.port.interrupts.queue(queue.vector.get());
                    }
                    self.fabric().schedule(&self.port, pair);
                }
                Some(QueueRole::Control) | None => {}
            }
        }
        Ok(())
    }

    /// Rings are hardware's again from the driver's next start on.
    pub(super) fn come_back(&self) {
        let Some(direct) = &self.direct else { return };
        if direct.come_back()
            && let Some(slice) = &*self.slice.lock()
            && let Err(why) = self.pf.stand_aside(slice, false)
        {
            tracing::error!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), why, "hardware cannot be had back");
        }
    }
}
