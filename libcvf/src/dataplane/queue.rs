//! A port's queues: a ring behind a lock, beside it what others may look at without one.

use parking_lot::Mutex;

use super::answer::LastHeard;
use super::biased::Biased;
use super::claim::Claim;
use super::coalesce::Coalesce;
use super::counters::QueueCounters;
use super::forward::Route;
use super::lane::{Reach, SendLane};
use crate::kept::Kept;
use crate::mem::Regions;
use crate::ring::{ReceiveRing, TransmitRing};
use crate::sync::atomic::{AtomicU16, Ordering};

const NO_VECTOR: u16 = 0xffff;

/// An interrupt vector that may change under the data plane.
#[derive(Debug)]
pub struct VectorCell(AtomicU16);

impl Default for VectorCell {
    fn default() -> Self {
        Self(AtomicU16::new(NO_VECTOR))
    }
}

impl VectorCell {
    /// The vector; `None`: no interrupts.
    pub fn get(&self) -> Option<u16> {
        Some(self.0.load(Ordering::Relaxed)).filter(|v| *v != NO_VECTOR)
    }

    /// Sets it.
    pub fn set(&self, vector: Option<u16>) {
        self.0.store(vector.unwrap_or(NO_VECTOR), Ordering::Relaxed);
    }
}

/// A transmit queue's ring, under its lock.
#[derive(Default)]
pub struct TransmitState {
    /// The ring while the queue is enabled and the device runs.
    pub ring: Option<Box<dyn TransmitRing>>,
    /// Doorbells are asked not to come.
    pub(super) suppressed: bool,
    /// Where its frames went last.
    pub(super) route: Route,
    /// The device's memory, kept until the lock is passed after a change.
    pub(super) memory: Kept<Regions>,
    /// A transmit queue of hardware that is its own.
    pub(super) lane: Option<Box<SendLane>>,
    /// What that reaches, kept as the memory is.
    pub(super) reach: Kept<Reach>,
}

/// A receive queue's ring, under its lock.
#[derive(Default)]
pub struct ReceiveState {
    /// The ring while the queue is enabled and the device runs.
    pub ring: Option<Box<dyn ReceiveRing>>,
    /// As with [`TransmitState`].
    pub(super) memory: Kept<Regions>,
}

/// Guest to device.
#[derive(Default)]
pub struct TransmitQueue {
    /// The ring. Its worker keeps it; the control side takes it to change it.
    pub state: Biased<TransmitState>,
    /// The worker that serves it. One that finds another's queue in its list hands it over.
    pub(super) home: AtomicU16,
    /// When its doorbell was rung.
    pub(super) heard: LastHeard,
    /// Taken while it is in somebody's hands, a worker's as a rule.
    pub(super) claim: Claim,
    /// Where completion interrupts go.
    pub vector: VectorCell,
    /// Interrupts held back; the lock's holder writes.
    pub(super) coalesce: Coalesce,
    /// Counters; the lock's holder writes.
    pub counters: QueueCounters,
}

/// Device to guest.
#[derive(Default)]
pub struct ReceiveQueue {
    /// The ring. Taken once per burst and sender.
    pub state: Mutex<ReceiveState>,
    /// Where interrupts go.
    pub vector: VectorCell,
    /// Interrupts held back; the lock's holder writes.
    pub(super) coalesce: Coalesce,
    /// Counters; the lock's holder writes.
    pub counters: QueueCounters,
}
