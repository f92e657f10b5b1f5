//! Doorbells by event: descriptors that a client (or its kernel) signals instead of sending a write.
//!
//! Made when a client asks, gone with its session: whoever does not ask costs nothing. The events are
//! never read. A signal wakes whoever watches for changes, whatever was counted before; and a read
//! could block, for the client shares the descriptor's flags.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use libcvf::cvf::{Cvf, DoorbellRegister};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use vfio_user_server::wire::{IoFd, IoFdKind};

use super::sys;

/// The events of one session. Dropping it ends the watching.
#[derive(Debug)]
pub(super) struct Bells {
    rings: Vec<(DoorbellRegister, Arc<OwnedFd>)>,
    watches: Vec<JoinHandle<()>>,
}

impl Bells {
    /// Events for all doorbells of `cvf`, in at most `limit` descriptors: what the client takes in
    /// one message. Queues share one where that is too few, and then are all looked at. Needs a
    /// tokio runtime around it.
    ///
    /// # Errors
    /// No descriptor could be made.
    pub(super) fn hang(cvf: &Arc<Cvf>, limit: usize) -> io::Result<Self> {
        let registers = cvf.doorbell_registers();
        let cvf = Arc::clone(cvf);
        Self::hang_for(&registers, limit, move |register| cvf.ring(register))
    }

    /// [`Self::hang`], with what is done about a doorbell. That may block: it waits for whatever else the
    /// device is busy with.
    fn hang_for(
        registers: &[DoorbellRegister],
        limit: usize,
        ring: impl Fn(&DoorbellRegister) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        // One at a time: however many events a client signals while its device is busy, it keeps one
        // thread of the runtime, which is everybody's.
        let ring = Arc::new(Mutex::new(ring));
        let count = limit.min(registers.len());
        let mut bells = Self {
            rings: Vec::new(),
            watches: Vec::new(),
        };
        for nth in 0..count {
            let rung: Vec<_> = registers.iter().skip(nth).step_by(count).copied().collect();
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let event: OwnedFd = EventFd::from_value_and_flags(0, flags)?.into();
            let watched = sys::watch(event.try_clone()?)?;
            let event = Arc::new(event);
            bells
                .rings
                .extend(rung.iter().map(|register| (*register, Arc::clone(&event))));
            let ring = Arc::clone(&ring);
            bells.watches.push(tokio::spawn(async move {
                while let Ok(mut ready) = watched.readable().await {
                    // Before the rings are looked at: what comes while that goes on is new.
                    ready.clear_ready();
                    let ring = ring.lock().await;
                    rung.iter().for_each(&*ring);
                }
            }));
        }
        bells
            .rings
            .sort_unstable_by_key(|(register, _)| register.queue);
        Ok(bells)
    }

    /// What a client is told about a region.
    pub(super) fn of_region(&self, region: u32) -> Vec<IoFd> {
        let entry = |(register, event): &(DoorbellRegister, Arc<OwnedFd>)| IoFd {
            offset: register.offset,
            size: register.size,
            fd: Some(Arc::clone(event)),
            // The place alone says which queue is meant, so no value has to match.
            kind: IoFdKind::Ioeventfd {
                flags: 0,
                datamatch: 0,
            },
        };
        self.rings
            .iter()
            .filter(|(register, _)| u32::from(register.bar) == region)
            .map(entry)
            .collect()
    }
}

impl Drop for Bells {
    fn drop(&mut self) {
        self.watches.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests;
