//! What a transmit descriptor says about a frame besides where it is, from what a virtio header says.

use super::desc::{Lengths, cmd, context, context_words, data_word};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::net::{NetHeader, gso, header_flag};

/// Bytes of a frame that [`Offload::of`] may have changed, from its beginning.
pub const PATCHED: usize = 256;

const TYPE_AT: usize = 12;
const TYPE_VLAN: [u8; 2] = [0x81, 0x00];
const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// What is asked of the device with one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Bits of [`cmd`] about headers.
    pub headers: u64,
    /// How long those are.
    pub lengths: Lengths,
    /// Bytes of payload in each segment of a large frame.
    pub mss: Option<u16>,
    /// A tag to put into the frame, of the data descriptors.
    pub vlan: Option<u16>,
    /// The same, of the context descriptor.
    pub vlan2: Option<u16>,
}

/// Two bytes of a frame that must be others when they lie in the ring.
pub type Patch = (usize, [u8; 2]);

/// All of a frame.
pub type Patches = [Option<Patch>; 3];

impl Offload {
    /// A frame as it is, with a tag put into it.
    pub fn tagged(vlan: u16) -> Self {
        Offload {
            vlan: Some(vlan),
            ..Offload::default()
        }
    }

    /// What a virtio header says of a frame. Of a large one the lengths that its headers state, and the part of the
    /// checksum that counts them, are the device's to fill in.
    ///
    /// # Errors
    /// Fails for what no descriptor of AVF can say.
    pub fn of(header: &NetHeader, frame: &[u8]) -> Result<(Self, Patches)> {
        if header.flags & header_flag::NEEDS_CSUM == 0 && header.gso_type == gso::NONE {
            return Ok((Offload::default(), Patches::default()));
        }
        let cannot = || Error::Unsupported(format!("{header:?} by AVF"));
        let ip = match frame.get(TYPE_AT..TYPE_AT + 2) {
            Some(kind) if kind == TYPE_VLAN => TYPE_AT + 6,
            _ => TYPE_AT + 2,
        };
        let kind: [u8; 2] = frame
            .get(ip - 2..ip)
            .and_then(|kind| kind.try_into().ok())
            .ok_or_else(cannot)?;
        let l4 = usize::from(header.csum_start);
        let large = header.gso_type & !gso::ECN;
        let (l4t, l4_len) = match (header.csum_offset, large) {
            (16, gso::NONE | gso::TCPV4 | gso::TCPV6) => {
                let offset = frame.get(l4 + 12).ok_or_else(cannot)?;
                (cmd::L4T_TCP, u16::from(offset >> 4) * 4)
            }
            (6, gso::NONE | gso::UDP_L4) => (cmd::L4T_UDP, 8),
            (8, gso::NONE) => (cmd::L4T_SCTP, 12),
            _ => return Err(cannot()),
        };
        let ip_len = l4.checked_sub(ip).filter(|len| len % 4 == 0);
        let ip_len = ip_len.filter(|len| *len <= 127 * 4).ok_or_else(cannot)?;
        let v4 = match (kind, large) {
            (TYPE_IPV4, gso::NONE | gso::TCPV4 | gso::UDP_L4) => true,
            (TYPE_IPV6, gso::NONE | gso::TCPV6 | gso::UDP_L4) => false,
            _ => return Err(cannot()),
        };
        let iipt = match (v4, large) {
            (true, gso::NONE) => cmd::IIPT_V4,
            (true, _) => cmd::IIPT_V4_CSUM,
            (false, _) => cmd::IIPT_V6,
        };
        let mut offload = Offload {
            headers: iipt | l4t,
            lengths: Lengths {
                mac: ip as u16,
                ip: ip_len as u16,
                l4: l4_len,
            },
            ..Offload::default()
        };
        let mut patches = Patches::default();
        if large != gso::NONE {
            let sum_at = l4 + usize::from(header.csum_offset);
            let sum = frame.get(sum_at..sum_at + 2).ok_or_else(cannot)?;
            let sum = u16::from_be_bytes([sum[0], sum[1]]);
            let sum = without_length(sum, frame.len() - l4);
            patches = if v4 {
                [Some((ip + 2, [0; 2])), Some((ip + 10, [0; 2])), None]
            } else {
                [Some((ip + 4, [0; 2])), None, None]
            };
            patches[2] = Some((sum_at, sum.to_be_bytes()));
            if sum_at + 2 > PATCHED {
                return Err(cannot());
            }
            offload.mss = Some(header.gso_size);
        }
        Ok((offload, patches))
    }

    /// Bytes of the headers of each segment of a large frame.
    pub fn headers_len(&self) -> usize {
        let Lengths { mac, ip, l4 } = self.lengths;
        usize::from(mac) + usize::from(ip) + usize::from(l4)
    }

    /// The context descriptor in front of a frame of `len` bytes, if it needs one.
    #[inline]
    pub fn context(&self, len: usize) -> Option<[u64; 2]> {
        if self.mss.is_none() && self.vlan2.is_none() {
            return None;
        }
        let tag = self.vlan2.map_or(0, |_| context::IL2TAG2);
        let tso = self.mss.map_or(0, |_| context::TSO);
        let payload = match self.mss {
            Some(_) => len.saturating_sub(self.headers_len()) as u32,
            None => 0,
        };
        let (tag2, mss) = (self.vlan2.unwrap_or(0), self.mss.unwrap_or(0));
        Some(context_words(tag | tso, tag2, payload, mss))
    }

    /// The second word of each data descriptor, without size and flags.
    #[inline]
    pub fn word(&self) -> u64 {
        let tag = self.vlan.map_or(0, |_| cmd::IL2TAG1);
        data_word(self.headers | tag, self.lengths, self.vlan.unwrap_or(0))
    }
}

/// A pseudo header's sum without the length that was counted in it.
fn without_length(sum: u16, len: usize) -> u16 {
    let fold = |mut sum: usize| {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    };
    fold(usize::from(sum) + (0xffff - fold(len))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakevm::frame::{self, PAYLOAD};

    fn large() -> NetHeader {
        NetHeader {
            flags: header_flag::NEEDS_CSUM,
            gso_type: gso::TCPV4,
            hdr_len: 54,
            gso_size: 1448,
            csum_start: 34,
            csum_offset: 16,
            ..NetHeader::default()
        }
    }

    #[test]
    fn a_plain_header_asks_for_nothing() {
        let (offload, patches) = Offload::of(&NetHeader::default(), &[0; 60]).unwrap();
        assert_eq!((offload, patches), Default::default());
        assert_eq!((offload.word(), offload.context(60)), (0, None));
    }

    #[test]
    fn a_checksum_is_said_by_lengths() {
        let header = NetHeader {
            gso_type: gso::NONE,
            ..large()
        };
        let plain = frame::tcp4([1; 6], [2; 6], b"x");
        let (offload, patches) = Offload::of(&header, &plain).unwrap();
        assert_eq!(patches, Patches::default());
        assert_eq!(offload.headers, cmd::IIPT_V4 | cmd::L4T_TCP);
        let Lengths { mac, ip, l4 } = offload.lengths;
        assert_eq!((mac, ip, l4), (14, 20, 20));
        let header = NetHeader {
            csum_start: 38,
            ..header
        };
        let (offload, _) = Offload::of(&header, &frame::tagged(&plain, 5)).unwrap();
        assert_eq!(offload.lengths.mac, 18);
    }

    #[test]
    fn a_large_frame_loses_its_lengths() {
        let frame = frame::tcp4([1; 6], [2; 6], &[7; 5000]);
        let (offload, patches) = Offload::of(&large(), &frame).unwrap();
        assert_eq!(offload.mss, Some(1448));
        assert_eq!(offload.headers_len(), 54);
        let at: Vec<usize> = patches.iter().flatten().map(|(at, _)| *at).collect();
        assert_eq!(at, [PAYLOAD + 2, PAYLOAD + 10, PAYLOAD + 20 + 16]);
        // The sum of a segment without any length is that of a frame of length 0.
        let old = u16::from_be_bytes([frame[50], frame[51]]);
        let (_, new) = patches[2].unwrap();
        let back = u32::from(u16::from_be_bytes(new)) + 5020;
        assert_eq!(u32::from(old), (back & 0xffff) + (back >> 16));
    }

    #[test]
    fn a_large_datagram_keeps_the_length_of_udp() {
        let header = NetHeader {
            gso_type: gso::UDP_L4,
            hdr_len: 42,
            gso_size: 1000,
            csum_offset: 6,
            ..large()
        };
        let four = frame::udp4([1; 6], [2; 6], &[7; 5000]);
        let (offload, patches) = Offload::of(&header, &four).unwrap();
        assert_eq!(offload.headers, cmd::IIPT_V4_CSUM | cmd::L4T_UDP);
        assert_eq!((offload.mss, offload.headers_len()), (Some(1000), 42));
        let at: Vec<usize> = patches.iter().flatten().map(|(at, _)| *at).collect();
        assert_eq!(at, [PAYLOAD + 2, PAYLOAD + 10, PAYLOAD + 20 + 6]);
        let six = NetHeader {
            hdr_len: 62,
            csum_start: 54,
            ..header
        };
        let frame = frame::udp6([1; 6], [2; 6], &[7; 5000]);
        let (offload, patches) = Offload::of(&six, &frame).unwrap();
        assert_eq!(offload.headers, cmd::IIPT_V6 | cmd::L4T_UDP);
        assert_eq!(offload.headers_len(), 62);
        let at: Vec<usize> = patches.iter().flatten().map(|(at, _)| *at).collect();
        assert_eq!(at, [PAYLOAD + 4, PAYLOAD + 40 + 6]);
        let of_tcp = NetHeader {
            csum_offset: 16,
            ..header
        };
        assert!(Offload::of(&of_tcp, &four).is_err());
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let frame = frame::tcp4([1; 6], [2; 6], &[7; 500]);
        for header in [
            NetHeader {
                gso_type: gso::UDP,
                ..large()
            },
            NetHeader {
                gso_type: gso::TCPV6,
                ..large()
            },
            NetHeader {
                csum_offset: 2,
                ..large()
            },
            NetHeader {
                csum_start: 33,
                ..large()
            },
            NetHeader {
                csum_start: 4,
                ..large()
            },
            NetHeader {
                csum_start: 9000,
                ..large()
            },
        ] {
            assert!(Offload::of(&header, &frame).is_err(), "{header:?}");
        }
        assert!(Offload::of(&large(), &frame[..13]).is_err());
    }
}
