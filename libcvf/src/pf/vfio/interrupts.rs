//! Events that a function's interrupts are wired to.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// The events of an MSI-X table's first vectors. Each is ours, or somebody else's who is told directly.
#[derive(Debug, Default)]
pub struct VectorEvents {
    events: Vec<Option<Arc<EventFd>>>,
}

impl VectorEvents {
    /// As many vectors, all of them ours.
    ///
    /// # Errors
    /// The kernel gives no event.
    pub fn ours(count: u16) -> nix::Result<Self> {
        let ours = |_| event().map(Some);
        let events = (0..count).map(ours).collect::<Result<_, _>>()?;
        Ok(Self { events })
    }

    /// How many vectors.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True without one.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The event of a vector.
    pub fn get(&self, vector: u16) -> Option<&Arc<EventFd>> {
        self.events.get(usize::from(vector))?.as_ref()
    }

    /// One of them alone, as the first.
    pub fn only(&self, vector: u16) -> Self {
        Self {
            events: vec![self.get(vector).cloned()],
        }
    }

    pub(super) fn raw(&self) -> Vec<RawFd> {
        let raw = |event: &Option<Arc<EventFd>>| {
            event.as_ref().map_or(-1, |event| event.as_fd().as_raw_fd())
        };
        self.events.iter().map(raw).collect()
    }
}

/// The events of a function that cannot be had much longer. Each is told once or more often.
#[derive(Clone, Debug)]
pub struct Alarms {
    /// It has reported an error that it cannot go on from, or its registers have gone.
    pub error: Arc<EventFd>,
    /// The host wants it back.
    pub request: Arc<EventFd>,
}

impl Alarms {
    /// New ones.
    ///
    /// # Errors
    /// The kernel gives no event.
    pub fn new() -> nix::Result<Self> {
        Ok(Self {
            error: event()?,
            request: event()?,
        })
    }
}

/// An event that blocks nobody.
fn event() -> nix::Result<Arc<EventFd>> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    EventFd::from_flags(flags).map(Arc::new)
}

/// What one event is as the kernel's message has it.
pub(super) fn raw(event: Option<BorrowedFd<'_>>) -> RawFd {
    event.map_or(-1, |event| event.as_raw_fd())
}
