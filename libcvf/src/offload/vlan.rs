//! Inserting, removing and changing a VLAN tag in copied headers.

use super::error::OffloadError;
use super::meta::{Csum, FrameMeta};
use super::parse::{TAG, ethertype, window};

/// Where the tag stands: behind the two addresses.
const AT: usize = 12;

/// How a tag is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TagStyle {
    /// Its priority code point, 0 to 7. `None`: that of the priority tag which the frame has, else 0.
    pub priority: Option<u8>,
    /// A service tag (802.1ad) instead of a customer tag (802.1Q).
    pub service: bool,
}

impl TagStyle {
    const fn tpid(self) -> u16 {
        if self.service {
            ethertype::SERVICE_VLAN
        } else {
            ethertype::VLAN
        }
    }

    /// The tag's last two bytes, in the place of `had`.
    fn tci(self, vid: u16, had: u16) -> u16 {
        let above = match self.priority {
            Some(priority) => u16::from(priority & 7) << 13,
            None => had & 0xf000,
        };
        above | vid & 0xfff
    }
}

/// What happens to a frame's outer tag on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanEdit {
    /// Nothing.
    #[default]
    Keep,
    /// The outer tag is removed.
    Strip,
    /// A tag with this VLAN id is put in front.
    Insert(u16, TagStyle),
    /// The outer tag becomes one with this VLAN id: a priority-tagged frame enters a VLAN.
    Retag(u16, TagStyle),
}

/// A frame's new beginning: `bytes()` followed by the original frame from `skip` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; AT + TAG],
    len: u8,
    /// Bytes of the original frame that the prefix replaces.
    pub skip: usize,
}

impl Prefix {
    /// The new beginning, 12 or 16 bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl VlanEdit {
    /// By how much the frame, and every offset behind its tag, grows.
    #[inline]
    pub const fn growth(self) -> isize {
        match self {
            Self::Keep | Self::Retag(..) => 0,
            Self::Strip => -(TAG as isize),
            Self::Insert(..) => TAG as isize,
        }
    }

    /// The beginning of the edited frame, for callers that write piece by piece. `None`: unchanged.
    ///
    /// # Errors
    /// [`OffloadError::Headers`] when `bytes` end too early, [`OffloadError::NoTag`] when there is no
    /// tag to strip or change.
    #[inline]
    pub fn prefix(self, bytes: &[u8]) -> Result<Option<Prefix>, OffloadError> {
        let short = OffloadError::Headers(super::ParseError::Ethernet);
        let mut prefix = Prefix {
            bytes: [0; AT + TAG],
            len: (AT + TAG) as u8,
            skip: AT + TAG,
        };
        match self {
            Self::Keep => return Ok(None),
            Self::Insert(vid, style) => {
                let addresses = bytes.first_chunk::<AT>().ok_or(short)?;
                prefix.bytes[..AT].copy_from_slice(addresses);
                prefix.bytes[AT..AT + 2].copy_from_slice(&style.tpid().to_be_bytes());
                prefix.bytes[AT + 2..].copy_from_slice(&style.tci(vid, 0).to_be_bytes());
                prefix.skip = AT;
            }
            Self::Strip | Self::Retag(..) => {
                // A tag is followed by an EtherType.
                let head = window::<{ AT + TAG + 2 }>(bytes, 0).ok_or(short)?;
                if !ethertype::is_tag(u16::from_be_bytes([head[AT], head[AT + 1]])) {
                    return Err(OffloadError::NoTag);
                }
                prefix.bytes.copy_from_slice(&head[..AT + TAG]);
                if let Self::Retag(vid, style) = self {
                    let tci = style.tci(vid, u16::from_be_bytes([head[AT + 2], head[AT + 3]]));
                    prefix.bytes[AT..AT + 2].copy_from_slice(&style.tpid().to_be_bytes());
                    prefix.bytes[AT + 2..].copy_from_slice(&tci.to_be_bytes());
                } else {
                    prefix.len = AT as u8;
                }
            }
        }
        Ok(Some(prefix))
    }

    /// Edits headers in place: `buffer[..len]` is the frame's beginning; returns the new `len`.
    ///
    /// # Errors
    /// As [`VlanEdit::prefix`], and [`OffloadError::NoRoom`] when `buffer` has no room for
    /// a tag behind `len`.
    pub fn apply(self, buffer: &mut [u8], len: usize) -> Result<usize, OffloadError> {
        let head = buffer.get(..len).ok_or(OffloadError::NoRoom)?;
        let Some(prefix) = self.prefix(head)? else {
            return Ok(len);
        };
        let start = prefix.bytes().len();
        let new_len = len - prefix.skip + start;
        if new_len > buffer.len() {
            return Err(OffloadError::NoRoom);
        }
        if start != prefix.skip {
            buffer.copy_within(prefix.skip..len, start);
        }
        buffer[..start].copy_from_slice(prefix.bytes());
        Ok(new_len)
    }

    /// The metadata of the edited frame. `meta` has passed [`FrameMeta::check`], which keeps room
    /// for a tag.
    #[inline]
    #[must_use]
    pub fn shift(self, mut meta: FrameMeta) -> FrameMeta {
        let by = self.growth() as i16;
        if let Csum::Partial { start, .. } = &mut meta.csum {
            *start = start.saturating_add_signed(by);
        }
        if meta.hdr_len != 0 {
            meta.hdr_len = meta.hdr_len.saturating_add_signed(by);
        }
        meta
    }
}

#[cfg(test)]
mod tests;
