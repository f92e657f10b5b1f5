//! What a driver finds in the first two words of receive descriptors that are given back, in the format that it asked for.

use super::layout::{flex, rx};
use crate::offload::FrameHash;

/// Format of receive descriptors that are given back (`VIRTCHNL_RXDID_*`). Posted ones are the same in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiveFormat {
    /// `VIRTCHNL_RXDID_1_32B_BASE`: what every driver knows.
    #[default]
    Legacy = 1,
    /// `VIRTCHNL_RXDID_2_FLEX_SQ_NIC`.
    Flex = 2,
}

impl ReceiveFormat {
    /// All that are built, by number.
    pub const ALL: [Self; 2] = [Self::Legacy, Self::Flex];

    /// The format of this number, if it is built.
    pub fn of(rxdid: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|format| *format as u8 == rxdid)
    }

    /// A descriptor whose buffer is full and not the last of its frame.
    #[inline]
    pub(super) const fn full(self, len: u32) -> [u64; 2] {
        match self {
            Self::Legacy => [0, rx::DD | rx::LENGTH.put(len as u64)],
            Self::Flex => [
                flex::RXDID.put(self as u64) | flex::PKT_LEN.put(len as u64),
                flex::DD,
            ],
        }
    }

    /// A descriptor whose buffer has the last `len` bytes of a frame.
    #[inline]
    pub(super) fn last(self, len: u32, told: Told) -> [u64; 2] {
        match self {
            Self::Legacy => told.legacy(len.into()),
            Self::Flex => told.flex(len.into()),
        }
    }
}

/// What is told of a frame beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The packet type.
    pub ptype: u8,
    /// The transport's checksum is right, and that of IPv4's header was looked at.
    pub checked: bool,
    /// That of IPv4's header is wrong.
    pub bad_ip: bool,
    pub hash: FrameHash,
    /// The tag that was taken out.
    pub tag: Option<u16>,
}

/// `bit` where something is so.
const fn flag(is: bool, bit: u64) -> u64 {
    if is { bit } else { 0 }
}

impl Told {
    /// Whether there is a hash, that, and the tag: zeroes for what there is not.
    #[inline]
    fn numbers(self) -> (bool, u32, u16) {
        let hashed = self.hash.report != 0;
        let hash = if hashed { self.hash.value } else { 0 };
        (hashed, hash, self.tag.unwrap_or_default())
    }

    #[inline]
    fn legacy(self, len: u64) -> [u64; 2] {
        let (hashed, hash, tag) = self.numbers();
        let said = flag(self.checked, rx::L3L4P)
            | flag(self.bad_ip, rx::IPE)
            | flag(hashed, rx::FLTSTAT.put(rx::FLTSTAT_RSS_HASH))
            | flag(self.tag.is_some(), rx::L2TAG1P);
        [
            rx::RSS_HASH.put(hash.into()) | rx::L2TAG1.put(tag.into()),
            rx::DD | rx::EOF | said | rx::PTYPE.put(self.ptype.into()) | rx::LENGTH.put(len),
        ]
    }

    #[inline]
    fn flex(self, len: u64) -> [u64; 2] {
        let (hashed, hash, tag) = self.numbers();
        let said = flag(self.checked, flex::L3L4P)
            | flag(self.bad_ip, flex::XSUM_IPE)
            | flag(hashed, flex::RSS_VALID)
            | flag(self.tag.is_some(), flex::L2TAG1P);
        [
            flex::RXDID.put(ReceiveFormat::Flex as u64)
                | flex::PTYPE.put(self.ptype.into())
                | flex::PKT_LEN.put(len),
            flex::DD
                | flex::EOF
                | said
                | flex::L2TAG1.put(tag.into())
                | flex::RSS_HASH.put(hash.into()),
        ]
    }
}
