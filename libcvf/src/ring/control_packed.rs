//! A control queue in packed format.

use super::control::Command;
use super::packed_chain::{Extent, PackedWalk};
use super::packed_notify::PackedNotify;
use super::packed_used::UsedBurst;
use super::{RingError, RingFeatures};
use crate::mem::{PackedCache, PlaceError, Position, Regions, RingPlace};

/// See [`super::ControlRing`].
#[derive(Debug)]
pub(super) struct PackedControl {
    cache: PackedCache,
    features: RingFeatures,
    notify: PackedNotify,
    next: Position,
    used: UsedBurst,
}

impl PackedControl {
    pub(super) fn new(
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        let mut cache = PackedCache::new(place)?;
        cache.view(regions)?;
        Ok(Self {
            cache,
            features,
            notify: PackedNotify::new(features.event_idx),
            next: Position::START,
            used: UsedBurst::new(),
        })
    }

    pub(super) fn take(&mut self, regions: &Regions) -> Result<Option<Command>, RingError> {
        let view = self.cache.view(regions)?;
        let at = self.next;
        let mut found = view.available(at);
        if found.is_none() {
            self.notify.arm(view, at);
            found = view.available(at);
        }
        let Some(first) = found else {
            return Ok(None);
        };
        let walk = PackedWalk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        let mut command = Command::empty();
        let walked = walk.elements(at, first, view.size(), |element| {
            command.add(regions, element.address, element.len, element.device_writes)
        });
        let extent = walked.map_err(|source| RingError::Chain {
            head: at.index(),
            source,
        })?;
        self.next = at.advanced(extent.slots, view.size());
        Ok(Some(command.finished(extent.id, extent.slots)))
    }

    pub(super) fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == Position::START && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    pub(super) fn answer(
        &mut self,
        regions: &Regions,
        command: &Command,
        answer: &[u8],
    ) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        let written = command.write_answer(regions, answer)?;
        let Command { id, slots, .. } = *command;
        self.used.add(view, [(Extent { id, slots }, written)]);
        self.used.publish(view);
        Ok(self.notify.wants_interrupt(view, self.used.next()))
    }
}
