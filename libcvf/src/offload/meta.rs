//! What travels beside a frame: checksum and segmentation state, in no driver's format.

use super::flow::FrameHash;

/// State of the frame's innermost L4 checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Csum {
    /// Nothing is known: the frame carries whatever its sender put there.
    #[default]
    None,
    /// The receiver shall fill it in: the ones' complement sum from `start` to the frame's end is
    /// stored at `start + offset` (virtio 1.3 5.1.6.2, `VIRTIO_NET_HDR_F_NEEDS_CSUM`). Bytes from
    /// the frame's start.
    Partial {
        /// First byte covered.
        start: u16,
        /// Where the sum goes, from `start`.
        offset: u16,
    },
    /// Verified by the sender's side (`VIRTIO_NET_HDR_F_DATA_VALID`).
    Valid,
}

/// Kind of a large-send frame (virtio 1.3 5.1.6, `gso_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gso {
    /// An ordinary frame.
    #[default]
    None,
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP fragmentation (UFO): IP fragments of one datagram.
    Ufo,
    /// UDP segmentation (USO): several datagrams of `gso_size` payload.
    Udp,
}

/// What travels beside a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMeta {
    /// State of the L4 checksum.
    pub csum: Csum,
    /// Kind of large-send frame.
    pub gso: Gso,
    /// The TCP segment carries CWR (`VIRTIO_NET_HDR_GSO_ECN`).
    pub ecn: bool,
    /// Payload bytes of one segment; meaningful with `gso`.
    pub gso_size: u16,
    /// Length of all headers as the sender states it: a hint, never trusted.
    pub hdr_len: u16,
    /// Its hash, once its receiver is known and wants one.
    pub hash: FrameHash,
}

/// What a receiver takes as it is: one bit each, from the offloads its driver negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepts(pub u16);

impl Accepts {
    /// Partial checksums (`GUEST_CSUM`).
    pub const CSUM: Self = Self(1);
    /// Large TCP over IPv4 (`GUEST_TSO4`).
    pub const TSO4: Self = Self(2);
    /// Large TCP over IPv6 (`GUEST_TSO6`).
    pub const TSO6: Self = Self(4);
    /// Large TCP with ECN (`GUEST_ECN`).
    pub const ECN: Self = Self(8);
    /// UDP fragmentation (`GUEST_UFO`).
    pub const UFO: Self = Self(16);
    /// Large UDP over IPv4 (`GUEST_USO4`).
    pub const USO4: Self = Self(32);
    /// Large UDP over IPv6 (`GUEST_USO6`).
    pub const USO6: Self = Self(64);
    /// Nothing unfinished, but it is told where a checksum is known to be right: an adaptive virtual function's driver
    /// (`L3L4P`).
    pub const VALID: Self = Self(128);

    /// True when every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True for a receiver that may be told that a checksum is right. Drivers of virtio may be with `GUEST_CSUM` and not
    /// without (virtio 1.3 5.1.6.4.1).
    #[inline]
    pub const fn hears_valid(self) -> bool {
        self.0 & (Self::CSUM.0 | Self::VALID.0) != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
