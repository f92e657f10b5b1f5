//! Descriptors of AVF rings, field by field. Names are those of Intel's data sheets.

/// Bits of a descriptor's word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    at: u32,
    bits: u32,
}

impl Field {
    const fn new(first: u32, last: u32) -> Self {
        assert!(first <= last && last < u64::BITS);
        Self {
            at: first,
            bits: last - first + 1,
        }
    }

    /// All of its bits.
    pub(super) const fn mask(self) -> u64 {
        (u64::MAX >> (u64::BITS - self.bits)) << self.at
    }

    /// Its value in a word.
    #[inline]
    pub(super) const fn get(self, word: u64) -> u64 {
        (word & self.mask()) >> self.at
    }

    /// A word with nothing but this value in it; what is too large is cut off.
    #[inline]
    pub(super) const fn put(self, value: u64) -> u64 {
        (value << self.at) & self.mask()
    }
}

/// Transmit descriptors, two words of which the second says what it is.
pub(super) mod tx {
    use super::Field;

    /// Words of a descriptor.
    pub const WORDS: usize = 2;

    /// What a descriptor is.
    pub const DTYPE: Field = Field::new(0, 3);
    /// A buffer.
    pub const DATA: u64 = 0;
    /// What is asked for the frame whose buffers follow.
    pub const CONTEXT: u64 = 1;
    /// Given back.
    pub const DESC_DONE: u64 = 0xf;

    // Data: the first word is the buffer's address.
    pub const CMD: Field = Field::new(4, 13);
    /// In units of two bytes.
    pub const MACLEN: Field = Field::new(16, 22);
    /// In units of four bytes.
    pub const IPLEN: Field = Field::new(23, 29);
    /// In units of four bytes.
    pub const L4LEN: Field = Field::new(30, 33);
    pub const BUF_SIZE: Field = Field::new(34, 47);
    pub const L2TAG1: Field = Field::new(48, 63);

    /// What a data descriptor may ask for.
    pub mod cmd {
        pub const EOP: u64 = 1;
        pub const RS: u64 = 2;
        /// The wire's check sequence, which no frame here has.
        pub const ICRC: u64 = 4;
        pub const IL2TAG1: u64 = 8;
        /// A frame that is not to be sent.
        pub const DUMMY: u64 = 0x10;
        /// Two bits: what IP header there is, and whether its checksum is to be computed.
        pub const IIPT: u64 = 0x60;
        pub const IIPT_IPV6: u64 = 0x20;
        pub const IIPT_IPV4: u64 = 0x40;
        pub const IIPT_IPV4_CSUM: u64 = 0x60;
        pub const FCOET: u64 = 0x80;
        /// Two bits: whose checksum is to be computed.
        pub const L4T: u64 = 0x300;
        pub const L4T_TCP: u64 = 0x100;
        pub const L4T_SCTP: u64 = 0x200;
        pub const L4T_UDP: u64 = 0x300;
    }

    /// Context, first word: must be zero, for no tunnel is offered.
    pub const TUNNELING: Field = Field::new(0, 31);
    /// Context, first word.
    pub const L2TAG2: Field = Field::new(32, 47);
    pub const CONTEXT_CMD: Field = Field::new(4, 19);
    /// Bytes behind the headers.
    pub const TSO_LEN: Field = Field::new(30, 47);
    pub const MSS: Field = Field::new(50, 63);

    /// What a context descriptor may ask for.
    pub mod context {
        pub const TSO: u64 = 1;
        pub const IL2TAG2: u64 = 4;
    }
}

/// Receive descriptors of four words. As posted, the first is the buffer's address; given back in the legacy
/// format they are as here.
pub(super) mod rx {
    use super::Field;

    /// Words of a descriptor, whatever its format.
    pub const WORDS: usize = 4;

    // First word.
    pub const L2TAG1: Field = Field::new(16, 31);
    pub const RSS_HASH: Field = Field::new(32, 63);

    // Second word.
    pub const DD: u64 = 1;
    pub const EOF: u64 = 2;
    pub const L2TAG1P: u64 = 4;
    /// IP header and transport were looked at.
    pub const L3L4P: u64 = 8;
    pub const FLTSTAT: Field = Field::new(12, 13);
    /// The hash is one.
    pub const FLTSTAT_RSS_HASH: u64 = 3;
    /// The checksum of IPv4's header is wrong.
    pub const IPE: u64 = 1 << 22;
    pub const PTYPE: Field = Field::new(30, 37);
    pub const LENGTH: Field = Field::new(38, 51);
}

/// The same given back in the flexible format of NICs (`FLEX_SQ_NIC`).
pub(super) mod flex {
    use super::Field;

    // First word.
    /// Which format it is.
    pub const RXDID: Field = Field::new(0, 7);
    pub const PTYPE: Field = Field::new(16, 25);
    pub const PKT_LEN: Field = Field::new(32, 45);

    // Second word.
    pub const DD: u64 = 1;
    pub const EOF: u64 = 2;
    /// IP header and transport were looked at.
    pub const L3L4P: u64 = 8;
    /// The checksum of IPv4's header is wrong.
    pub const XSUM_IPE: u64 = 1 << 4;
    /// The hash is one.
    pub const RSS_VALID: u64 = 1 << 12;
    pub const L2TAG1P: u64 = 1 << 13;
    pub const L2TAG1: Field = Field::new(16, 31);
    pub const RSS_HASH: Field = Field::new(32, 63);
}
