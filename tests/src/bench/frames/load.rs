//! The frame that a run sends again and again, and how it is told whether it came through.

use crate::fakevm::frame::{self, PAYLOAD};
use crate::fakevm::net::{NetHeader, gso, header_flag};

/// The check sequence that a wire adds to each frame.
const CHECK_SEQUENCE: usize = 4;
/// Bytes of both addresses, at a frame's beginning.
const ADDRESSES: usize = 12;
/// Bytes of the number in each frame.
const STAMP: usize = 8;
/// Headers of Ethernet, IPv4 and TCP.
const TCP_HEADERS: usize = PAYLOAD + 20 + 20;

/// The header of IPv6.
const IPV6: usize = 40;
/// Headers of Ethernet, IPv6 and UDP.
const UDP6_HEADERS: usize = PAYLOAD + IPV6 + 8;

/// One frame, apart from its number.
#[derive(Clone, Debug)]
pub struct Load {
    /// What stands in front of it.
    pub header: NetHeader,
    /// Its bytes.
    pub frame: Vec<u8>,
    /// Where its number is.
    pub stamp_at: usize,
}

impl Load {
    /// A frame that takes `wire_len` bytes on a wire.
    pub fn plain(to: [u8; 6], from: [u8; 6], wire_len: usize) -> Self {
        Load {
            header: NetHeader::default(),
            frame: frame::numbered(to, from, 0, wire_len - CHECK_SEQUENCE),
            stamp_at: PAYLOAD,
        }
    }

    /// A frame of UDP in IPv6 that takes `wire_len` bytes on a wire.
    pub fn v6(to: [u8; 6], from: [u8; 6], wire_len: usize) -> Self {
        let mut frame = frame::numbered(to, from, 0, wire_len - CHECK_SEQUENCE);
        let udp = (frame.len() - PAYLOAD - IPV6) as u16;
        let mut headers = vec![0x86, 0xdd, 0x60, 0, 0, 0];
        headers.extend(udp.to_be_bytes());
        // UDP, and addresses that are as good as any.
        headers.extend([17, 64]);
        headers.extend([0x20; 32]);
        headers.extend([0, 9, 0, 9]);
        headers.extend(udp.to_be_bytes());
        headers.extend([0xbe, 0xef]);
        frame[ADDRESSES..UDP6_HEADERS].copy_from_slice(&headers);
        Load {
            header: NetHeader::default(),
            frame,
            stamp_at: UDP6_HEADERS,
        }
    }

    /// A large-send frame of `payload` bytes of TCP, to be cut into segments of `mss` bytes by
    /// whoever has to, and its checksum left to the same.
    pub fn large(to: [u8; 6], from: [u8; 6], payload: usize, mss: u16) -> Self {
        let bytes: Vec<u8> = (0..payload).map(|at| at as u8).collect();
        let header = NetHeader {
            flags: header_flag::NEEDS_CSUM,
            gso_type: gso::TCPV4,
            hdr_len: TCP_HEADERS as u16,
            gso_size: mss,
            csum_start: (PAYLOAD + 20) as u16,
            csum_offset: 16,
            num_buffers: 0,
            ..NetHeader::default()
        };
        Load {
            header,
            frame: frame::tcp4(to, from, &bytes),
            stamp_at: TCP_HEADERS,
        }
    }

    /// Whether `frame` is this one: a forwarder may put other addresses in, never anything else.
    pub fn same(&self, frame: &[u8]) -> bool {
        let behind = self.stamp_at + STAMP;
        let parts = [ADDRESSES..self.stamp_at, behind..self.frame.len()];
        let same = |part: std::ops::Range<usize>| frame.get(part.clone()) == self.frame.get(part);
        frame.len() == self.frame.len() && parts.into_iter().all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_number_may_differ() {
        for load in [
            Load::plain([1; 6], [2; 6], 64),
            Load::v6([1; 6], [2; 6], 78),
            Load::large([1; 6], [2; 6], 3000, 1448),
        ] {
            for at in 0..load.frame.len() {
                let mut frame = load.frame.clone();
                frame[at] ^= 0x40;
                let free = at < 12 || (load.stamp_at..load.stamp_at + 8).contains(&at);
                assert_eq!(load.same(&frame), free, "byte {at}");
            }
            assert!(!load.same(&load.frame[1..]));
        }
        assert_eq!(Load::plain([1; 6], [2; 6], 64).frame.len(), 60);
    }
}
