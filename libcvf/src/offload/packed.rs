//! Metadata in one word, for the arrays that a burst is kept in.

use super::FrameHash;
use super::meta::{Csum, FrameMeta, Gso};
use crate::limits::MAX_SEGMENT_HEADERS;

/// A [`FrameMeta`] in one word. Copying it is one load and one store, where copying fields that were
/// written one by one makes the processor wait for the stores.
///
/// The length of the headers is kept up to 511: what a sender states is never used, and what was
/// checked is at most [`MAX_SEGMENT_HEADERS`]. The hash has no room: a burst keeps it beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedMeta(u64);

const CSUM: u32 = 0;
const GSO: u32 = 2;
const ECN: u32 = 5;
const START: u32 = 6;
const OFFSET: u32 = 22;
const GSO_SIZE: u32 = 38;
const HDR_LEN: u32 = 54;
const MAX_HDR_LEN: u16 = 511;
const _: () = assert!(MAX_SEGMENT_HEADERS <= MAX_HDR_LEN as usize);

impl PackedMeta {
    /// An ordinary frame of which nothing is known: the usual one.
    pub const PLAIN: Self = Self(0);

    /// True for an ordinary frame of which nothing is known.
    #[inline]
    pub const fn is_plain(self) -> bool {
        self.0 == 0
    }

    /// True for a large-send frame.
    #[inline]
    pub const fn is_large(self) -> bool {
        self.0 >> GSO & 7 != 0
    }
}

impl From<FrameMeta> for PackedMeta {
    #[inline]
    fn from(meta: FrameMeta) -> Self {
        let csum = match meta.csum {
            Csum::None => 0,
            Csum::Valid => 1,
            Csum::Partial { start, offset } => {
                2 | u64::from(start) << START | u64::from(offset) << OFFSET
            }
        };
        let gso = match meta.gso {
            Gso::None => 0,
            Gso::TcpV4 => 1,
            Gso::TcpV6 => 2,
            Gso::Ufo => 3,
            Gso::Udp => 4u64,
        };
        Self(
            csum << CSUM
                | gso << GSO
                | u64::from(meta.ecn) << ECN
                | u64::from(meta.gso_size) << GSO_SIZE
                | u64::from(meta.hdr_len.min(MAX_HDR_LEN)) << HDR_LEN,
        )
    }
}

impl From<PackedMeta> for FrameMeta {
    #[inline]
    fn from(PackedMeta(word): PackedMeta) -> Self {
        if word == 0 {
            return Self::default();
        }
        Self {
            csum: match word >> CSUM & 3 {
                0 => Csum::None,
                1 => Csum::Valid,
                _ => Csum::Partial {
                    start: (word >> START) as u16,
                    offset: (word >> OFFSET) as u16,
                },
            },
            gso: match word >> GSO & 7 {
                0 => Gso::None,
                1 => Gso::TcpV4,
                2 => Gso::TcpV6,
                3 => Gso::Ufo,
                _ => Gso::Udp,
            },
            ecn: word >> ECN & 1 != 0,
            gso_size: (word >> GSO_SIZE) as u16,
            hdr_len: (word >> HDR_LEN) as u16 & MAX_HDR_LEN,
            hash: FrameHash::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_is_lost(
            kind in 0..3u8, start: u16, offset: u16, gso in 0..5u8, ecn: bool, gso_size: u16,
            hdr_len in 0..=MAX_HDR_LEN,
        ) {
            let csum = [Csum::None, Csum::Valid, Csum::Partial { start, offset }][usize::from(kind)];
            let gso = [Gso::None, Gso::TcpV4, Gso::TcpV6, Gso::Ufo, Gso::Udp][usize::from(gso)];
            let hash = FrameHash::default();
            let meta = FrameMeta { csum, gso, ecn, gso_size, hdr_len, hash };
            let packed = PackedMeta::from(meta);
            prop_assert_eq!(FrameMeta::from(packed), meta);
            prop_assert_eq!(packed.is_plain(), meta == FrameMeta::default());
            prop_assert_eq!(packed.is_large(), gso != Gso::None);
        }
    }
}
