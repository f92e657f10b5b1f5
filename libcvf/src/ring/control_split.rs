//! A control queue in split format.

use super::chain::{Stop, Walk};
use super::control::Command;
use super::notify::Notify;
use super::{RingError, RingFeatures};
use crate::mem::{Descriptor, PlaceError, Regions, RingCache, RingPlace};

/// See [`super::ControlRing`].
#[derive(Debug)]
pub(super) struct SplitControl {
    cache: RingCache,
    features: RingFeatures,
    notify: Notify,
    next: u16,
    used: u16,
}

impl SplitControl {
    pub(super) fn new(
        place: RingPlace,
        features: RingFeatures,
        regions: &Regions,
    ) -> Result<Self, PlaceError> {
        let mut cache = RingCache::new(place)?;
        cache.view(regions)?;
        Ok(Self {
            cache,
            features,
            notify: Notify::new(features.event_idx),
            next: 0,
            used: 0,
        })
    }

    pub(super) fn take(&mut self, regions: &Regions) -> Result<Option<Command>, RingError> {
        let view = self.cache.view(regions)?;
        let to = view.available_index();
        let (from, size) = (self.next, view.size());
        if to.wrapping_sub(from) > size {
            return Err(RingError::IndexJump { from, to, size });
        }
        if to == from {
            self.notify.arm(view, from);
            if view.available_index() == from {
                return Ok(None);
            }
        }
        let id = view.available_entry(from);
        let walk = Walk {
            view,
            regions,
            indirect: self.features.indirect,
        };
        let mut command = Command::empty();
        let walked = walk.descriptors(
            id,
            |Descriptor {
                 address,
                 len,
                 flags,
                 ..
             }| {
                let device_writes = flags & Descriptor::WRITE != 0;
                Ok(command.add(regions, address, len, device_writes)?)
            },
        );
        if let Err(Stop::Bad(source)) = walked {
            return Err(RingError::Chain { head: id, source });
        }
        self.next = from.wrapping_add(1);
        Ok(Some(command.finished(id, 1)))
    }

    pub(super) fn looks_untouched(&mut self, regions: &Regions) -> bool {
        self.next == 0 && self.cache.view(regions).is_ok_and(|view| view.untouched())
    }

    pub(super) fn answer(
        &mut self,
        regions: &Regions,
        command: &Command,
        answer: &[u8],
    ) -> Result<bool, RingError> {
        let view = self.cache.view(regions)?;
        let written = command.write_answer(regions, answer)?;
        self.used = view.set_used_all(self.used, [(command.id, written)].into_iter());
        view.publish_used(self.used);
        Ok(self.notify.wants_interrupt(view, self.used))
    }
}
