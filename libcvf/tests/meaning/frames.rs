//! Frames of any kind, built byte by byte, and what is read back from them. Nothing here uses the code under test.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SCTP: u8 = 132;
const FRAGMENT: u8 = 44;

/// What IP header there is.
#[derive(Clone, Debug)]
pub enum Net {
    /// Options in words.
    V4 { options: u8 },
    /// Extension headers: (number, length in units of eight bytes beyond the first).
    V6 { extensions: Vec<(u8, u8)> },
    /// None.
    Other,
}

/// What a frame is made of.
#[derive(Clone, Debug)]
pub struct Spec {
    /// (TPID, TCI), outermost first.
    pub tags: Vec<(u16, u16)>,
    pub net: Net,
    /// Offset in units of eight bytes, and whether more follow.
    pub fragment: Option<(u16, bool)>,
    pub protocol: u8,
    /// TCP: options in words, and flags.
    pub options: u8,
    pub flags: u8,
    pub sequence: u32,
    pub ident: u16,
    /// UDP: a checksum of zero, which says that there is none.
    pub unchecked: bool,
    /// Bytes behind all headers, and where they begin to differ.
    pub payload: usize,
    pub seed: u8,
}

/// A frame with every length and checksum right, and where its headers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Vec<u8>,
    /// 14, and four more for each tag.
    pub l3: usize,
    /// Behind IP and its extension headers; `l3` where there is no IP.
    pub l4: usize,
    /// Behind the headers of TCP, UDP and SCTP; else `l4`.
    pub end: usize,
    pub v6: bool,
    /// 0 where there is no IP.
    pub protocol: u8,
    /// Offset in bytes, and whether more follow.
    pub fragment: Option<(usize, bool)>,
}

/// RFC 1071, word by word: the sum, folded.
pub fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// CRC32c, bit by bit, as SCTP stores it.
pub fn crc32c(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).to_le_bytes()
}

pub fn put(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

pub fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl Spec {
    fn header(&self) -> usize {
        match self.protocol {
            _ if self.fragment.is_some() || matches!(self.net, Net::Other) => 0,
            TCP => 20 + 4 * usize::from(self.options),
            UDP => 8,
            SCTP => 12,
            // Type, code, checksum and a word.
            1 | 58 => 8,
            _ => 0,
        }
    }

    pub fn build(&self, to: u8, from: u8) -> Frame {
        let mut f = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from];
        for (tpid, tci) in &self.tags {
            f.extend(tpid.to_be_bytes());
            f.extend(tci.to_be_bytes());
        }
        f.extend(match self.net {
            Net::V4 { .. } => [8, 0],
            Net::V6 { .. } => [0x86, 0xdd],
            Net::Other => [0x88, 0xb5],
        });
        let l3 = f.len();
        let behind = self.header() + self.payload;
        match &self.net {
            Net::V4 { options } => {
                let header = 20 + 4 * usize::from(*options);
                f.extend([0x40 | (header / 4) as u8, 0x10]);
                f.extend(((header + behind) as u16).to_be_bytes());
                f.extend(self.ident.to_be_bytes());
                let (at, more) = self.fragment.unwrap_or((0, false));
                f.extend((at | if more { 0x2000 } else { 0 }).to_be_bytes());
                f.extend([64, self.protocol, 0, 0, 10, 1, 2, 3, 10, 200, 201, 202]);
                f.extend(vec![1; 4 * usize::from(*options)]);
                let sum = !sum(&f[l3..]);
                put(&mut f, l3 + 10, sum);
            }
            Net::V6 { extensions } => {
                let mut chain: Vec<(u8, u8)> = extensions.clone();
                if self.fragment.is_some() {
                    chain.push((FRAGMENT, 0));
                }
                let more: usize = chain.iter().map(|(_, n)| 8 + 8 * usize::from(*n)).sum();
                let next = |at: usize| chain.get(at).map_or(self.protocol, |(number, _)| *number);
                f.extend([0x60, 1, 2, 3]);
                f.extend(((more + behind) as u16).to_be_bytes());
                f.extend([next(0), 64]);
                f.extend((1..=32).map(|byte| byte * 7));
                for (at, (number, units)) in chain.iter().enumerate() {
                    f.extend([next(at + 1)]);
                    if *number == FRAGMENT {
                        let (at, more) = self.fragment.unwrap_or_default();
                        f.push(0);
                        f.extend((at << 3 | u16::from(more)).to_be_bytes());
                        f.extend([0, 0]);
                        f.extend(self.ident.to_be_bytes());
                        continue;
                    }
                    // One PadN option.
                    f.extend([*units, 1, 4 + 8 * units]);
                    f.extend(vec![0; 4 + 8 * usize::from(*units)]);
                }
            }
            Net::Other => {}
        }
        let l4 = f.len();
        match self.header() {
            0 => {}
            _ if self.protocol == TCP => {
                f.extend([0x30, 0x39, 0, 80]);
                f.extend(self.sequence.to_be_bytes());
                let doff = (5 + self.options) << 4;
                f.extend([9, 9, 9, 9, doff, self.flags, 0x20, 0, 0, 0, 0, 7]);
                f.extend(vec![1; 4 * usize::from(self.options)]);
            }
            _ if self.protocol == UDP => {
                f.extend([0x30, 0x39, 0, 80]);
                f.extend((behind as u16).to_be_bytes());
                f.extend([0, 0]);
            }
            _ if self.protocol == SCTP => f.extend([0x30, 0x39, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0]),
            _ => f.extend([8, 0, 0, 0, 1, 2, 3, 4]),
        }
        let end = if matches!(self.protocol, TCP | UDP | SCTP) {
            f.len()
        } else {
            l4
        };
        f.extend((0..self.payload).map(|at| (at * 7 + at / 251) as u8 ^ self.seed));
        let mut frame = Frame {
            bytes: f,
            l3,
            l4,
            end,
            v6: matches!(self.net, Net::V6 { .. }),
            protocol: if matches!(self.net, Net::Other) {
                0
            } else {
                self.protocol
            },
            fragment: self.fragment.map(|(at, more)| (usize::from(at) * 8, more)),
        };
        if self.header() > 0 && !(self.protocol == UDP && self.unchecked) {
            frame.finish();
        }
        frame
    }
}

impl Frame {
    /// Where the transport's checksum is, if it has one of the usual kind.
    pub fn field(&self) -> Option<usize> {
        if self.fragment.is_some() {
            return None;
        }
        match self.protocol {
            TCP => Some(self.l4 + 16),
            UDP => Some(self.l4 + 6),
            _ => None,
        }
    }

    /// The sum of the pseudo header; without a length, that of what large-send frames have.
    pub fn pseudo(&self, length: bool) -> u16 {
        let addresses = if self.v6 {
            self.l3 + 8..self.l3 + 40
        } else {
            self.l3 + 12..self.l3 + 20
        };
        let mut bytes = self.bytes[addresses].to_vec();
        if length {
            bytes.extend(((self.bytes.len() - self.l4) as u32).to_be_bytes());
        }
        bytes.extend([0, self.protocol]);
        sum(&bytes)
    }

    fn body(&self) -> &[u8] {
        &self.bytes[self.l4..]
    }

    /// The sum over pseudo header and all that it is about.
    fn whole(&self) -> u16 {
        let pseudo = if self.protocol == 1 {
            0
        } else {
            self.pseudo(true)
        };
        sum(&[&pseudo.to_be_bytes()[..], self.body()].concat())
    }

    /// States a length of all there is, and computes the checksum anew.
    pub fn refinish(&mut self) {
        if self.protocol == UDP {
            let (at, len) = (self.l4 + 4, self.body().len());
            put(&mut self.bytes, at, len as u16);
        }
        self.finish();
    }

    /// Computes the transport's checksum.
    fn finish(&mut self) {
        let at = match self.protocol {
            TCP | UDP => self.field().expect("no fragment"),
            SCTP => {
                let crc = crc32c(self.body());
                let at = self.l4 + 8;
                self.bytes[at..at + 4].copy_from_slice(&crc);
                return;
            }
            _ => self.l4 + 2,
        };
        put(&mut self.bytes, at, 0);
        let sum = match !self.whole() {
            0 => 0xffff,
            sum => sum,
        };
        put(&mut self.bytes, at, sum);
    }

    /// Reads a frame and holds all lengths and checksums that it states against it.
    pub fn read(bytes: &[u8]) -> Self {
        let mut l3 = 14;
        while matches!(get(bytes, l3 - 2), 0x8100 | 0x88a8 | 0x9100) {
            l3 += 4;
        }
        let (mut l4, mut protocol, mut fragment) = (l3, 0, None);
        let v6 = get(bytes, l3 - 2) == 0x86dd;
        if v6 {
            assert_eq!(
                usize::from(get(bytes, l3 + 4)),
                bytes.len() - l3 - 40,
                "IPv6 payload length"
            );
            (protocol, l4) = (bytes[l3 + 6], l3 + 40);
            while matches!(protocol, 0 | 43 | FRAGMENT | 60) {
                if protocol == FRAGMENT {
                    let word = get(bytes, l4 + 2);
                    fragment = Some((usize::from(word & !7), word & 1 != 0));
                    (protocol, l4) = (bytes[l4], l4 + 8);
                    break;
                }
                (protocol, l4) = (bytes[l4], l4 + 8 + 8 * usize::from(bytes[l4 + 1]));
            }
        } else if get(bytes, l3 - 2) == 0x0800 {
            assert_eq!(
                usize::from(get(bytes, l3 + 2)),
                bytes.len() - l3,
                "IPv4 total length"
            );
            l4 = l3 + 4 * usize::from(bytes[l3] & 15);
            assert_eq!(sum(&bytes[l3..l4]), 0xffff, "IPv4 header checksum");
            protocol = bytes[l3 + 9];
            let word = get(bytes, l3 + 6);
            if word & 0x3fff != 0 {
                fragment = Some((usize::from(word & 0x1fff) * 8, word & 0x2000 != 0));
            }
        }
        let end = match protocol {
            _ if fragment.is_some() => l4,
            TCP => l4 + 4 * usize::from(bytes[l4 + 12] >> 4),
            UDP => l4 + 8,
            SCTP => l4 + 12,
            _ => l4,
        };
        let frame = Self {
            bytes: bytes.to_vec(),
            l3,
            l4,
            end,
            v6,
            protocol,
            fragment,
        };
        frame.check();
        frame
    }

    fn check(&self) {
        if self.fragment.is_some() {
            return;
        }
        let icmp = if self.v6 { 58 } else { 1 };
        match self.protocol {
            UDP => {
                assert_eq!(
                    usize::from(get(&self.bytes, self.l4 + 4)),
                    self.body().len(),
                    "UDP length"
                );
                let none = get(&self.bytes, self.l4 + 6) == 0;
                assert!(none || self.whole() == 0xffff, "UDP checksum");
            }
            TCP => assert_eq!(self.whole(), 0xffff, "TCP checksum"),
            SCTP => {
                let mut body = self.body().to_vec();
                body[8..12].fill(0);
                assert_eq!(self.body()[8..12], crc32c(&body), "SCTP checksum");
            }
            0 => {}
            other if other == icmp => assert_eq!(self.whole(), 0xffff, "ICMP checksum"),
            _ => {}
        }
    }

    /// What its sender meant, whoever cut or finished it: headers without what depends on how it was cut.
    pub fn meaning(&self) -> Meaning {
        let mut link = self.bytes[..self.l3].to_vec();
        link[..12].fill(0);
        let mut ip = self.bytes[self.l3..self.l4].to_vec();
        if self.v6 {
            put(&mut ip, 4, 0);
        } else if self.protocol != 0 {
            // Length, and the checksum that depends on it.
            put(&mut ip, 2, 0);
            put(&mut ip, 10, 0);
        }
        let mut transport = self.bytes[self.l4..self.end].to_vec();
        if self.fragment.is_none() {
            match self.protocol {
                TCP => put(&mut transport, 16, 0),
                UDP => transport[4..8].fill(0),
                _ => {}
            }
        }
        Meaning {
            link,
            ip,
            transport,
            payload: self.bytes[self.end..].to_vec(),
        }
    }
}

/// A frame without what depends on how it was cut. Addresses of the link layer differ from way to way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub link: Vec<u8>,
    pub ip: Vec<u8>,
    pub transport: Vec<u8>,
    pub payload: Vec<u8>,
}

/// A customer's or a service tag.
fn tag() -> impl Strategy<Value = (u16, u16)> {
    let tpid = select(vec![0x8100, 0x8100, 0x8100, 0x88a8]);
    let vid = select(vec![0u16, 1, 2, 100, 4094]);
    (tpid, vid, 0u16..16).prop_map(|(tpid, vid, above)| (tpid, vid | above << 12))
}

fn net() -> impl Strategy<Value = Net> {
    let extensions = vec((Just(60), 0u8..3), 0..3);
    prop_oneof![
        4 => (0u8..=10).prop_map(|options| Net::V4 { options }),
        2 => Just(Net::V4 { options: 0 }),
        3 => extensions.prop_map(|extensions| Net::V6 { extensions }),
        2 => Just(Net::V6 { extensions: Vec::new() }),
        1 => Just(Net::Other),
    ]
}

/// A frame; how many bytes it carries depends on who takes it, see [`Spec::fit`].
pub fn spec() -> impl Strategy<Value = Spec> {
    let protocol = prop_oneof![
        6 => Just(TCP),
        4 => Just(UDP),
        1 => Just(SCTP),
        1 => Just(1),
        1 => Just(58),
        1 => Just(253),
    ];
    let fragment = prop::option::weighted(0.1, (0u16..100, any::<bool>()));
    (
        (vec(tag(), 0..3), net(), fragment, protocol),
        (0u8..=10, any::<u8>(), any::<u32>(), any::<u16>()),
        (prop::bool::weighted(0.1), any::<u8>()),
    )
        .prop_map(|(frame, tcp, (unchecked, seed))| {
            let (tags, net, fragment, protocol) = frame;
            let (options, flags, sequence, ident) = tcp;
            Spec {
                tags,
                net,
                // Neither the offset of a first fragment nor "more" would be none.
                fragment: fragment.map(|(at, more)| (at, more || at == 0)),
                protocol,
                options,
                flags,
                sequence,
                ident,
                unchecked,
                payload: 0,
                seed,
            }
        })
}

impl Spec {
    /// Bytes of all headers.
    pub fn headers(&self) -> usize {
        let mut bare = self.clone();
        bare.payload = 0;
        bare.build(0, 0).bytes.len()
    }

    /// Bytes of the headers behind the link layer's.
    pub fn overhead(&self) -> usize {
        self.headers() - 14 - 4 * self.tags.len()
    }

    /// True if it is one that drivers leave the checksum of to a device.
    pub fn can_be_partial(&self) -> bool {
        !matches!(self.net, Net::Other)
            && self.fragment.is_none()
            && matches!(self.protocol, TCP | UDP)
    }
}
