//! `struct virtio_net_hdr` (virtio 1.3 5.1.6): 12 bytes in front of every frame.

use crate::offload::{Csum, FrameMeta, Gso};

/// Bytes of the header with `VIRTIO_F_VERSION_1` and without hash report.
pub(crate) const LEN: usize = 12;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What a sender says. An unknown `gso_type` is not a frame that can be delivered: `None`.
#[inline]
pub(crate) fn parse(bytes: &[u8; LEN]) -> Option<FrameMeta> {
    if bytes[0] & (NEEDS_CSUM | DATA_VALID) == 0 && bytes[1] == 0 {
        // The others say nothing then.
        return Some(FrameMeta::default());
    }
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
    })
}

/// What a receiver is told.
#[inline]
pub(crate) fn build(meta: &FrameMeta, buffers: u16) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    match meta.csum {
        Csum::None => {}
        Csum::Valid => bytes[0] = DATA_VALID,
        Csum::Partial { start, offset } => {
            bytes[0] = NEEDS_CSUM;
            bytes[6..8].copy_from_slice(&start.to_le_bytes());
            bytes[8..10].copy_from_slice(&offset.to_le_bytes());
        }
    }
    bytes[1] = match meta.gso {
        Gso::None => 0,
        Gso::TcpV4 => GSO_TCPV4,
        Gso::TcpV6 => GSO_TCPV6,
        Gso::Ufo => GSO_UDP,
        Gso::Udp => GSO_UDP_L4,
    };
    if meta.gso != Gso::None {
        if meta.ecn {
            bytes[1] |= GSO_ECN;
        }
        bytes[2..4].copy_from_slice(&meta.hdr_len.to_le_bytes());
        bytes[4..6].copy_from_slice(&meta.gso_size.to_le_bytes());
    }
    bytes[10..12].copy_from_slice(&buffers.to_le_bytes());
    bytes
}
