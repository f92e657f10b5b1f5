//! What a driver asks for one frame, held against its copied headers and done to them.

use std::ops::Range;

use super::error::AskError;
use super::layout::Field;
use super::layout::tx::{self, cmd, context};
use crate::limits::{HEADER_COPY, MAX_AVF_CRC_FRAME, MAX_FRAME, MAX_SEGMENT_HEADERS, MIN_AVF_MSS};
use crate::offload::{
    Checksum, Crc32c, Csum, FrameMeta, Gso, Headers, Network, OffloadError, PackedMeta, TagStyle,
    Transport, VlanEdit, ethertype,
};
use crate::ring::payload::Payload;

/// Commands that say something about a frame.
const SAID: u64 = cmd::IL2TAG1 | cmd::DUMMY | cmd::IIPT | cmd::FCOET | cmd::L4T;
const _: () = assert!(SAID | cmd::EOP | cmd::RS | cmd::ICRC == tx::CMD.mask() >> 4);

/// Bits of a data descriptor that are zero in a frame's only one about which nothing is said, and those
/// that are not.
const PLAIN_MASK: u64 = tx::DTYPE.mask() | tx::CMD.put(SAID | cmd::EOP);
const PLAIN: u64 = tx::DTYPE.put(tx::DATA) | tx::CMD.put(cmd::EOP);

/// Where a frame's first type is.
const TYPE: usize = 12;
/// Bytes of a tag.
const TAG: usize = 4;
/// Headers of protocols.
const LONGEST_TCP_HEADER: usize = 60;
const UDP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const SCTP: u8 = 132;

/// True for the second word of a data descriptor that is the only one of its frame, about which nothing is
/// said.
#[inline]
pub(super) const fn is_plain(word: u64) -> bool {
    word & PLAIN_MASK == PLAIN
}

/// What is asked for one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// The second word of its first data descriptor.
    data: u64,
    /// The words of its context descriptor; zero without one.
    context: [u64; 2],
}

/// What a driver was offered beyond what every one has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offered {
    /// UDP is cut into datagrams (`VIRTCHNL_VF_OFFLOAD_USO`).
    pub uso: bool,
}

impl Ask {
    /// What its first data descriptor says and the context descriptor, if there is one; `None`: nothing.
    pub(super) fn of(data: u64, context: Option<[u64; 2]>) -> Option<Self> {
        let context = context.unwrap_or_default();
        let ask = Self { data, context };
        let iipt = ask.cmd() & cmd::IIPT;
        // That a frame is IP is nothing to be done.
        let said = ask.cmd() & SAID != iipt || iipt == cmd::IIPT_IPV4_CSUM;
        let more = tx::CONTEXT_CMD.get(context[1]) != 0 || tx::TUNNELING.get(context[0]) != 0;
        (said || more).then_some(ask)
    }

    /// True for a large-send frame, as its context descriptor's second word says.
    pub(super) const fn is_large(context: u64) -> bool {
        tx::CONTEXT_CMD.get(context) & context::TSO != 0
    }

    const fn cmd(&self) -> u64 {
        tx::CMD.get(self.data)
    }

    const fn large(&self) -> bool {
        Self::is_large(self.context[1])
    }

    /// A length that the data descriptor states.
    const fn stated(&self, field: Field, unit: usize) -> usize {
        field.get(self.data) as usize * unit
    }

    /// Bytes of the frame's beginning that have to be copied: all headers, however long that of TCP turns out to be. Room
    /// for a tag is left.
    pub(super) fn head_len(&self) -> usize {
        let most = MAX_SEGMENT_HEADERS - TAG;
        if self.large() {
            return most;
        }
        let stated = self.stated(tx::MACLEN, 2) + self.stated(tx::IPLEN, 4);
        (stated + LONGEST_TCP_HEADER).clamp(HEADER_COPY, most)
    }

    /// The tag that is to be put in.
    fn tag(&self) -> Result<Option<u16>, AskError> {
        let inner = self.cmd() & cmd::IL2TAG1 != 0;
        let outer = tx::CONTEXT_CMD.get(self.context[1]) & context::IL2TAG2 != 0;
        match (inner, outer) {
            (false, false) => Ok(None),
            (true, false) => Ok(Some(tx::L2TAG1.get(self.data) as u16)),
            (false, true) => Ok(Some(tx::L2TAG2.get(self.context[0]) as u16)),
            (true, true) => Err(AskError::NotOffered),
        }
    }

    /// Does what is asked to the frame that begins with `head[..len]` and goes on with `rest`. Returns how many bytes of
    /// `head` are its beginning now, and what is left to be done by others.
    pub(super) fn apply(
        &self,
        head: &mut [u8; MAX_SEGMENT_HEADERS],
        len: usize,
        rest: Payload<'_>,
        offered: Offered,
    ) -> Result<(usize, PackedMeta), AskError> {
        let known = context::TSO | context::IL2TAG2;
        if self.cmd() & (cmd::DUMMY | cmd::FCOET) != 0
            || tx::CONTEXT_CMD.get(self.context[1]) & !known != 0
            || tx::TUNNELING.get(self.context[0]) != 0
        {
            return Err(AskError::NotOffered);
        }
        let tag = self.tag()?;
        let mut meta = FrameMeta::default();
        let copied = head.get_mut(..len).ok_or(AskError::Mismatch)?;
        if self.large() || self.cmd() & cmd::L4T != 0 {
            meta = self.headers(copied, rest, offered)?;
        } else if self.cmd() & cmd::IIPT == cmd::IIPT_IPV4_CSUM {
            self.ip_alone(copied)?;
        }
        let Some(tag) = tag else {
            return Ok((len, meta.into()));
        };
        if len + rest.len() + TAG > MAX_FRAME {
            return Err(AskError::Long);
        }
        let edit = VlanEdit::Insert(tag, TagStyle::default());
        let len = edit
            .apply(&mut head[..], len)
            .map_err(|error| match error {
                OffloadError::Headers(error) => AskError::Headers(error),
                _ => AskError::NoRoom,
            })?;
        // As the driver says it, the drop-eligible bit included.
        head[14..16].copy_from_slice(&tag.to_be_bytes());
        Ok((len, edit.shift(meta).into()))
    }

    /// Does what is asked for IP and what it carries.
    fn headers(
        &self,
        head: &mut [u8],
        rest: Payload<'_>,
        offered: Offered,
    ) -> Result<FrameMeta, AskError> {
        let total = head.len() + rest.len();
        let headers = Headers::parse(head, total)?;
        let (l3, l4) = (
            usize::from(headers.l3_offset),
            usize::from(headers.l4_offset),
        );
        let iipt = self.cmd() & cmd::IIPT;
        let named = match headers.network {
            Network::V4 => iipt & cmd::IIPT_IPV4 != 0,
            Network::V6 => iipt == cmd::IIPT_IPV6,
            Network::Other => false,
        };
        if !named || self.stated(tx::MACLEN, 2) != l3 || self.stated(tx::IPLEN, 4) != l4 - l3 {
            return Err(AskError::Mismatch);
        }
        let meta = if self.large() {
            self.segmentation(head, total, &headers, offered)?
        } else {
            self.checksum(head, rest, &headers)?
        };
        // Of a large-send frame it is that of the whole: whoever cuts it computes others.
        if headers.network == Network::V4 && (self.large() || iipt == cmd::IIPT_IPV4_CSUM) {
            ip_checksum(head, l3..l4);
        }
        Ok(meta)
    }

    /// The checksum of IPv4's header and nothing else, whatever is behind it.
    fn ip_alone(&self, head: &mut [u8]) -> Result<(), AskError> {
        let (l3, len) = (self.stated(tx::MACLEN, 2), self.stated(tx::IPLEN, 4));
        let kind = |at: usize| {
            let kind = head.get(at..at + 2)?;
            Some(u16::from_be_bytes([kind[0], kind[1]]))
        };
        let mut tags = (TYPE..l3.saturating_sub(2)).step_by(TAG);
        let link = matches!(l3, 14 | 18 | 22)
            && tags.all(|at| kind(at).is_some_and(ethertype::is_tag))
            && kind(l3 - 2) == Some(ethertype::IPV4);
        let is_header = (20..=60).contains(&len)
            && head.get(l3).map(|first| usize::from(*first)) == Some(0x40 | (len / 4));
        if !link || !is_header || head.len() < l3 + len {
            return Err(AskError::Mismatch);
        }
        ip_checksum(head, l3..l3 + len);
        Ok(())
    }

    /// The transport's checksum. Drivers state the length of a TCP header without its options.
    fn checksum(
        &self,
        head: &mut [u8],
        rest: Payload<'_>,
        headers: &Headers,
    ) -> Result<FrameMeta, AskError> {
        let l4t = self.cmd() & cmd::L4T;
        if l4t == 0 {
            return Ok(FrameMeta::default());
        }
        if headers.fragment {
            return Err(AskError::Fragment);
        }
        let stated = self.stated(tx::L4LEN, 4);
        let there = usize::from(headers.end - headers.l4_offset);
        let offset = match (l4t, headers.transport) {
            (cmd::L4T_TCP, Transport::Tcp) if (20..=there).contains(&stated) => 16,
            (cmd::L4T_UDP, Transport::Udp) if stated == UDP_HEADER => 6,
            (cmd::L4T_SCTP, Transport::Other)
                if headers.protocol == SCTP && stated == SCTP_HEADER =>
            {
                crc(head, rest, headers)?;
                return Ok(FrameMeta::default());
            }
            _ => return Err(AskError::Mismatch),
        };
        Ok(FrameMeta {
            csum: Csum::Partial {
                start: headers.l4_offset,
                offset,
            },
            ..FrameMeta::default()
        })
    }

    /// A large-send frame: its driver leaves lengths and checksums to whoever cuts it, and those who take it whole
    /// want them as if it were an ordinary one.
    fn segmentation(
        &self,
        head: &mut [u8],
        total: usize,
        headers: &Headers,
        offered: Offered,
    ) -> Result<FrameMeta, AskError> {
        if headers.fragment {
            return Err(AskError::Fragment);
        }
        let (l3, l4) = (
            usize::from(headers.l3_offset),
            usize::from(headers.l4_offset),
        );
        let end = usize::from(headers.end);
        let gso = match (self.cmd() & cmd::L4T, headers.transport, headers.network) {
            (cmd::L4T_TCP, Transport::Tcp, Network::V4) => Gso::TcpV4,
            (cmd::L4T_TCP, Transport::Tcp, Network::V6) => Gso::TcpV6,
            (cmd::L4T_UDP, Transport::Udp, _) if !offered.uso => return Err(AskError::NotOffered),
            (cmd::L4T_UDP, Transport::Udp, _) => Gso::Udp,
            _ => return Err(AskError::Mismatch),
        };
        if self.stated(tx::L4LEN, 4) != end - l4
            || tx::TSO_LEN.get(self.context[1]) != (total - end) as u64
        {
            return Err(AskError::Mismatch);
        }
        let mss = tx::MSS.get(self.context[1]) as u16;
        if mss < MIN_AVF_MSS {
            return Err(AskError::Mss(mss));
        }
        let long = |_| AskError::Long;
        let packet = u16::try_from(total - l3).map_err(long)?;
        let length = u16::try_from(total - l4).map_err(long)?;
        let (addresses, protocol) = match headers.network {
            Network::V6 => {
                put(head, l3 + 4, packet - 40);
                (l3 + 8..l3 + 40, headers.protocol)
            }
            _ => {
                put(head, l3 + 2, packet);
                (l3 + 12..l3 + 20, headers.protocol)
            }
        };
        let (offset, ecn) = if gso == Gso::Udp {
            put(head, l4 + 4, length);
            (6, false)
        } else {
            // RFC 3168 6.1.2: only the first segment says that the window was reduced.
            (16, head[l4 + 13] & 0x80 != 0)
        };
        // Both pseudo headers are the same words in another order.
        let mut pseudo = Checksum::new();
        pseudo.add(&head[addresses]);
        pseudo.add_u16(protocol.into());
        pseudo.add_u16(length);
        put(head, l4 + usize::from(offset), pseudo.fold());
        Ok(FrameMeta {
            csum: Csum::Partial {
                start: headers.l4_offset,
                offset,
            },
            gso,
            ecn,
            gso_size: mss,
            hdr_len: headers.end,
            ..FrameMeta::default()
        })
    }
}

/// Computes the checksum of an IPv4 header.
fn ip_checksum(head: &mut [u8], header: Range<usize>) {
    put(head, header.start + 10, 0);
    let mut sum = Checksum::new();
    sum.add(&head[header.clone()]);
    put(head, header.start + 10, sum.finish());
}

/// Computes the checksum of an SCTP packet: the CRC of what IP says is its length, of which the link layer may have
/// more.
fn crc(head: &mut [u8], rest: Payload<'_>, headers: &Headers) -> Result<(), AskError> {
    let (l3, l4) = (
        usize::from(headers.l3_offset),
        usize::from(headers.l4_offset),
    );
    let total = head.len() + rest.len();
    let stated = match headers.network {
        Network::V6 => l3 + 40 + usize::from(get(head, l3 + 4)),
        _ => l3 + usize::from(get(head, l3 + 2)),
    };
    if stated < l4 + SCTP_HEADER || stated > total || head.len() < l4 + SCTP_HEADER {
        return Err(AskError::Mismatch);
    }
    if total > MAX_AVF_CRC_FRAME {
        return Err(AskError::Long);
    }
    head[l4 + 8..l4 + SCTP_HEADER].fill(0);
    let mut crc = Crc32c::new();
    crc.add(&head[l4..head.len().min(stated)]);
    let covered = rest.range(0..stated.saturating_sub(head.len()));
    covered.each_chunk(|bytes| crc.add(bytes));
    head[l4 + 8..l4 + SCTP_HEADER].copy_from_slice(&crc.finish());
    Ok(())
}

/// Stores a number in network order. Callers pass offsets inside headers that were parsed.
fn put(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
}

/// The same the other way round.
fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
