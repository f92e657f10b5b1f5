//! The header in front of every frame (virtio 1.3 5.1.6).

/// Bytes of the header without a hash report.
pub const HEADER_LEN: usize = 12;

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
}

impl NetHeader {
    /// The bytes in front of the frame.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = self.flags;
        out[1] = self.gso_type;
        for (at, word) in [
            (2, self.hdr_len),
            (4, self.gso_size),
            (6, self.csum_start),
            (8, self.csum_offset),
            (10, self.num_buffers),
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
            num_buffers: word(10),
        }
    }
}
