//! A descriptor of an admin queue: 32 bytes, little-endian.

/// `IAVF_AQ_FLAG_*`.
pub(super) mod flags {
    /// Done.
    pub const DD: u16 = 1;
    /// Completed.
    pub const CMP: u16 = 2;
    /// With an error, which is in `retval`.
    pub const ERR: u16 = 4;
    /// The buffer is longer than 512 bytes.
    pub const LB: u16 = 0x200;
    /// There is a buffer.
    pub const BUF: u16 = 0x1000;
    /// Those that the device sets.
    pub const OF_DEVICE: u16 = DD | CMP | ERR;
}

/// What a descriptor is for.
pub(super) mod opcode {
    /// The driver will not use the queue any more.
    pub const QUEUE_SHUTDOWN: u16 = 0x0003;
    /// A message to the physical function.
    pub const SEND_TO_PF: u16 = 0x0801;
    /// A message from it.
    pub const SEND_TO_VF: u16 = 0x0802;
}

/// Buffers longer than this are marked as large.
const LARGE: u16 = 512;

/// Why a descriptor is completed with an error: `retval`, an `IAVF_AQ_RC_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `EINVAL`: not a message.
    Invalid = 14,
    /// `BAD_ADDR`: its buffer is not in memory that the client mapped for this.
    Address = 20,
    /// `EFBIG`: its buffer is too small for the message.
    TooSmall = 22,
}

/// A descriptor, copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub flags: u16,
    pub opcode: u16,
    pub datalen: u16,
    /// The virtchnl opcode.
    pub cookie_high: u32,
    /// The rest, as it is: parameters and the buffer's address.
    rest: [u8; 20],
}

impl Descriptor {
    /// Bytes of a descriptor.
    pub const BYTES: usize = 32;

    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let mut rest = [0; 20];
        rest.copy_from_slice(&bytes[12..]);
        Self {
            flags: half(0),
            opcode: half(2),
            datalen: half(4),
            cookie_high: u32::from(half(10)) << 16 | u32::from(half(8)),
            rest,
        }
    }

    /// Of its buffer.
    pub fn address(&self) -> u64 {
        let word = |at: usize| {
            let [a, b, c, d] = [
                self.rest[at],
                self.rest[at + 1],
                self.rest[at + 2],
                self.rest[at + 3],
            ];
            u64::from(u32::from_le_bytes([a, b, c, d]))
        };
        word(12) << 32 | word(16)
    }

    fn returned(&self, fault: Option<Fault>) -> (u16, u16) {
        let outcome = match fault {
            None => flags::DD | flags::CMP,
            Some(_) => flags::DD | flags::CMP | flags::ERR,
        };
        let flags = self.flags & !flags::OF_DEVICE | outcome;
        (flags, fault.map_or(0, |fault| fault as u16))
    }

    /// The first bytes of it when the driver's command was carried out; the others stay.
    pub fn completed(&self, fault: Option<Fault>) -> [u8; 8] {
        let (flags, retval) = self.returned(fault);
        let mut bytes = [0; 8];
        let words = [flags, self.opcode, self.datalen, retval];
        for (to, word) in bytes.chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// All of it with a message of `len` bytes in its buffer.
    pub fn filled(&self, op: u32, status: i32, len: u16) -> [u8; Self::BYTES] {
        let mut flags = self.returned(None).0 & !(flags::BUF | flags::LB);
        if len > 0 {
            flags |= flags::BUF;
        }
        if len > LARGE {
            flags |= flags::LB;
        }
        let done = Self {
            flags,
            opcode: opcode::SEND_TO_VF,
            datalen: len,
            ..*self
        };
        done.event(op, status, 0)
    }

    /// All of it when no message could be put there.
    pub fn failed(&self, fault: Fault) -> [u8; Self::BYTES] {
        let (flags, retval) = self.returned(Some(fault));
        let done = Self {
            flags,
            opcode: opcode::SEND_TO_VF,
            datalen: 0,
            ..*self
        };
        done.event(0, 0, retval)
    }

    fn event(&self, op: u32, status: i32, retval: u16) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..2].copy_from_slice(&self.flags.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.opcode.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.datalen.to_le_bytes());
        bytes[6..8].copy_from_slice(&retval.to_le_bytes());
        bytes[8..12].copy_from_slice(&op.to_le_bytes());
        bytes[12..16].copy_from_slice(&status.to_le_bytes());
        // Its parameters are the device's to fill, and none is.
        bytes[24..].copy_from_slice(&self.rest[12..]);
        bytes
    }
}
