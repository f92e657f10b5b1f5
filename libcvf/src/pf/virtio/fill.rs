//! A receive queue (virtio 1.3 5.1.6.3, 5.1.6.4), each buffer for one frame.

use super::ring::Ring;
use crate::dataplane::{Filled, HardwareFill};
use crate::ring::header;

/// Bytes between headers.
const HEADER_PLACE: usize = 16;
/// Of `struct virtio_net_hdr`: the checksum is unfinished; it was verified. With the kind of a large-send frame.
const NEEDS_CSUM: u64 = 1;
const DATA_VALID: u64 = 2;
const GSO_TYPE: u64 = 0xff00;
/// The shortest that is a frame.
const SHORTEST: u32 = 14;

/// A queue; behind its areas a header for each buffer, which takes two descriptors: header and frame. The device
/// may be done with buffers in any order: they are found in that in which they were posted, so that one which it
/// keeps holds up those behind it.
pub(super) struct Fill {
    ring: Ring,
    /// Bytes of a buffer.
    buffer: u32,
    /// Buffers posted and found since the start.
    next: u32,
    oldest: u32,
}

impl Fill {
    /// Bytes that a queue of so many descriptors needs behind its areas.
    pub(super) const fn extra(size: u16) -> usize {
        Self::buffers(size) as usize * HEADER_PLACE
    }

    /// Buffers that a queue of so many descriptors has.
    pub(super) const fn buffers(size: u16) -> u32 {
        size as u32 / 2
    }

    /// A queue of two descriptors at least, with buffers of so many bytes.
    pub(super) fn new(ring: Ring, buffer: u32) -> Self {
        Self {
            ring,
            buffer,
            next: 0,
            oldest: 0,
        }
    }

    fn count(&self) -> u32 {
        Self::buffers(self.ring.size())
    }

    fn posted(&self) -> u32 {
        self.next.wrapping_sub(self.oldest)
    }

    /// The first descriptor of a buffer. Their number is a power of two, so that counting may wrap.
    fn head(&self, nth: u32) -> u16 {
        2 * (nth % self.count()) as u16
    }

    fn header(&self, head: u16) -> usize {
        self.ring.areas().end + usize::from(head / 2) * HEADER_PLACE
    }
}

impl HardwareFill for Fill {
    fn room(&self) -> usize {
        if self.ring.is_sound() {
            (self.count() - self.posted()) as usize
        } else {
            0
        }
    }

    fn buffer(&self) -> u32 {
        self.buffer
    }

    fn post(&mut self, iova: u64) {
        let head = self.head(self.next);
        let place = self.header(head);
        let block = self.ring.block();
        // What the device does not write must not be an old frame's.
        block.memory().store64(place, 0);
        let header = block.iova() + place as u64;
        let len = header::LEN as u32;
        self.ring
            .describe(head, (header, len), true, Some(head + 1));
        self.ring
            .describe(head + 1, (iova, self.buffer), true, None);
        self.ring.offer(head);
        self.next = self.next.wrapping_add(1);
    }

    fn kick(&mut self) {
        self.ring.publish();
    }

    fn pending(&self) -> bool {
        self.posted() > 0 && (self.ring.is_used(self.head(self.oldest)) || self.ring.pending())
    }

    fn next(&mut self) -> Option<Filled> {
        if self.posted() == 0 {
            return None;
        }
        let head = self.head(self.oldest);
        if !self.ring.is_used(head) {
            self.ring.collect();
        }
        let written = self.ring.take(head)?;
        self.oldest = self.oldest.wrapping_add(1);
        let said = self.ring.block().memory().load64(self.header(head));
        let len = written.saturating_sub(header::LEN as u32);
        // 5.1.6.4.1: without GUEST_* neither an unfinished checksum nor a large-send frame may come.
        let plain = said & (NEEDS_CSUM | GSO_TYPE) == 0;
        Some(Filled {
            len: len.min(self.buffer),
            good: plain && (SHORTEST..=self.buffer).contains(&len),
            checksum: said & DATA_VALID != 0,
        })
    }

    fn stop(&mut self) {
        if let Err(error) = self.ring.stop() {
            tracing::error!(%error, "ending a receive queue");
        }
        (self.next, self.oldest) = (0, 0);
    }

    fn start(&mut self) {
        if let Err(error) = self.ring.start() {
            tracing::error!(%error, "a receive queue cannot be taken into use");
        }
    }
}
