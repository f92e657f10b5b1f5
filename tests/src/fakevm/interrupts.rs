//! Interrupts as a client receives them: one event for each vector.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::bus::Bus;
use super::error::{Error, Result};
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
    events: Vec<Arc<EventFd>>,
}

impl Interrupts {
    /// Has each of `vectors` MSI-X vectors tell an event of its own.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn assign(bus: &mut dyn Bus, vectors: u16) -> Result<Self> {
        let events = bus.wire_vectors(vectors)?;
        Ok(Interrupts { events })
    }

    /// Takes all events back.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn disable(bus: &mut dyn Bus) -> Result<()> {
        bus.cut_vectors()
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

    /// Sleeps until a vector fires, `other` has something to say, or `deadline`; at once where the vector has no event. Takes
    /// nothing.
    ///
    /// # Errors
    /// Fails when the kernel refuses to poll.
    pub fn sleep(
        &self,
        vector: u16,
        other: Option<BorrowedFd<'_>>,
        deadline: Instant,
    ) -> Result<()> {
        let Some(event) = self.event(vector) else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
        let mut fds = [event, other.unwrap_or(event)].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(Error::errno("polling")(error)),
        }
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
