//! A CVF's place at the switch, as the data plane sees it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::counters::QueueCounters;
use super::group::{Membership, RateGroup};
use super::interrupts::Interrupts;
use super::neighbours::Neighbours;
use super::policed::Policed;
use super::queue::{ReceiveQueue, TransmitQueue, VectorCell};
use super::rates::{PortRates, Rates};
use super::steer::Steering;
use super::watch::Taps;
use super::wishes::Wishes;
use crate::control::Identity;
use crate::mem::{GuestMemory, Regions, fault_count};
use crate::offload::Accepts;
use crate::switch::PortId;
use crate::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use crate::sync::{ArcSwap, Mutex};

/// A device's data-plane state. Shared between the control side and workers.
pub struct Port {
    id: AtomicU32,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// The device's interrupt lines.
    pub interrupts: Interrupts,
    /// Transmit queues, one per pair.
    pub transmit: Box<[TransmitQueue]>,
    /// Receive queues, one per pair.
    pub receive: Box<[ReceiveQueue]>,
    /// Vector of configuration changes.
    pub config_vector: VectorCell,
    /// Doorbells never come: the worker polls as long as a ring is there.
    pub polled: bool,
    running: AtomicBool,
    active_pairs: AtomicU16,
    /// Which queue gets which frame, where that is a question.
    pub(super) steering: ArcSwap<Steering>,
    steers: AtomicBool,
    /// What the driver asked of its queues.
    pub(super) wishes: Mutex<Wishes>,
    accepts: AtomicU16,
    mtu: AtomicU32,
    policed: AtomicU16,
    /// What it may send and receive.
    pub(super) rates: Rates,
    /// The group that it is in.
    pub(super) group: ArcSwap<Membership>,
    /// What it may say about neighbours.
    pub(super) neighbours: ArcSwap<Neighbours>,
    /// Who looks at what passes here.
    pub(super) taps: Taps,
    stopped: AtomicBool,
    away: AtomicBool,
    fault: Mutex<Option<String>>,
    torn: AtomicU64,
    /// Who it is, in the log; unset where nobody asks.
    pub identity: OnceLock<Identity>,
}

impl Port {
    /// A port that is not yet at a switch.
    pub fn new(pairs: u16, vectors: u16, polled: bool) -> Self {
        Self {
            id: AtomicU32::new(u32::MAX),
            memory: GuestMemory::default(),
            interrupts: Interrupts::new(vectors),
            transmit: (0..pairs).map(|_| TransmitQueue::default()).collect(),
            receive: (0..pairs).map(|_| ReceiveQueue::default()).collect(),
            config_vector: VectorCell::default(),
            polled,
            running: AtomicBool::new(false),
            active_pairs: AtomicU16::new(1),
            steering: ArcSwap::default(),
            steers: AtomicBool::new(false),
            wishes: Mutex::default(),
            accepts: AtomicU16::new(0),
            mtu: AtomicU32::new(u32::MAX),
            policed: AtomicU16::new(0),
            rates: Rates::default(),
            group: ArcSwap::default(),
            neighbours: ArcSwap::default(),
            taps: Taps::default(),
            stopped: AtomicBool::new(false),
            away: AtomicBool::new(false),
            fault: Mutex::new(None),
            torn: AtomicU64::new(0),
            identity: OnceLock::new(),
        }
    }

    /// Its number at the switch.
    pub fn id(&self) -> PortId {
        PortId(self.id.load(Ordering::Relaxed))
    }

    pub(super) fn set_id(&self, id: PortId) {
        self.id.store(id.0, Ordering::Relaxed);
    }

    /// A driver runs, so frames may be delivered.
    pub fn running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Sets whether frames may be delivered.
    pub fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Queue pairs in use.
    pub fn active_pairs(&self) -> u16 {
        self.active_pairs.load(Ordering::Relaxed)
    }

    /// At least one, at most what there is.
    pub(super) fn store_active_pairs(&self, pairs: u16) -> u16 {
        let pairs = pairs.clamp(1, self.receive.len() as u16);
        self.active_pairs.store(pairs, Ordering::Relaxed);
        pairs
    }

    /// False: every frame goes to queue 0 and has no hash, whoever asks [`Self::steering`].
    #[inline]
    pub(super) fn steers(&self) -> bool {
        self.steers.load(Ordering::Relaxed)
    }

    /// Steers frames from here on.
    pub(super) fn steer(&self, steering: Steering) {
        let steers = !steering.is_trivial();
        self.steering.store(Arc::new(steering));
        self.steers.store(steers, Ordering::Relaxed);
    }

    /// What its driver takes as it is.
    pub fn accepts(&self) -> Accepts {
        Accepts(self.accepts.load(Ordering::Relaxed))
    }

    /// Sets what its driver takes.
    pub fn set_accepts(&self, accepts: Accepts) {
        self.accepts.store(accepts.0, Ordering::Relaxed);
    }

    /// The MTU its driver agreed to, in bytes; `u32::MAX` where it agreed to none.
    pub fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    /// Sets the MTU that frames to the driver keep to; `None`: no limit.
    pub fn set_mtu(&self, mtu: Option<u16>) {
        self.mtu
            .store(mtu.map_or(u32::MAX, u32::from), Ordering::Relaxed);
    }

    /// What of its frames has to be looked at.
    #[inline]
    pub(super) fn policed(&self) -> Policed {
        Policed(self.policed.load(Ordering::Acquire))
    }

    /// Puts it into a group with a share of so many bits a second, or takes it out of any. It counts once it is
    /// policed anew.
    pub(crate) fn join(&self, group: Option<Arc<RateGroup>>, share: Option<u64>) {
        self.rates.share.set(share);
        self.group.store(Arc::new(Membership(group)));
    }

    /// Sets how much it may send and receive, and what it may say about neighbours, from the next burst on. One
    /// caller at a time.
    pub fn police(&self, rates: &PortRates, neighbours: Neighbours) {
        let policed = Policed::by(rates, &neighbours, self.group.load().0.is_some());
        self.rates.set(rates);
        self.neighbours.store(Arc::new(neighbours));
        // Whoever sees that there is a check finds what it is.
        self.set_policed(!Policed::TAPPED.0, policed);
    }

    /// Sets that somebody looks at what passes here.
    pub(super) fn watch(&self, watched: bool) {
        let policed = if watched {
            Policed::TAPPED
        } else {
            Policed::default()
        };
        self.set_policed(Policed::TAPPED.0, policed);
    }

    /// Sets those of `bits`.
    fn set_policed(&self, bits: u16, policed: Policed) {
        let set = |before: u16| Some((before & !bits) | policed.0);
        let _ = self
            .policed
            .fetch_update(Ordering::Release, Ordering::Relaxed, set);
    }

    /// Stops the device because of what its guest or client did: nothing is served until a reset.
    pub fn stop(&self, reason: String) {
        let mut fault = self.fault.lock();
        if fault.is_none() {
            let identity = self.identity.get().cloned().unwrap_or_default();
            tracing::warn!(
                device = identity.device,
                uuid = %identity.uuid(),
                reason,
                "device stopped until its driver resets it"
            );
            *fault = Some(reason);
        }
        drop(fault);
        self.set_running(false);
        self.stopped.store(true, Ordering::Release);
        self.interrupts.config(self.config_vector.get());
    }

    /// The same because of a ring or descriptor that cannot be, which is counted.
    pub fn stop_for_ring(&self, reason: String) {
        self.torn.fetch_add(1, Ordering::Relaxed);
        self.stop(reason);
    }

    /// How often it was stopped for that.
    pub fn torn(&self) -> u64 {
        self.torn.load(Ordering::Relaxed)
    }

    /// Interrupts the driver for a queue and counts it there. The queue's lock is not held: it may be a system
    /// call.
    #[inline]
    pub(super) fn interrupt(&self, vector: &VectorCell, counters: &QueueCounters) {
        if self.interrupts.queue(vector.get()) {
            counters.interrupts.add_shared(1);
        }
    }

    /// After touching guest memory: stops the device if a fault was contained since `before` (a
    /// [`crate::mem::fault_count`]) and it was in this device's memory. `ring`: whether it was under a ring's
    /// joined area. Returns true if so.
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

    /// True while stopped.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Notes that a ring's memory is not mapped, so that its queue left the worker's list.
    pub(super) fn set_away(&self) {
        // A swap, so that what was mapped before somebody's vain `take_away` is seen from here on.
        self.away.swap(true, Ordering::AcqRel);
    }

    /// True once after `set_away`: with memory mapped anew the queues want to be scheduled.
    pub fn take_away(&self) -> bool {
        self.away.swap(false, Ordering::AcqRel)
    }

    /// Why it was stopped.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Forgets a fault: the driver has reset the device.
    pub fn revive(&self) {
        *self.fault.lock() = None;
        self.stopped.store(false, Ordering::Release);
    }

    /// Passes queue `number` (transmit queues first): takes and releases its lock, so that any
    /// burst that was inside has ended, and lets go of the memory that the queue kept. False when it is still busy at `until`.
    fn pass(&self, number: usize, until: Instant) -> bool {
        match number.checked_sub(self.transmit.len()) {
            None => {
                let state = self.transmit[number].state.try_lock_until(until);
                state.map(|mut state| self.memory.release(&mut state.memory))
            }
            Some(number) => {
                let state = self.receive[number].state.try_lock_until(until);
                state.map(|mut state| self.memory.release(&mut state.memory))
            }
        }
        .is_some()
    }
}

/// A change that counts once nobody can be using the state before it: a burst holds the locks of
/// its queues from its first access to its last, so every queue has to be passed once.
pub struct Quiescing {
    port: Arc<Port>,
    /// Queues passed so far.
    passed: usize,
    /// Kept until then: dropping it unmaps.
    _before: Option<Arc<Regions>>,
}

/// Somebody was still using the old state at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker was still using the device's memory after {0:?}")]
pub struct Stalled(Duration);

impl Quiescing {
    pub(crate) const fn new(port: Arc<Port>, before: Option<Arc<Regions>>) -> Self {
        Self {
            port,
            passed: 0,
            _before: before,
        }
    }

    fn advance(&mut self, until: Instant) -> bool {
        let queues = self.port.transmit.len() + self.port.receive.len();
        while self.passed < queues {
            if !self.port.pass(self.passed, until) {
                return false;
            }
            self.passed += 1;
        }
        true
    }

    /// Waits at most `deadline`; usually returns at once, for a burst takes microseconds.
    ///
    /// # Errors
    /// [`Stalled`].
    pub fn wait(&mut self, deadline: Duration) -> Result<(), Stalled> {
        if self.advance(Instant::now() + deadline) {
            Ok(())
        } else {
            Err(Stalled(deadline))
        }
    }

    /// True when nobody uses the old state any more. Blocks for about a millisecond at most: a
    /// worker that polls gives its lock away only to somebody who waits for it.
    pub fn try_finish(&mut self) -> bool {
        self.advance(Instant::now() + Duration::from_millis(1))
    }
}
