//! `struct virtio_net_hdr` (virtio 1.3 5.1.6): 12 bytes in front of every frame, 20 with the hash
//! report.

use crate::offload::{Csum, FrameHash, FrameMeta, Gso, PackedMeta};

/// Bytes of the header with `VIRTIO_F_VERSION_1` and without hash report.
pub(crate) const LEN: usize = 12;
/// Bytes of the header with `VIRTIO_NET_F_HASH_REPORT`, in both directions.
pub(crate) const HASH_LEN: usize = 20;

/// Flags that are looked at and the kind of large-send frame.
const PLAIN_MASK: u64 = (NEEDS_CSUM | DATA_VALID) as u64 | 0xff00;
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What a sender says. An unknown `gso_type` is not a frame that can be delivered: `None`.
pub(crate) fn parse(bytes: &[u8; LEN]) -> Option<FrameMeta> {
    let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let csum = if bytes[0] & NEEDS_CSUM != 0 {
        Csum::Partial {
            start: word(6),
            offset: word(8),
        }
    } else if bytes[0] & DATA_VALID != 0 {
        Csum::Valid
    } else {
        Csum::None
    };
    let gso = match bytes[1] & !GSO_ECN {
        0 => Gso::None,
        GSO_TCPV4 => Gso::TcpV4,
        GSO_TCPV6 => Gso::TcpV6,
        GSO_UDP => Gso::Ufo,
        GSO_UDP_L4 => Gso::Udp,
        _ => return None,
    };
    Some(FrameMeta {
        csum,
        gso,
        ecn: bytes[1] & GSO_ECN != 0,
        gso_size: word(4),
        hdr_len: word(2),
        hash: FrameHash::default(),
    })
}

/// True when the first word of a header says nothing about its frame; the other fields do not either
/// then.
#[inline]
pub(crate) const fn is_plain(low: u64) -> bool {
    u64::from_le(low) & PLAIN_MASK == 0
}

/// What a sender says, from its words as they stand in memory; see [`parse`].
#[inline]
pub(crate) fn parse_words(low: u64, high: u32) -> Option<PackedMeta> {
    if is_plain(low) {
        return Some(PackedMeta::PLAIN);
    }
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&low.to_ne_bytes());
    bytes[8..].copy_from_slice(&high.to_ne_bytes());
    parse(&bytes).map(PackedMeta::from)
}

/// What a receiver is told, as two words in memory order.
#[inline]
fn words(meta: &FrameMeta, buffers: u16) -> (u64, u32) {
    let mut low = 0;
    let mut high = u32::from(buffers) << 16;
    match meta.csum {
        Csum::None => {}
        Csum::Valid => low |= u64::from(DATA_VALID),
        Csum::Partial { start, offset } => {
            low |= u64::from(NEEDS_CSUM) | u64::from(start) << 48;
            high |= u32::from(offset);
        }
    }
    let gso = match meta.gso {
        Gso::None => return (low.to_le(), high.to_le()),
        Gso::TcpV4 => GSO_TCPV4,
        Gso::TcpV6 => GSO_TCPV6,
        Gso::Ufo => GSO_UDP,
        Gso::Udp => GSO_UDP_L4,
    };
    low |= u64::from(gso) << 8 | u64::from(meta.hdr_len) << 16 | u64::from(meta.gso_size) << 32;
    if meta.ecn {
        low |= u64::from(GSO_ECN) << 8;
    }
    (low.to_le(), high.to_le())
}

/// What a receiver is told, as bytes.
pub(crate) fn build(meta: &FrameMeta, buffers: u16) -> [u8; LEN] {
    let (low, high) = words(meta, buffers);
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&low.to_ne_bytes());
    bytes[8..].copy_from_slice(&high.to_ne_bytes());
    bytes
}

/// What a receiver that negotiated the hash report is told behind that.
#[inline]
pub(crate) fn hash_bytes(hash: FrameHash) -> [u8; HASH_LEN - LEN] {
    (u64::from(hash.value) | u64::from(hash.report) << 32).to_le_bytes()
}

/// As [`build`], for a receiver that negotiated the hash report.
pub(crate) fn build_hash(meta: &FrameMeta, buffers: u16) -> [u8; HASH_LEN] {
    let mut bytes = [0; HASH_LEN];
    bytes[..LEN].copy_from_slice(&build(meta, buffers));
    bytes[LEN..].copy_from_slice(&hash_bytes(meta.hash));
    bytes
}
