//! Cutting a large-send frame for a receiver that does not take it whole.
//!
//! A [`Segmenter`] edits headers and names payload ranges; it never sees the payload. The caller
//! copies each range once, sums it on the way, and stores the finished checksum.

use std::ops::Range;

use super::checksum::Checksum;
use super::error::OffloadError;
use super::meta::{FrameMeta, Gso};
use super::parse::{Headers, Network, TCP, UDP};
use crate::limits::MAX_SEGMENT_HEADERS;

/// Room that edited headers need: the longest headers, a fragment header, and a tag to be inserted.
pub const SEGMENT_SCRATCH: usize = MAX_SEGMENT_HEADERS + FRAGMENT_HEADER + 4;
/// Where a [`Segmenter`] writes headers.
pub type Scratch = [u8; SEGMENT_SCRATCH];

const FRAGMENT_HEADER: usize = 8;
/// TCP flags (RFC 9293 3.1) that only the first (CWR) or the last (FIN, PSH) segment keeps.
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// One frame to send: the scratch's first `header_len` bytes, then `payload` of the original frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Bytes of the scratch.
    pub header_len: usize,
    /// Bytes of the original frame.
    pub payload: Range<usize>,
    /// The transport checksum to be stored; `None` for a later fragment.
    pub checksum: Option<SegmentChecksum>,
}

/// A transport checksum that lacks the sum of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentChecksum {
    /// Where it goes in the segment's headers: two bytes.
    pub at: usize,
    /// Bytes of the original frame that it covers beside the headers: the segment's payload, or for
    /// UFO's first fragment the whole datagram's, which is longer.
    pub covers: Range<usize>,
    headers: Checksum,
}

impl SegmentChecksum {
    /// The two bytes to be stored, given the sum of `covers`.
    #[inline]
    pub fn finish(&self, payload: Checksum) -> [u8; 2] {
        let mut sum = self.headers;
        sum.append(payload);
        sum.finish_nonzero().to_be_bytes()
    }
}

/// Cuts one large-send frame.
#[derive(Clone, Debug)]
pub struct Segmenter<'a> {
    /// The original frame's headers, all of them and nothing more.
    bytes: &'a [u8],
    headers: Headers,
    gso: Gso,
    unit: usize,
    total: usize,
    /// First payload byte of the next segment.
    next: usize,
    /// Segments written.
    index: u16,
    /// Identification of IPv6 fragments.
    ident: u32,
}

impl<'a> Segmenter<'a> {
    /// Prepares to cut a frame of `total` bytes that begins with `bytes`, of which
    /// `min(total, MAX_SEGMENT_HEADERS)` are needed at most.
    ///
    /// # Errors
    /// Whatever [`FrameMeta::check`] finds; the frame is dropped. [`OffloadError::GsoMismatch`] for
    /// an ordinary frame.
    pub fn new(meta: &FrameMeta, bytes: &'a [u8], total: usize) -> Result<Self, OffloadError> {
        let headers = meta.check_gso(bytes, total)?;
        let ident = match (meta.gso, headers.network) {
            (Gso::Ufo, Network::V6) => super::ident::next(),
            _ => 0,
        };
        Ok(Self {
            bytes: &bytes[..usize::from(headers.end)],
            headers,
            gso: meta.gso,
            unit: meta.segment_unit(),
            total,
            next: headers.end.into(),
            index: 0,
            ident,
        })
    }

    /// The original frame's headers.
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How many segments there are in all.
    pub fn count(&self) -> usize {
        let end = usize::from(self.headers.end);
        let body = self.total - if self.gso == Gso::Ufo { end - 8 } else { end };
        body.div_ceil(self.unit).max(1)
    }

    /// Length of the longest segment, for a receiver that has a limit.
    pub fn longest(&self) -> usize {
        let end = usize::from(self.headers.end);
        if self.gso == Gso::Ufo {
            let inserted = self.headers.network == Network::V6 && self.count() > 1;
            let fixed = end - 8 + if inserted { FRAGMENT_HEADER } else { 0 };
            return fixed + self.unit.min(self.total - (end - 8));
        }
        end + self.unit.min(self.total - end)
    }

    /// Writes the next segment's headers; `None` when all were written.
    pub fn next_into(&mut self, scratch: &mut Scratch) -> Option<Segment> {
        // A frame without payload is one segment.
        if self.next >= self.total && self.index > 0 {
            return None;
        }
        let segment = match self.gso {
            Gso::Ufo => self.fragment(scratch),
            _ => self.segment(scratch),
        };
        self.next = segment.payload.end;
        self.index = self.index.saturating_add(1);
        Some(segment)
    }

    /// One TCP segment or UDP datagram.
    fn segment(&self, scratch: &mut Scratch) -> Segment {
        let payload = self.next..self.total.min(self.next + self.unit);
        let end = self.bytes.len();
        let l4 = usize::from(self.headers.l4_offset);
        scratch[..end].copy_from_slice(self.bytes);
        self.write_ip(scratch, end, payload.len(), Some(self.index));

        let transport = &mut scratch[l4..end];
        let length = transport.len() + payload.len();
        let (protocol, field) = match self.gso {
            Gso::Udp => {
                put(transport, 4, length as u16);
                (UDP, 6)
            }
            _ => {
                let done = (self.next - end) as u32;
                let sequence = get_u32(transport, 4).wrapping_add(done);
                transport[4..8].copy_from_slice(&sequence.to_be_bytes());
                if self.index > 0 {
                    transport[13] &= !CWR;
                }
                if payload.end < self.total {
                    transport[13] &= !(FIN | PSH);
                }
                (TCP, 16)
            }
        };
        put(transport, field, 0);
        let mut headers = self.pseudo(protocol, length);
        headers.add(transport);
        let checksum = SegmentChecksum {
            at: l4 + field,
            covers: payload.clone(),
            headers,
        };
        Segment {
            header_len: end,
            payload,
            checksum: Some(checksum),
        }
    }

    /// One IP fragment (RFC 791 2.3, RFC 8200 4.5). The first carries the UDP header, whose checksum
    /// covers the whole datagram.
    fn fragment(&self, scratch: &mut Scratch) -> Segment {
        let end = self.bytes.len();
        let l4 = usize::from(self.headers.l4_offset);
        let first = self.index == 0;
        let carried = if first { end - l4 } else { 0 };
        // `unit` is at least 8, the UDP header's length.
        let payload = self.next..self.total.min(self.next + (self.unit - carried));
        let offset = if first { 0 } else { self.next - l4 };
        let more = payload.end < self.total;
        let cut = more || !first;

        scratch[..l4].copy_from_slice(&self.bytes[..l4]);
        let mut at = l4;
        let v6 = self.headers.network == Network::V6;
        if v6 && cut {
            let flags = offset as u16 | u16::from(more);
            let fragment = &mut scratch[l4..l4 + FRAGMENT_HEADER];
            fragment[..2].copy_from_slice(&[UDP, 0]);
            put(fragment, 2, flags);
            fragment[4..].copy_from_slice(&self.ident.to_be_bytes());
            scratch[usize::from(self.headers.next_header_at)] = 44;
            at += FRAGMENT_HEADER;
        }
        let header_len = at + carried;
        scratch[at..header_len].copy_from_slice(&self.bytes[l4..l4 + carried]);
        if !v6 && cut {
            let word = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
            put(scratch, usize::from(self.headers.l3_offset) + 6, word);
        }
        self.write_ip(scratch, header_len, payload.len(), None);

        let checksum = first.then(|| {
            let length = self.total - l4;
            put(scratch, at + 4, length as u16);
            put(scratch, at + 6, 0);
            let mut headers = self.pseudo(UDP, length);
            headers.add(&scratch[at..header_len]);
            SegmentChecksum {
                at: at + 6,
                covers: end..self.total,
                headers,
            }
        });
        Segment {
            header_len,
            payload,
            checksum,
        }
    }

    /// Length, identification (`advance`: by how much; `None`: unchanged) and header checksum.
    fn write_ip(&self, scratch: &mut Scratch, end: usize, payload: usize, advance: Option<u16>) {
        let l3 = usize::from(self.headers.l3_offset);
        let length = (end - l3 + payload) as u16;
        if self.headers.network == Network::V6 {
            put(scratch, l3 + 4, length - 40);
            return;
        }
        let header = &mut scratch[l3..usize::from(self.headers.l4_offset)];
        put(header, 2, length);
        if let Some(by) = advance {
            let ident = u16::from_be_bytes([header[4], header[5]]).wrapping_add(by);
            put(header, 4, ident);
        }
        put(header, 10, 0);
        let mut sum = Checksum::new();
        sum.add(header);
        put(header, 10, sum.finish());
    }

    /// The pseudo header of a transport packet of `length` bytes.
    fn pseudo(&self, protocol: u8, length: usize) -> Checksum {
        let l3 = usize::from(self.headers.l3_offset);
        let addresses = match self.headers.network {
            Network::V6 => l3 + 8..l3 + 40,
            _ => l3 + 12..l3 + 20,
        };
        // Both pseudo headers are the same words in another order; the length fits 16 bits.
        let mut sum = Checksum::new();
        sum.add(&self.bytes[addresses]);
        sum.add_u16(u16::from(protocol));
        sum.add_u16(length as u16);
        sum
    }
}

/// Stores a number in network order. Callers pass offsets inside headers that were parsed.
#[inline]
fn put(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

#[inline]
fn get_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests;
