//! The interrupt lines of one device: INTx or MSI-X vectors, each an eventfd of the client.
//!
//! Masking by the client is honoured with a pending bit. Workers fire lines without a lock.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use arc_swap::ArcSwapOption;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::mask::Mask;
use super::rearm::Rearm;

/// ISR bit of queues (virtio 1.3 4.1.4.5).
const ISR_QUEUE: u8 = 1;
/// ISR bit of configuration changes.
const ISR_CONFIG: u8 = 2;

/// Why a line change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Beyond the device's lines.
    #[error("vectors {start}+{count} are beyond the {have} that the device has")]
    Range {
        /// First.
        start: u32,
        /// How many.
        count: u32,
        /// How many there are.
        have: usize,
    },
    /// The descriptor is something that could block or misdirect a worker.
    #[error("the descriptor given as interrupt is not an eventfd")]
    NotEventFd,
    /// Nothing to trigger.
    #[error("vector {0} has no eventfd")]
    NoEventFd(u32),
}

#[derive(Debug, Default)]
struct Line {
    fd: ArcSwapOption<OwnedFd>,
    /// The driver's.
    rearm: Rearm,
    /// The client's.
    mask: Mask,
}

impl Line {
    fn fire(&self) -> bool {
        self.rearm.passes() && self.send()
    }

    fn send(&self) -> bool {
        if !self.mask.passes() {
            return false;
        }
        match &*self.fd.load() {
            // A full counter is an interrupt that is still unread: nothing is lost. It is not left to
            // EAGAIN: the client shares the file description and can take O_NONBLOCK off it.
            Some(fd) => {
                writable(fd.as_fd()) && nix::unistd::write(fd.as_fd(), &1u64.to_ne_bytes()).is_ok()
            }
            None => false,
        }
    }

    fn mask(&self, masked: bool) {
        if self.mask.set(masked) {
            self.send();
        }
    }
}

/// All lines of a device.
#[derive(Debug)]
pub struct Interrupts {
    intx: Line,
    intx_present: bool,
    msix: Box<[Line]>,
    msix_on: AtomicBool,
    isr: AtomicU8,
}

/// Which kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// The level-triggered pin.
    Intx,
    /// Message-signalled vectors.
    Msix,
}

impl Interrupts {
    /// Lines of a device with `vectors` MSI-X vectors, or with INTx where that is 0.
    pub fn new(vectors: u16) -> Self {
        Self {
            intx: Line::default(),
            intx_present: vectors == 0,
            msix: (0..vectors).map(|_| Line::default()).collect(),
            msix_on: AtomicBool::new(false),
            isr: AtomicU8::new(0),
        }
    }

    /// The same, of MSI-X vectors that mask themselves when they fire; to begin with they are masked.
    pub fn rearmed(vectors: u16) -> Self {
        let line = |_| Line {
            rearm: Rearm::spent(),
            ..Line::default()
        };
        Self {
            msix: (0..vectors).map(line).collect(),
            ..Self::new(vectors)
        }
    }

    /// The driver wants the next interrupt of a vector that masks itself, or none. What has happened since the last one goes
    /// out at once.
    pub fn arm(&self, vector: u16, on: bool) {
        if let Some(line) = self.msix.get(usize::from(vector))
            && line.rearm.arm(on)
        {
            line.send();
        }
    }

    /// True while an interrupt waits for the driver to want one of a vector that masks itself.
    pub fn keeps(&self, vector: u16) -> bool {
        let line = self.msix.get(usize::from(vector));
        line.is_some_and(|line| line.rearm.keeps())
    }

    /// The driver was reset: vectors that mask themselves are masked, and nothing is kept.
    pub fn disarm(&self) {
        self.msix.iter().for_each(|line| line.rearm.clear());
    }

    /// Lines of a kind.
    pub fn count(&self, kind: LineKind) -> u32 {
        match kind {
            LineKind::Intx => u32::from(self.intx_present),
            LineKind::Msix => self.msix.len() as u32,
        }
    }

    /// Signals queue work on `vector`. True when an eventfd was written.
    #[inline]
    pub fn queue(&self, vector: Option<u16>) -> bool {
        self.signal(vector, ISR_QUEUE)
    }

    /// Signals a configuration change on `vector`.
    pub fn config(&self, vector: Option<u16>) -> bool {
        self.signal(vector, ISR_CONFIG)
    }

    fn signal(&self, vector: Option<u16>, isr: u8) -> bool {
        match vector.and_then(|v| self.msix.get(usize::from(v))) {
            Some(line) => line.fire(),
            None if self.intx_present && !self.msix_on.load(Ordering::Relaxed) => {
                self.isr.fetch_or(isr, Ordering::SeqCst);
                self.intx.fire()
            }
            None => false,
        }
    }

    /// The event that a vector's interrupts go to at present; `None` while it is masked, or has none.
    pub(crate) fn route(&self, vector: Option<u16>) -> Option<Arc<OwnedFd>> {
        let line = self.msix.get(usize::from(vector?))?;
        if line.mask.is_set() {
            return None;
        }
        line.fd.load_full()
    }

    /// The ISR byte as it stands.
    pub fn isr(&self) -> u8 {
        self.isr.load(Ordering::SeqCst)
    }

    /// Reads and clears the ISR byte.
    pub fn take_isr(&self) -> u8 {
        self.isr.swap(0, Ordering::SeqCst)
    }

    fn range(&self, kind: LineKind, start: u32, count: u32) -> Result<&[Line], LineError> {
        let lines = match kind {
            LineKind::Intx if self.intx_present => std::slice::from_ref(&self.intx),
            LineKind::Intx => &[],
            LineKind::Msix => &self.msix,
        };
        let have = lines.len();
        let end = start.checked_add(count).filter(|end| *end as usize <= have);
        let end = end.ok_or(LineError::Range { start, count, have })?;
        Ok(&lines[start as usize..end as usize])
    }

    /// Gives lines from `start` on their eventfds; `None` takes one away.
    ///
    /// # Errors
    /// [`LineError`]; nothing has changed then.
    pub fn set(
        &self,
        kind: LineKind,
        start: u32,
        fds: Vec<Option<OwnedFd>>,
    ) -> Result<(), LineError> {
        let count = u32::try_from(fds.len()).unwrap_or(u32::MAX);
        let lines = self.range(kind, start, count)?;
        for fd in fds.iter().flatten() {
            check(fd)?;
        }
        for (line, fd) in lines.iter().zip(fds) {
            line.fd.store(fd.map(Arc::new));
        }
        self.settle();
        Ok(())
    }

    /// Takes the eventfds of every line of a kind away.
    pub fn disable(&self, kind: LineKind) {
        let lines = self.range(kind, 0, self.count(kind)).unwrap_or_default();
        for line in lines {
            line.fd.store(None);
            line.mask.clear();
        }
        self.settle();
    }

    fn settle(&self) {
        let on = self.msix.iter().any(|line| line.fd.load().is_some());
        self.msix_on.store(on, Ordering::Relaxed);
    }

    /// Masks or unmasks lines. An unmasked INTx with something unread fires again.
    ///
    /// # Errors
    /// [`LineError::Range`].
    pub fn mask(
        &self,
        kind: LineKind,
        start: u32,
        count: u32,
        masked: bool,
    ) -> Result<(), LineError> {
        for line in self.range(kind, start, count)? {
            line.mask(masked);
        }
        if kind == LineKind::Intx && !masked && self.isr.load(Ordering::SeqCst) != 0 {
            self.intx.fire();
        }
        Ok(())
    }

    /// Fires lines because the client asks for it.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn trigger(&self, kind: LineKind, start: u32, count: u32) -> Result<(), LineError> {
        let lines = self.range(kind, start, count)?;
        for (index, line) in (start..).zip(lines) {
            if line.fd.load().is_none() {
                return Err(LineError::NoEventFd(index));
            }
        }
        lines.iter().for_each(|line| {
            line.send();
        });
        Ok(())
    }
}

fn writable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// A worker writes to it, so it must be an eventfd, and one that does not block.
fn check(fd: &OwnedFd) -> Result<(), LineError> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let link = std::fs::read_link(path).map_err(|_| LineError::NotEventFd)?;
    if link.as_os_str() != "anon_inode:[eventfd]" {
        return Err(LineError::NotEventFd);
    }
    let flags = fcntl(fd, FcntlArg::F_GETFL).map_err(|_| LineError::NotEventFd)?;
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
    fcntl(fd, FcntlArg::F_SETFL(flags)).map_err(|_| LineError::NotEventFd)?;
    Ok(())
}
