//! The header in front of every frame (virtio 1.3 5.1.6).

/// Bytes of the header without a hash report.
pub const HEADER_LEN: usize = 12;
/// Bytes of the header with a hash report.
pub const HASH_HEADER_LEN: usize = 20;

/// Where [`NetHeader::num_buffers`] stands.
pub(super) const NUM_BUFFERS: usize = 10;

/// Bytes of the header with these features, in both directions.
pub const fn header_len(features: u64) -> usize {
    if features & super::feature::HASH_REPORT != 0 {
        HASH_HEADER_LEN
    } else {
        HEADER_LEN
    }
}

/// Bits of [`NetHeader::flags`].
#[allow(missing_docs)]
pub mod header_flag {
    pub const NEEDS_CSUM: u8 = 1;
    pub const DATA_VALID: u8 = 2;
    pub const RSC_INFO: u8 = 4;
}

/// Values of [`NetHeader::gso_type`].
#[allow(missing_docs)]
pub mod gso {
    pub const NONE: u8 = 0;
    pub const TCPV4: u8 = 1;
    pub const UDP: u8 = 3;
    pub const TCPV6: u8 = 4;
    pub const UDP_L4: u8 = 5;
    pub const ECN: u8 = 0x80;
}

/// `virtio_net_hdr` with `num_buffers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetHeader {
    /// See [`header_flag`].
    pub flags: u8,
    /// See [`gso`].
    pub gso_type: u8,
    /// Bytes of all protocol headers.
    pub hdr_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksum begins to count.
    pub csum_start: u16,
    /// Where it goes, from `csum_start`.
    pub csum_offset: u16,
    /// Buffers that hold the frame; set by the device.
    pub num_buffers: u16,
    /// The frame's hash; set by the device where a hash report was agreed on.
    pub hash_value: u32,
    /// What was hashed: 0 for nothing.
    pub hash_report: u16,
}

impl NetHeader {
    /// The bytes in front of the frame, without a hash report.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = self.flags;
        out[1] = self.gso_type;
        for (at, word) in [
            (2, self.hdr_len),
            (4, self.gso_size),
            (6, self.csum_start),
            (8, self.csum_offset),
            (NUM_BUFFERS, self.num_buffers),
        ] {
            out[at..at + 2].copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Reads the bytes in front of a frame.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        NetHeader {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
            num_buffers: word(NUM_BUFFERS),
            hash_value: 0,
            hash_report: 0,
        }
    }
    /// The bytes in front of a frame, with room for the hash report that a sender leaves zero.
    pub fn encode_long(&self) -> [u8; HASH_HEADER_LEN] {
        let mut out = [0; HASH_HEADER_LEN];
        out[..HEADER_LEN].copy_from_slice(&self.encode());
        out
    }

    /// Reads the bytes in front of a frame with their hash report; zeroes for none.
    pub fn decode_long(bytes: &[u8; HASH_HEADER_LEN]) -> Self {
        let [head @ .., a, b, c, d, low, high, _, _] = *bytes;
        NetHeader {
            hash_value: u32::from_le_bytes([a, b, c, d]),
            hash_report: u16::from_le_bytes([low, high]),
            ..NetHeader::decode(&head)
        }
    }
}
