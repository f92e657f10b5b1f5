//! What an operator wants to see of a connection. Written by the session, read from any thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::errno::Errno;
use crate::wire::Command;

const COMMAND_SLOTS: usize = 19;

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The command number as it came; 0 if there was none to read.
    pub command: u16,
    /// What the client was told.
    pub errno: Errno,
    /// A sentence for people: what was wrong.
    pub reason: String,
}

/// Counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests by command, in the order of [`Command::ALL`].
    pub requests: Vec<(Command, u64)>,
    /// Requests refused by the session or by the device, unknown commands included.
    pub refused: u64,
    /// Requests answered with success.
    pub succeeded: u64,
    /// File descriptors received.
    pub fds_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
}

#[derive(Debug, Default)]
struct Inner {
    requests: [AtomicU64; COMMAND_SLOTS],
    refused: AtomicU64,
    succeeded: AtomicU64,
    fds_received: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    last_refusal: Mutex<Option<Refusal>>,
}

/// Counters and the last refusal; clones show the same. One observer may serve several connections
/// one after the other, and then adds them up.
#[derive(Clone, Debug, Default)]
pub struct Observer(Arc<Inner>);

impl Observer {
    /// An observer with everything at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counters now. Each is exact; together they are not one instant.
    pub fn counters(&self) -> Counters {
        let inner = &*self.0;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            requests: Command::ALL
                .iter()
                .map(|&command| {
                    let slot = inner.requests.get(usize::from(command.number()));
                    (command, slot.map_or(0, load))
                })
                .collect(),
            refused: load(&inner.refused),
            succeeded: load(&inner.succeeded),
            fds_received: load(&inner.fds_received),
            bytes_received: load(&inner.bytes_received),
            bytes_sent: load(&inner.bytes_sent),
        }
    }

    /// The last request that was refused.
    pub fn last_refusal(&self) -> Option<Refusal> {
        self.0
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn request(&self, number: u16) {
        if let Some(slot) = self.0.requests.get(usize::from(number)) {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn succeeded(&self) {
        self.0.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize, fds: usize) {
        self.0
            .bytes_received
            .fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.fds_received.fetch_add(fds as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.0.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        tracing::debug!(
            command = refusal.command,
            errno = ?refusal.errno,
            reason = %refusal.reason,
            "vfio-user request refused"
        );
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        *self
            .0
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}
