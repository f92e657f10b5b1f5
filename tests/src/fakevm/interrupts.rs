//! Interrupts as a client receives them: one event for each vector.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::client::{ACTION_TRIGGER, Client, IrqData};
use super::error::{Error, Result};
use super::pci::IRQ_MSIX;
use super::socket::wait;

/// Makes an event that never blocks whoever reads or signals it.
///
/// # Errors
/// Fails when the process has no descriptors left.
pub fn new_event() -> Result<EventFd> {
    EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
        .map_err(Error::errno("making an event"))
}

/// The events of the vectors in use.
#[derive(Debug)]
pub struct Interrupts {
    events: Vec<EventFd>,
}

impl Interrupts {
    /// Makes one event for each of `vectors` MSI-X vectors and hands them to the server, as many
    /// in one message as it takes.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn assign(client: &mut Client, vectors: u16) -> Result<Self> {
        let events = (0..vectors)
            .map(|_| new_event())
            .collect::<Result<Vec<_>>>()?;
        let fds: Vec<RawFd> = events
            .iter()
            .map(|event| event.as_fd().as_raw_fd())
            .collect();
        let batch = client.capabilities().max_msg_fds.clamp(1, 16) as usize;
        for (nth, fds) in fds.chunks(batch).enumerate() {
            let start = (nth * batch) as u32;
            client.set_irqs(IRQ_MSIX, start, ACTION_TRIGGER, IrqData::EventFds(fds))?;
        }
        Ok(Interrupts { events })
    }

    /// Takes all events from the server.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn disable(client: &mut Client) -> Result<()> {
        client.set_irqs(IRQ_MSIX, 0, ACTION_TRIGGER, IrqData::None { count: 0 })
    }

    /// How many vectors have an event.
    pub fn vectors(&self) -> u16 {
        self.events.len() as u16
    }

    /// The event of a vector.
    pub fn event(&self, vector: u16) -> Option<BorrowedFd<'_>> {
        self.events
            .get(usize::from(vector))
            .map(|event| event.as_fd())
    }

    /// Takes the interrupts of a vector that have come. Never blocks.
    pub fn take(&self, vector: u16) -> u64 {
        self.events
            .get(usize::from(vector))
            .and_then(|event| event.read().ok())
            .unwrap_or(0)
    }

    /// Waits for an interrupt of a vector and takes it. False when the deadline passed first.
    ///
    /// # Errors
    /// Fails when the kernel refuses to poll.
    pub fn wait(&self, vector: u16, deadline: Instant) -> Result<bool> {
        let Some(event) = self.event(vector) else {
            return Err(Error::Unsupported(format!("vector {vector} has no event")));
        };
        let came = wait(event, PollFlags::POLLIN, deadline).map_err(Error::io("polling"))?;
        Ok(came && self.take(vector) > 0)
    }
}
