//! Checking a sender's metadata, and what a receiver needs done to a frame.

use super::error::OffloadError;
use super::meta::{Accepts, Csum, FrameMeta, Gso};
use super::parse::{EthView, Extensions, Headers, Network, TAG, Transport};
use crate::limits::{MAX_SEGMENT_HEADERS, MAX_SEGMENTS};

/// What must happen to a frame before a receiver gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliver {
    /// Nothing: frame and metadata as they are.
    Whole,
    /// The partial checksum is filled in ([`FrameMeta::checksum_fix`]).
    FinishChecksum,
    /// The frame is cut by a [`super::Segmenter`].
    Segment,
}

/// Where an ordinary frame's partial checksum comes from and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksumFix {
    /// The sum covers the frame from here to its end, the field's present content included.
    pub start: usize,
    /// [`super::Checksum::finish_nonzero`] is stored here, two bytes, network order. May lie
    /// anywhere in the frame.
    pub at: usize,
}

impl Accepts {
    /// What a receiver with these offloads needs done to a frame with this metadata. A whole
    /// large-send frame carries a partial checksum and is only for those who take both.
    #[inline]
    pub fn takes(self, meta: &FrameMeta, is_ipv6: bool) -> Deliver {
        let whole = match (meta.gso, is_ipv6) {
            (Gso::None, _) => {
                let partial = matches!(meta.csum, Csum::Partial { .. });
                return match partial && !self.contains(Self::CSUM) {
                    true => Deliver::FinishChecksum,
                    false => Deliver::Whole,
                };
            }
            (Gso::TcpV4, _) => Self::TSO4,
            (Gso::TcpV6, _) => Self::TSO6,
            (Gso::Ufo, _) => Self::UFO,
            (Gso::Udp, false) => Self::USO4,
            (Gso::Udp, true) => Self::USO6,
        };
        let whole = whole.with(Self::CSUM);
        let whole = if meta.ecn {
            whole.with(Self::ECN)
        } else {
            whole
        };
        if self.contains(whole) {
            Deliver::Whole
        } else {
            Deliver::Segment
        }
    }
}

impl FrameMeta {
    /// Checks a sender's metadata against its frame and returns what may be passed on: `hdr_len` is
    /// replaced by the true length for large-send frames and 0 otherwise, and `gso_size` and `ecn`
    /// are cleared where they mean nothing. `bytes` is the frame's copied beginning, up to
    /// [`MAX_SEGMENT_HEADERS`] for a large-send frame, `total` the frame's length.
    ///
    /// # Errors
    /// The first thing that does not fit; see [`OffloadError`].
    #[inline]
    pub fn check(&self, bytes: &[u8], total: usize) -> Result<Self, OffloadError> {
        match (self.csum, self.gso) {
            (Csum::None | Csum::Valid, Gso::None) => Ok(Self {
                csum: self.csum,
                ..Self::default()
            }),
            (csum, gso) => {
                if let Csum::Partial { start, offset } = csum {
                    check_partial(bytes, total, start, offset)?;
                }
                if gso == Gso::None {
                    return Ok(Self {
                        csum,
                        ..Self::default()
                    });
                }
                let headers = self.check_gso(bytes, total)?;
                let ecn = self.ecn && headers.transport == Transport::Tcp;
                Ok(Self {
                    hdr_len: headers.end,
                    ecn,
                    ..*self
                })
            }
        }
    }

    /// Where a partial checksum is computed from and stored; `None` when there is none to finish.
    ///
    /// # Errors
    /// [`OffloadError::CsumPastEnd`].
    #[inline]
    pub fn checksum_fix(&self, total: usize) -> Result<Option<ChecksumFix>, OffloadError> {
        let Csum::Partial { start, offset } = self.csum else {
            return Ok(None);
        };
        let start = usize::from(start);
        let at = start + usize::from(offset);
        if at + 2 > total {
            return Err(OffloadError::CsumPastEnd);
        }
        Ok(Some(ChecksumFix { start, at }))
    }

    /// Everything that a large-send frame must satisfy, however it is delivered.
    pub(super) fn check_gso(&self, bytes: &[u8], total: usize) -> Result<Headers, OffloadError> {
        let Csum::Partial { start, offset } = self.csum else {
            return Err(OffloadError::GsoWithoutCsum);
        };
        let bytes = &bytes[..bytes.len().min(MAX_SEGMENT_HEADERS)];
        let headers = Headers::parse(bytes, total)?;
        if headers.fragment {
            return Err(OffloadError::GsoFragment);
        }
        let csum_at = match (self.gso, headers.network, headers.transport) {
            (Gso::TcpV4, Network::V4, Transport::Tcp) => 16,
            (Gso::TcpV6, Network::V6, Transport::Tcp) => 16,
            (Gso::Ufo | Gso::Udp, Network::V4 | Network::V6, Transport::Udp) => 6,
            _ => return Err(OffloadError::GsoMismatch),
        };
        if start != headers.l4_offset || offset != csum_at {
            return Err(OffloadError::GsoCsumElsewhere);
        }
        let bearable = match self.gso {
            Gso::Ufo => Extensions::HopByHop,
            _ => Extensions::Destination,
        };
        if headers.extensions > bearable {
            return Err(OffloadError::GsoExtension);
        }
        let end = usize::from(headers.end);
        let unit = self.segment_unit();
        if unit == 0 {
            return Err(OffloadError::GsoSizeZero);
        }
        // UFO counts the UDP header as part of what is cut.
        let body = total - if self.gso == Gso::Ufo { end - 8 } else { end };
        let l3 = usize::from(headers.l3_offset);
        // The longest IP packet that results, with some room. Fragments are parts of one datagram that has to fit as a
        // whole; IPv6's have a header of eight bytes more.
        let longest = match (self.gso, headers.network) {
            (Gso::Ufo, Network::V4) => total - l3,
            (Gso::Ufo, _) => total - l3 + 8,
            _ => body.min(unit) + end - l3 + 8,
        };
        if longest > usize::from(u16::MAX) {
            return Err(OffloadError::SegmentTooLong);
        }
        if body.div_ceil(unit) > MAX_SEGMENTS {
            return Err(OffloadError::TooManySegments);
        }
        Ok(headers)
    }

    /// Bytes cut off at a time: `gso_size`, for UFO rounded down to the fragment unit of 8.
    pub(super) fn segment_unit(&self) -> usize {
        let size = usize::from(self.gso_size);
        if self.gso == Gso::Ufo {
            size & !7
        } else {
            size
        }
    }
}

/// The field must lie in the frame and behind the link header, or it could change the addresses or
/// the VLAN after the switch decided on them. A tag may be inserted later, so four more bytes must
/// be countable.
fn check_partial(bytes: &[u8], total: usize, start: u16, offset: u16) -> Result<(), OffloadError> {
    if usize::from(start) + usize::from(offset) + 2 > total || start > u16::MAX - TAG as u16 {
        return Err(OffloadError::CsumPastEnd);
    }
    if start < u16::from(EthView::parse(bytes)?.offset) {
        return Err(OffloadError::CsumInLinkHeader);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
