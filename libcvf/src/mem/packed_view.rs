//! Volatile access to a packed ring (virtio 1.3 2.8).
//!
//! [`PackedCache`] keeps where the ring lies, [`PackedView`] is what a burst works with. A
//! [`Position`] is below the ring's size by construction and checked here all the same, so no value
//! a guest writes can move an access out of the areas.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::areas::{AreaPlan, Areas, PlaceError};
use super::prefetch;
use super::regions::{Access, Regions};
use super::ring_view::RingPlace;
use crate::limits::MAX_PACKED_RING_SIZE;

/// A place in a packed ring: a descriptor, and which turn of the ring (virtio 1.3 2.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    index: u16,
    wrap: bool,
}

impl Position {
    /// Where both sides start: the first descriptor, wrap counter 1.
    pub const START: Self = Self {
        index: 0,
        wrap: true,
    };

    /// The descriptor.
    pub const fn index(self) -> u16 {
        self.index
    }

    /// The wrap counter.
    pub const fn wrap(self) -> bool {
        self.wrap
    }

    /// `by` descriptors further in a ring of `size`; `by` is at most `size`.
    #[inline]
    #[must_use]
    pub const fn advanced(self, by: u16, size: u16) -> Self {
        // Both are at most 32768.
        let index = self.index as u32 + by as u32;
        if index >= size as u32 {
            Self {
                index: (index - size as u32) as u16,
                wrap: !self.wrap,
            }
        } else {
            Self {
                index: index as u16,
                wrap: self.wrap,
            }
        }
    }

    /// How many descriptors it lies ahead of `other`, around two turns of a ring of `size`.
    #[inline]
    pub const fn ahead_of(self, other: Self, size: u16) -> u32 {
        let turn = size as u32;
        let at = self.index as u32 + if self.wrap { 0 } else { turn };
        let from = other.index as u32 + if other.wrap { 0 } else { turn };
        (at + 2 * turn - from) % (2 * turn)
    }

    /// As an event suppression structure has it: offset, and the wrap counter in bit 15.
    pub const fn off_wrap(self) -> u16 {
        self.index | (self.wrap as u16) << 15
    }

    /// From what an event suppression structure has; `None` beyond a ring of `size`.
    pub const fn from_off_wrap(value: u16, size: u16) -> Option<Self> {
        let index = value & 0x7fff;
        if index >= size {
            return None;
        }
        Some(Self {
            index,
            wrap: value >> 15 != 0,
        })
    }
}

/// A descriptor of a packed ring, loaded once (virtio 1.3 2.8.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedDescriptor {
    /// Guest address of the buffer.
    pub address: u64,
    /// Its bytes.
    pub len: u32,
    /// The buffer's name, in the last descriptor of a chain.
    pub id: u16,
    /// `NEXT` 1, `WRITE` 2, `INDIRECT` 4, `AVAIL` 128, `USED` 32768.
    pub flags: u16,
}

impl PackedDescriptor {
    /// Bytes of one descriptor in memory.
    pub const SIZE: usize = 16;
    /// The chain goes on in the next descriptor.
    pub const NEXT: u16 = 1;
    /// The device writes (else reads); used: it has written.
    pub const WRITE: u16 = 2;
    /// The buffer is a table of descriptors.
    pub const INDIRECT: u16 = 4;
    /// Equal to the driver's wrap counter when available.
    pub const AVAIL: u16 = 1 << 7;
    /// Unequal to the driver's wrap counter when available, equal to the device's when used.
    pub const USED: u16 = 1 << 15;

    fn from_words(address: u64, rest: u64) -> Self {
        let rest = u64::from_le(rest);
        Self {
            address: u64::from_le(address),
            len: rest as u32,
            id: (rest >> 32) as u16,
            flags: (rest >> 48) as u16,
        }
    }

    /// From a copy of its 16 bytes.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(word)
        };
        Self::from_words(word(0), word(8))
    }

    /// True when flags in a turn with this wrap counter mean: the driver has made it available
    /// (virtio 1.3 2.8.1).
    #[inline]
    pub const fn is_available(flags: u16, wrap: bool) -> bool {
        let avail = flags & Self::AVAIL != 0;
        let used = flags & Self::USED != 0;
        avail == wrap && used != wrap
    }
}

/// Where a packed ring lies, translated while the device's memory stays as it is.
#[derive(Debug)]
pub struct PackedCache {
    size: u16,
    areas: Areas,
}

impl PackedCache {
    /// A cache for a ring at `place`; nothing is translated yet.
    ///
    /// # Errors
    /// Size or alignment (virtio 1.3 2.8.10.1).
    pub fn new(place: RingPlace) -> Result<Self, PlaceError> {
        let size = place.size;
        if size == 0 || size > MAX_PACKED_RING_SIZE {
            return Err(PlaceError::Size(size));
        }
        let areas = Areas::new([
            AreaPlan {
                name: "descriptor ring",
                address: place.descriptors,
                len: 16 * u64::from(size),
                align: 16,
                access: &[Access::Read, Access::Write],
            },
            AreaPlan {
                name: "driver event suppression",
                address: place.available,
                len: 4,
                align: 4,
                access: &[Access::Read],
            },
            AreaPlan {
                name: "device event suppression",
                address: place.used,
                len: 4,
                align: 4,
                access: &[Access::Write],
            },
        ])?;
        Ok(Self { size, areas })
    }

    /// Entries of the ring.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// The ring in this state of the device's memory.
    ///
    /// # Errors
    /// [`PlaceError`] when an area is not (any more) reachable.
    #[inline]
    pub fn view<'m>(&'m mut self, regions: &'m Regions) -> Result<PackedView<'m>, PlaceError> {
        let [descriptors, driver, device] = self.areas.bases(regions)?;
        Ok(PackedView {
            descriptors,
            driver,
            device,
            size: self.size,
            life: PhantomData,
        })
    }

    /// True once the memory under a joined area was truncated.
    pub fn faulted(&self) -> bool {
        self.areas.faulted()
    }
}

/// A packed ring, ready for a burst.
#[derive(Clone, Copy, Debug)]
pub struct PackedView<'m> {
    descriptors: usize,
    driver: usize,
    device: usize,
    size: u16,
    life: PhantomData<&'m Regions>,
}

impl PackedView<'_> {
    /// Entries.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// The two words of a descriptor; of the last one when `index` is beyond the ring.
    #[inline]
    fn words(&self, index: u16) -> (&AtomicU64, &AtomicU64) {
        let at = self.descriptors + PackedDescriptor::SIZE * usize::from(index.min(self.size - 1));
        // SAFETY: inside the descriptor ring (the size is not 0), whose start is 16-byte aligned;
        // atomics may be shared with a writer outside of this process.
        unsafe { (&*(at as *const AtomicU64), &*((at + 8) as *const AtomicU64)) }
    }

    /// The descriptor at `at`, if the driver has made it available. Flags, length and id are one
    /// load, which acquires what the driver wrote before them.
    #[inline]
    pub fn available(&self, at: Position) -> Option<PackedDescriptor> {
        let (address, rest) = self.words(at.index);
        let rest = rest.load(Ordering::Acquire);
        let flags = (u64::from_le(rest) >> 48) as u16;
        if !PackedDescriptor::is_available(flags, at.wrap) {
            return None;
        }
        let address = address.load(Ordering::Relaxed);
        Some(PackedDescriptor::from_words(address, rest))
    }

    /// Asks the processor to fetch the line of the descriptor at `at`, which will be written.
    #[inline]
    pub fn prefetch(&self, at: Position) {
        let (address, _) = self.words(at.index);
        prefetch::to_write(address.as_ptr().cast());
    }

    /// Writes a used descriptor that no driver looks at yet, because one before it is not used.
    #[inline]
    pub fn set_used(&self, used: UsedDescriptor) {
        self.words(used.index)
            .1
            .store(used.word.to_le(), Ordering::Relaxed);
    }

    /// Writes the first used descriptor of a burst: releases all that was written before.
    #[inline]
    pub fn publish_used(&self, used: UsedDescriptor) {
        self.words(used.index)
            .1
            .store(used.word.to_le(), Ordering::Release);
    }

    /// What the driver says about interrupts.
    #[inline]
    pub fn driver_event(&self) -> Event {
        // SAFETY: the driver's event suppression structure is 4 bytes, 4-byte aligned.
        let word = unsafe { &*(self.driver as *const AtomicU32) };
        let word = u32::from_le(word.load(Ordering::Relaxed));
        Event {
            off_wrap: word as u16,
            flags: (word >> 16) as u16 & 3,
        }
    }

    /// Says about doorbells.
    #[inline]
    pub fn set_device_event(&self, event: Event) {
        let value = u32::from(event.off_wrap) | u32::from(event.flags) << 16;
        // SAFETY: the device's event suppression structure is 4 bytes, 4-byte aligned.
        let word = unsafe { &*(self.device as *const AtomicU32) };
        word.store(value.to_le(), Ordering::Relaxed);
    }

    /// True while the descriptor ring reads as zeroes: after a doorbell, a sign that the client's
    /// memory is not the memory that it gave us.
    pub fn untouched(&self) -> bool {
        (0..self.size).all(|index| {
            let (address, rest) = self.words(index);
            address.load(Ordering::Relaxed) == 0 && rest.load(Ordering::Relaxed) == 0
        })
    }
}

/// A used descriptor and where it goes (virtio 1.3 2.8.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct UsedDescriptor {
    index: u16,
    word: u64,
}

impl UsedDescriptor {
    /// Buffer `id` is used, the device has written `written` bytes to it.
    #[inline]
    pub const fn new(at: Position, id: u16, written: u32) -> Self {
        let mut flags = if at.wrap {
            PackedDescriptor::AVAIL | PackedDescriptor::USED
        } else {
            0
        };
        // virtio 1.3 2.8.3 and 2.8.5: the length counts only with the flag.
        if written > 0 {
            flags |= PackedDescriptor::WRITE;
        }
        Self {
            index: at.index,
            word: written as u64 | (id as u64) << 32 | (flags as u64) << 48,
        }
    }
}

/// An event suppression structure (virtio 1.3 2.8.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where, with [`Self::DESC`]: see [`Position::off_wrap`].
    pub off_wrap: u16,
    /// One of the following.
    pub flags: u16,
}

impl Event {
    /// Always.
    pub const ENABLE: u16 = 0;
    /// Never.
    pub const DISABLE: u16 = 1;
    /// When the descriptor at `off_wrap` is passed.
    pub const DESC: u16 = 2;
}
