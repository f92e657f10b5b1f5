//! Descriptors of AVF's rings as words: two of transmit, of receive two that are read and four that are written back.

/// Bits of the command of a data descriptor.
#[allow(missing_docs)]
pub mod cmd {
    pub const EOP: u64 = 0x1;
    pub const RS: u64 = 0x2;
    pub const ICRC: u64 = 0x4;
    pub const IL2TAG1: u64 = 0x8;
    pub const IIPT_V6: u64 = 0x20;
    pub const IIPT_V4: u64 = 0x40;
    pub const IIPT_V4_CSUM: u64 = 0x60;
    pub const L4T_TCP: u64 = 0x100;
    pub const L4T_SCTP: u64 = 0x200;
    pub const L4T_UDP: u64 = 0x300;
}

/// Bits of the command of a context descriptor.
#[allow(missing_docs)]
pub mod context {
    pub const TSO: u64 = 0x1;
    pub const IL2TAG2: u64 = 0x4;
}

/// Formats of written receive descriptors, and their bits in what GET_SUPPORTED_RXDIDS answers.
pub mod rxdid {
    /// The one of [`Written`](super::Written).
    pub const LEGACY: u8 = 1;
    /// The one of [`flex`](super::super::flex) (`FLEX_SQ_NIC`).
    pub const FLEX: u8 = 2;
}

/// Type of a data descriptor.
pub const DTYPE_DATA: u64 = 0;
/// Type of a context descriptor.
pub const DTYPE_CONTEXT: u64 = 1;
/// Type that the device writes when it is done.
pub const DTYPE_DONE: u64 = 0xf;
/// Bits of the type.
pub const DTYPE_MASK: u64 = 0xf;

/// RS in the second word of a data descriptor.
pub const RS: u64 = cmd::RS << CMD_SHIFT;
/// EOP in the second word of a data descriptor.
pub const EOP: u64 = cmd::EOP << CMD_SHIFT;

/// Bytes of one data descriptor at most.
pub const MAX_PIECE: usize = 16_383;
/// Bytes that Linux's driver gives to one at most, so that all but the last are aligned.
pub const LINUX_PIECE: usize = 12 << 10;
/// Descriptors with data of a frame, or of a segment of a large one, at most.
pub const MAX_PIECES: usize = 8;
/// Bytes of a frame at least.
pub const MIN_FRAME: usize = 17;
/// Buffers of a received frame at most.
pub const MAX_CHAIN: usize = 5;

const CMD_SHIFT: u32 = 4;
const MACLEN_SHIFT: u32 = 16;
const IPLEN_SHIFT: u32 = 23;
const L4LEN_SHIFT: u32 = 30;
const SIZE_SHIFT: u32 = 34;
const TAG_SHIFT: u32 = 48;

/// Lengths of headers, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Ethernet and tags; even.
    pub mac: u16,
    /// IP; a multiple of 4.
    pub ip: u16,
    /// TCP, UDP or SCTP; a multiple of 4.
    pub l4: u16,
}

impl Lengths {
    const fn bits(self) -> u64 {
        ((self.mac as u64 / 2) & 0x7f) << MACLEN_SHIFT
            | ((self.ip as u64 / 4) & 0x7f) << IPLEN_SHIFT
            | ((self.l4 as u64 / 4) & 0xf) << L4LEN_SHIFT
    }
}

/// The second word of a data descriptor, without its size.
#[inline]
pub const fn data_word(cmd: u64, lengths: Lengths, tag: u16) -> u64 {
    DTYPE_DATA | cmd << CMD_SHIFT | lengths.bits() | (tag as u64) << TAG_SHIFT
}

/// The size of the buffer in the second word of a data descriptor.
#[inline]
pub const fn size_bits(size: usize) -> u64 {
    (size as u64 & 0x3fff) << SIZE_SHIFT
}

/// A context descriptor. `payload` are the bytes behind the headers of a large frame.
pub const fn context_words(cmd: u64, tag2: u16, payload: u32, mss: u16) -> [u64; 2] {
    let payload = payload as u64 & 0x3_ffff;
    [
        (tag2 as u64) << 32,
        DTYPE_CONTEXT | cmd << CMD_SHIFT | payload << 30 | (mss as u64 & 0x3fff) << 50,
    ]
}

/// The second word of a receive descriptor that the device has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written(pub u64);

impl Written {
    /// The device is done with it.
    #[inline]
    pub fn is_done(self) -> bool {
        self.0 & 1 != 0
    }

    /// It is the frame's last.
    #[inline]
    pub fn is_last(self) -> bool {
        self.0 & 2 != 0
    }

    /// A tag was taken out of the frame, into the first word.
    pub fn has_tag(self) -> bool {
        self.0 & 4 != 0
    }

    /// Checksums were looked at.
    pub fn is_checked(self) -> bool {
        self.0 & 8 != 0
    }

    /// There is a hash in the first word.
    pub fn has_hash(self) -> bool {
        self.0 >> 12 & 3 == 3
    }

    /// IPv6 extension headers, behind which nothing was checked.
    pub fn has_extensions(self) -> bool {
        self.0 & 1 << 15 != 0
    }

    /// What was wrong, see [`error`].
    #[inline]
    pub fn errors(self) -> u8 {
        (self.0 >> 19) as u8
    }

    /// What kind of frame it is, see [`ptype`].
    pub fn ptype(self) -> u8 {
        (self.0 >> 30) as u8
    }

    /// Bytes in its buffer.
    #[inline]
    pub fn len(self) -> usize {
        (self.0 >> 38) as usize & 0x3fff
    }

    /// Whether nothing is in its buffer.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Bits of [`Written::errors`].
#[allow(missing_docs)]
pub mod error {
    pub const RXE: u8 = 1 << 0;
    pub const IPE: u8 = 1 << 3;
    pub const L4E: u8 = 1 << 4;
    pub const EIPE: u8 = 1 << 5;
}

/// Values of [`Written::ptype`].
#[allow(missing_docs)]
pub mod ptype {
    pub const L2: u8 = 1;
    pub const V4_FRAGMENT: u8 = 22;
    pub const V4_OTHER: u8 = 23;
    pub const V4_UDP: u8 = 24;
    pub const V4_TCP: u8 = 26;
    pub const V4_SCTP: u8 = 27;
    pub const V4_ICMP: u8 = 28;
    pub const V6_FRAGMENT: u8 = 88;
    pub const V6_OTHER: u8 = 89;
    pub const V6_UDP: u8 = 90;
    pub const V6_TCP: u8 = 92;
    pub const V6_SCTP: u8 = 93;
    pub const V6_ICMP: u8 = 94;

    /// Whether a checksum or hash of this kind means anything to Linux's driver.
    pub fn has_l4(ptype: u8) -> bool {
        matches!(ptype, V4_UDP | V4_TCP | V4_SCTP | V6_UDP | V6_TCP | V6_SCTP)
    }
}
