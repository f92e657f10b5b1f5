//! Frames built byte by byte, a slow checksum, and a slow reader of IP packets, for the tests of
//! this module. Nothing here uses the code under test.

/// What a frame is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    /// (TPID, TCI), outermost first.
    pub tags: Vec<(u16, u16)>,
    pub v6: bool,
    pub udp: bool,
    /// IPv4 options or TCP options, in words.
    pub ip_options: u8,
    pub tcp_options: u8,
    /// IPv6 extension headers: (number, length in units of eight bytes beyond the first).
    pub extensions: Vec<(u8, u8)>,
    pub flags: u8,
    pub sequence: u32,
    pub ident: u16,
    pub payload: Vec<u8>,
}

/// A frame and where its headers are.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub bytes: Vec<u8>,
    pub l3: usize,
    pub l4: usize,
    pub end: usize,
}

pub(crate) const SRC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
pub(crate) const DST: [u8; 6] = [0x52, 0x54, 0, 9, 8, 7];

impl Spec {
    /// The frame with every length and checksum right, except that the transport checksum is left
    /// for the receiver when `partial`: the field holds the pseudo header's sum.
    pub(crate) fn build(&self, partial: bool) -> Built {
        let mut f = [DST, SRC].concat();
        for (tpid, tci) in &self.tags {
            f.extend(tpid.to_be_bytes());
            f.extend(tci.to_be_bytes());
        }
        f.extend(if self.v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        let l3 = f.len();
        let protocol = if self.udp { 17 } else { 6 };
        let l4_len = if self.udp {
            8
        } else {
            20 + 4 * usize::from(self.tcp_options)
        };
        if self.v6 {
            let extensions: usize = self
                .extensions
                .iter()
                .map(|(_, n)| 8 + 8 * *n as usize)
                .sum();
            let length = (extensions + l4_len + self.payload.len()) as u16;
            let first = self
                .extensions
                .first()
                .map_or(protocol, |(number, _)| *number);
            f.extend([0x60, 1, 2, 3]);
            f.extend(length.to_be_bytes());
            f.extend([first, 64]);
            f.extend((1..=32).map(|byte| byte * 7));
            for (at, (_, units)) in self.extensions.iter().enumerate() {
                let next = self
                    .extensions
                    .get(at + 1)
                    .map_or(protocol, |(number, _)| *number);
                f.extend([next, *units]);
                // One PadN option.
                f.extend([1, 4 + 8 * units]);
                f.extend(vec![0; 4 + 8 * usize::from(*units)]);
            }
        } else {
            let header = 20 + 4 * usize::from(self.ip_options);
            let length = (header + l4_len + self.payload.len()) as u16;
            f.extend([0x40 | (header / 4) as u8, 0x10]);
            f.extend(length.to_be_bytes());
            f.extend(self.ident.to_be_bytes());
            f.extend([0x40, 0, 64, protocol, 0, 0, 10, 1, 2, 3, 10, 200, 201, 202]);
            f.extend(vec![1; 4 * usize::from(self.ip_options)]);
            let sum = naive(&f[l3..]);
            f[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
        }
        let l4 = f.len();
        f.extend([0x30, 0x39, 0x00, 0x50]);
        if self.udp {
            f.extend(((8 + self.payload.len()) as u16).to_be_bytes());
            f.extend([0, 0]);
        } else {
            f.extend(self.sequence.to_be_bytes());
            f.extend([
                9,
                9,
                9,
                9,
                (l4_len as u8 / 4) << 4,
                self.flags,
                0x20,
                0,
                0,
                0,
                0,
                7,
            ]);
            f.extend(vec![1; 4 * usize::from(self.tcp_options)]);
        }
        let end = f.len();
        f.extend(&self.payload);
        let mut covered = pseudo(&f, l3, self.v6, protocol, f.len() - l4);
        let field = l4 + if self.udp { 6 } else { 16 };
        let sum = if partial {
            !naive(&covered)
        } else {
            covered.extend(&f[l4..]);
            match naive(&covered) {
                0 => 0xffff,
                sum => sum,
            }
        };
        f[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        Built {
            bytes: f,
            l3,
            l4,
            end,
        }
    }
}

/// RFC 1071, word by word.
pub(crate) fn naive(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn pseudo(frame: &[u8], l3: usize, v6: bool, protocol: u8, length: usize) -> Vec<u8> {
    let addresses = if v6 {
        l3 + 8..l3 + 40
    } else {
        l3 + 12..l3 + 20
    };
    let mut bytes = frame[addresses].to_vec();
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// What is read back from one frame. Reading checks all lengths and the IPv4 header's checksum.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub ident: u32,
    /// Of a fragment: offset in bytes, and whether more follow.
    pub fragment: Option<(usize, bool)>,
    pub dont_fragment: bool,
    pub protocol: u8,
    /// Behind the IP headers.
    pub body: Vec<u8>,
    /// The body's checksum is right (false for a fragment of something larger).
    pub verified: bool,
}

pub(crate) fn read(frame: &[u8], l3: usize) -> Packet {
    let be16 = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let v6 = frame[l3] >> 4 == 6;
    assert_eq!(be16(l3 - 2), if v6 { 0x86dd } else { 0x0800 });
    let (mut ident, mut fragment, mut dont_fragment) = (0, None, false);
    let (mut protocol, mut at);
    if v6 {
        assert_eq!(
            usize::from(be16(l3 + 4)),
            frame.len() - l3 - 40,
            "IPv6 payload length"
        );
        (protocol, at) = (frame[l3 + 6], l3 + 40);
        while [0, 43, 44, 60].contains(&protocol) {
            if protocol == 44 {
                let word = be16(at + 2);
                fragment = Some((usize::from(word & !7), word & 1 != 0));
                ident = u32::from(be16(at + 4)) << 16 | u32::from(be16(at + 6));
                (protocol, at) = (frame[at], at + 8);
            } else {
                (protocol, at) = (frame[at], at + 8 + 8 * usize::from(frame[at + 1]));
            }
        }
    } else {
        assert_eq!(
            usize::from(be16(l3 + 2)),
            frame.len() - l3,
            "IPv4 total length"
        );
        at = l3 + 4 * usize::from(frame[l3] & 0xf);
        assert_eq!(naive(&frame[l3..at]), 0, "IPv4 header checksum");
        protocol = frame[l3 + 9];
        ident = be16(l3 + 4).into();
        let word = be16(l3 + 6);
        dont_fragment = word & 0x4000 != 0;
        if word & 0x3fff != 0 {
            fragment = Some((usize::from(word & 0x1fff) * 8, word & 0x2000 != 0));
        }
    }
    let body = frame[at..].to_vec();
    let verified = verify(frame, l3, protocol, &body);
    Packet {
        ident,
        fragment,
        dont_fragment,
        protocol,
        body,
        verified,
    }
}

/// True when `body`'s transport checksum is right for the addresses of `frame`.
pub(crate) fn verify(frame: &[u8], l3: usize, protocol: u8, body: &[u8]) -> bool {
    let mut covered = pseudo(frame, l3, frame[l3] >> 4 == 6, protocol, body.len());
    covered.extend(body);
    naive(&covered) == 0
}

/// The key of Microsoft's verification suite for RSS.
pub(crate) const RSS_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];
