//! What passes at a port, copied for somebody who looks at it.
//!
//! Whoever forwards appends copies to one buffer; the reader takes it as a whole and leaves an empty one in its
//! place, so that neither waits for what the other does with it. What finds no room is not copied, and counted.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::counters::Drop;
use crate::limits::{MAX_SNAPLEN, TAP_BYTES};
use crate::ring::Payload;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Which way a frame goes, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The guest sends it.
    Out,
    /// The guest receives it.
    In,
}

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What the guest sends.
    pub out: bool,
    /// What the guest receives.
    pub r#in: bool,
    /// Only what was dropped.
    pub drops_only: bool,
    /// Bytes of a frame's beginning, at most [`MAX_SNAPLEN`].
    pub snaplen: usize,
}

impl Default for Wanted {
    /// Everything, whole.
    fn default() -> Self {
        Self {
            out: true,
            r#in: true,
            drops_only: false,
            snaplen: MAX_SNAPLEN,
        }
    }
}

/// A frame that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'c> {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Which way.
    pub way: Way,
    /// Why it went no further, if it was dropped.
    pub dropped: Option<Drop>,
    /// Frames before it that found no room, since the last one that did.
    pub lost: u32,
    /// Bytes that it has.
    pub len: u32,
    /// Its beginning.
    pub bytes: &'c [u8],
}

/// Bytes in front of a copy: time, length, bytes copied, frames lost before, way, reason, padding.
const HEADER: usize = 24;

/// Copies one behind the other.
pub struct Catch {
    bytes: Box<[u8]>,
    used: usize,
}

impl Default for Catch {
    fn default() -> Self {
        Self {
            // Untouched pages cost nothing.
            bytes: vec![0; TAP_BYTES].into(),
            used: 0,
        }
    }
}

impl fmt::Debug for Catch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catch({} bytes)", self.used)
    }
}

impl Catch {
    /// True without a frame.
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The frames, in the order in which they passed.
    pub fn frames(&self) -> impl Iterator<Item = Seen<'_>> {
        let mut left = &self.bytes[..self.used];
        std::iter::from_fn(move || {
            let (header, rest) = left.split_first_chunk::<HEADER>()?;
            let word = |at: usize| header[at..].first_chunk().copied().map(u32::from_le_bytes);
            let (bytes, next) = rest.split_at_checked(word(12)? as usize)?;
            left = next;
            Some(Seen {
                time: u64::from(word(0)?) | u64::from(word(4)?) << 32,
                way: if header[20] == 0 { Way::Out } else { Way::In },
                dropped: usize::from(header[21])
                    .checked_sub(1)
                    .and_then(|reason| Drop::ALL.get(reason).copied()),
                lost: word(16)?,
                len: word(8)?,
                bytes,
            })
        })
    }

    /// Appends a frame, `head` followed by `tail`; false when there is no room for it.
    fn add(&mut self, seen: Seen<'_>, snaplen: usize, head: &[u8], tail: Payload<'_>) -> bool {
        let want = (head.len() + tail.len()).min(snaplen);
        let room = self.bytes[self.used..].split_first_chunk_mut::<HEADER>();
        let Some((header, body)) = room else {
            return false;
        };
        let Some(body) = body.get_mut(..want) else {
            return false;
        };
        let copied = want.min(head.len());
        body[..copied].copy_from_slice(&head[..copied]);
        let copied = copied + tail.read(&mut body[copied..]);
        header[..8].copy_from_slice(&seen.time.to_le_bytes());
        header[8..12].copy_from_slice(&seen.len.to_le_bytes());
        header[12..16].copy_from_slice(&(copied as u32).to_le_bytes());
        header[16..20].copy_from_slice(&seen.lost.to_le_bytes());
        header[20] = u8::from(seen.way == Way::In);
        header[21] = seen.dropped.map_or(0, |reason| reason as u8 + 1);
        self.used += HEADER + copied;
        true
    }
}

/// What is being filled.
#[derive(Default)]
struct Filling {
    catch: Catch,
    /// Frames that found no room since the last one that did.
    lost: u32,
    /// Frames that found no room.
    lost_in_all: u64,
}

/// One look at a port. Its reader waits for [`Tap::bell`] and takes what there is with [`Tap::take`]. Callable from
/// any thread; nothing blocks for longer than a frame takes to be copied.
pub struct Tap {
    wanted: Wanted,
    filling: Mutex<Filling>,
    bell: EventFd,
    over: AtomicBool,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl Tap {
    /// # Errors
    /// There is no event to be had.
    pub(crate) fn new(wanted: Wanted) -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wanted = Wanted {
            snaplen: wanted.snaplen.min(MAX_SNAPLEN),
            ..wanted
        };
        Ok(Self {
            wanted,
            filling: Mutex::new(Filling::default()),
            bell: EventFd::from_value_and_flags(0, flags)?,
            over: AtomicBool::new(false),
        })
    }

    /// An eventfd that becomes readable when the first frame is there, again when the room is half used, and when it
    /// is over. Whoever waits for it reads it before it takes what there is.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Takes what there is, leaving `catch` empty in its place. Returns how many frames found no room so far.
    pub fn take(&self, catch: &mut Catch) -> u64 {
        catch.used = 0;
        let mut filling = self.filling.lock();
        std::mem::swap(&mut filling.catch, catch);
        filling.lost_in_all
    }

    /// The device is gone: nothing more comes.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        // A full one is readable already.
        let _ = self.bell.write(1);
    }

    /// Copies a frame, `head` followed by `tail`, if it is wanted.
    pub(super) fn show(&self, way: Way, dropped: Option<Drop>, head: &[u8], tail: Payload<'_>) {
        let wanted = match way {
            Way::Out => self.wanted.out,
            Way::In => self.wanted.r#in,
        };
        if !wanted || (self.wanted.drops_only && dropped.is_none()) {
            return;
        }
        let mut filling = self.filling.lock();
        let Filling {
            catch,
            lost,
            lost_in_all,
        } = &mut *filling;
        let before = catch.used;
        let seen = Seen {
            // Under the lock, so that the order of frames is that of their times.
            time: now(),
            way,
            dropped,
            lost: *lost,
            len: (head.len() + tail.len()) as u32,
            bytes: &[],
        };
        if !catch.add(seen, self.wanted.snaplen, head, tail) {
            *lost = lost.saturating_add(1);
            *lost_in_all += 1;
            return;
        }
        *lost = 0;
        let half = TAP_BYTES / 2;
        let rings = before == 0 || (before < half && catch.used >= half);
        drop(filling);
        if rings {
            self.ring();
        }
    }
}

/// Nanoseconds since 1970; no system call where the kernel shares its clock.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests;
