//! Devices that stand still until a reset: for what their guests or clients did, or for what became of their hardware.

use std::sync::{Arc, OnceLock};

use super::alarm::Alarm;
use super::port::Port;
use crate::mem::{Regions, fault_count};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A port's record of it.
#[derive(Default)]
pub(super) struct Stop {
    stopped: AtomicBool,
    fault: Mutex<Option<Fault>>,
    /// How often it was for a ring.
    torn: AtomicU64,
    alarm: OnceLock<Arc<Alarm>>,
}

/// Why it was stopped.
#[derive(Debug)]
struct Fault {
    reason: String,
    /// For rings or descriptors that cannot be, and nothing else.
    for_ring: bool,
}

impl Port {
    /// Stops the device: nothing is served until a reset.
    pub fn stop(&self, reason: String) {
        self.stop_as(Fault {
            reason,
            for_ring: false,
        });
    }

    /// The same because of a ring or descriptor that cannot be, which is counted.
    pub fn stop_for_ring(&self, reason: String) {
        self.stop.torn.fetch_add(1, Ordering::Relaxed);
        if let Some(alarm) = self.stop.alarm.get() {
            alarm.raise();
        }
        self.stop_as(Fault {
            reason,
            for_ring: true,
        });
    }

    fn stop_as(&self, new: Fault) {
        let mut fault = self.stop.fault.lock();
        if let Some(old) = &mut *fault {
            old.for_ring &= new.for_ring;
        } else {
            let reason = new.reason.as_str();
            let identity = self.identity.get().cloned().unwrap_or_default();
            tracing::warn!(
                device = identity.device,
                uuid = %identity.uuid(),
                reason,
                "device stopped until its driver resets it"
            );
            *fault = Some(new);
        }
        drop(fault);
        self.set_running(false);
        self.stop.stopped.store(true, Ordering::Release);
        self.interrupts.config(self.config_vector.get());
    }

    /// True while stopped.
    pub fn stopped(&self) -> bool {
        self.stop.stopped.load(Ordering::Acquire)
    }

    /// True while stopped for a ring or descriptor that cannot be, and for nothing else.
    pub fn stopped_for_ring(&self) -> bool {
        let fault = self.stop.fault.lock();
        fault.as_ref().is_some_and(|fault| fault.for_ring)
    }

    /// Why it was stopped; the first reason.
    pub fn fault(&self) -> Option<String> {
        let fault = self.stop.fault.lock();
        fault.as_ref().map(|fault| fault.reason.clone())
    }

    /// How often it was stopped for a ring or descriptor that cannot be.
    pub fn torn(&self) -> u64 {
        self.stop.torn.load(Ordering::Relaxed)
    }

    /// Forgets a fault: the driver has reset the device.
    pub fn revive(&self) {
        *self.stop.fault.lock() = None;
        self.stop.stopped.store(false, Ordering::Release);
    }

    /// Has whatever its guest does wrong, rings and frames, raise this from here on; the first that is given stays.
    pub fn raises(&self, alarm: &Arc<Alarm>) {
        let _ = self.stop.alarm.set(Arc::clone(alarm));
        let counters = self.transmit.iter().map(|queue| &queue.counters);
        counters.for_each(|counters| counters.raises(alarm));
    }

    /// After touching guest memory: stops the device if a fault was contained since `before` (a [`fault_count`])
    /// and it was in this device's memory. `ring`: whether it was under a ring's joined area. Returns true if so.
    #[inline]
    pub fn truncated(&self, before: u64, regions: &Regions, ring: impl FnOnce() -> bool) -> bool {
        fault_count() != before && self.faulted(regions, ring())
    }

    #[cold]
    fn faulted(&self, regions: &Regions, ring: bool) -> bool {
        let ours = ring || regions.faulted();
        if ours {
            self.stop("the client truncated the file behind the guest's memory".into());
        }
        ours
    }
}
