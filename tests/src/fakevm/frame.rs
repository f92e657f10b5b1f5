//! Ethernet frames for tests and benchmarks.

/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];
/// Ethertype that IEEE 802 sets aside for local experiments.
pub const ETHERTYPE: u16 = 0x88b5;
/// Where the payload begins: addresses and type are before it.
pub const PAYLOAD: usize = 14;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A frame of `len` bytes with a number at [`PAYLOAD`] and a pattern that depends on it behind.
pub fn numbered(to: [u8; 6], from: [u8; 6], number: u64, len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(len);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ETHERTYPE.to_be_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    for at in frame.len()..len {
        frame.push(pattern(number, at));
    }
    frame.truncate(len);
    frame
}

/// The number of a frame made by [`numbered`], if it is one and unharmed.
pub fn number_of(frame: &[u8]) -> Option<u64> {
    let kind = frame.get(12..14)?;
    let number = u64::from_le_bytes(frame.get(PAYLOAD..PAYLOAD + 8)?.try_into().ok()?);
    let rest = &frame[PAYLOAD + 8..];
    let unharmed = rest
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte == pattern(number, PAYLOAD + 8 + at));
    (kind == ETHERTYPE.to_be_bytes() && unharmed).then_some(number)
}

/// The same frame with an 802.1Q tag.
pub fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    out.extend_from_slice(&0x8100_u16.to_be_bytes());
    out.extend_from_slice(&vlan.to_be_bytes());
    out.extend_from_slice(&frame[12..]);
    out
}

/// Makes a frame for somebody, of somebody, with a payload.
pub type Maker = fn([u8; 6], [u8; 6], &[u8]) -> Vec<u8>;

/// A TCP segment over IPv4 with correct IP header, for checksum and segmentation offloads.
/// The TCP checksum field holds the pseudo header's sum, as a driver leaves it.
pub fn tcp4(to: [u8; 6], from: [u8; 6], payload: &[u8]) -> Vec<u8> {
    let mut tcp = vec![
        0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff,
    ];
    let (ip, pseudo) = ipv4(TCP, 20 + payload.len());
    tcp.extend_from_slice(&pseudo.to_be_bytes());
    tcp.extend_from_slice(&[0, 0]);
    ethernet(to, from, [0x08, 0x00], &[&ip, &tcp, payload])
}

/// A datagram of UDP over IPv4, likewise: UDP's length is that of all of it.
pub fn udp4(to: [u8; 6], from: [u8; 6], payload: &[u8]) -> Vec<u8> {
    let (ip, pseudo) = ipv4(UDP, 8 + payload.len());
    let udp = udp(pseudo, payload.len());
    ethernet(to, from, [0x08, 0x00], &[&ip, &udp, payload])
}

/// A datagram of UDP over IPv6, likewise.
pub fn udp6(to: [u8; 6], from: [u8; 6], payload: &[u8]) -> Vec<u8> {
    let (ip, pseudo) = ipv6(UDP, 8 + payload.len());
    let udp = udp(pseudo, payload.len());
    ethernet(to, from, [0x86, 0xdd], &[&ip, &udp, payload])
}

fn ethernet(to: [u8; 6], from: [u8; 6], kind: [u8; 2], parts: &[&[u8]]) -> Vec<u8> {
    let head = [&to[..], &from, &kind].concat();
    [&head, &parts.concat()[..]].concat()
}

/// A header of IPv4 in front of so many bytes, and the sum of the pseudo header.
fn ipv4(protocol: u8, len: usize) -> (Vec<u8>, u16) {
    let total = (20 + len).min(usize::from(u16::MAX)) as u16;
    let addresses = [10, 0, 0, 1, 10, 0, 0, 2];
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&total.to_be_bytes());
    ip.extend_from_slice(&[0, 1, 0x40, 0, 64, protocol, 0, 0]);
    ip.extend_from_slice(&addresses);
    let sum = !fold(sum_words(&ip, 0));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    (ip, pseudo(&addresses, protocol, total - 20))
}

/// The same of IPv6.
fn ipv6(protocol: u8, len: usize) -> (Vec<u8>, u16) {
    let len = len.min(usize::from(u16::MAX)) as u16;
    let mut addresses = [0; 32];
    for (address, last) in addresses.chunks_exact_mut(16).zip([1, 2]) {
        (address[0], address[15]) = (0xfd, last);
    }
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend_from_slice(&len.to_be_bytes());
    ip.extend_from_slice(&[protocol, 64]);
    ip.extend_from_slice(&addresses);
    (ip, pseudo(&addresses, protocol, len))
}

fn udp(pseudo: u16, len: usize) -> Vec<u8> {
    let len = (8 + len).min(usize::from(u16::MAX)) as u16;
    let mut udp = vec![0x04, 0xd2, 0x16, 0x2e];
    udp.extend_from_slice(&len.to_be_bytes());
    udp.extend_from_slice(&pseudo.to_be_bytes());
    udp
}

/// The sum of a pseudo header.
fn pseudo(addresses: &[u8], protocol: u8, len: u16) -> u16 {
    let start = u32::from(protocol) + u32::from(len);
    fold(sum_words(addresses, start))
}

/// Whether the TCP checksum of an IPv4 frame made by [`tcp4`], or cut from one, is right.
pub fn tcp4_checksum_ok(frame: &[u8]) -> bool {
    let Some(ip) = frame.get(PAYLOAD..PAYLOAD + 20) else {
        return false;
    };
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let Some(segment) = frame.get(PAYLOAD + 20..PAYLOAD + total) else {
        return false;
    };
    let start = pseudo(&ip[12..20], TCP, segment.len() as u16);
    fold(sum_words(segment, start.into())) == 0xffff
}

fn sum_words(bytes: &[u8], start: u32) -> u32 {
    bytes.chunks(2).fold(start, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([pair[0], low]))
    })
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn pattern(number: u64, at: usize) -> u8 {
    (number as u8).wrapping_mul(31).wrapping_add(at as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_harm_is_seen() {
        for len in [22, 60, 64, 1514] {
            let mut frame = numbered(BROADCAST, [2; 6], 0x1234_5678, len);
            assert_eq!(frame.len(), len);
            assert_eq!(number_of(&frame), Some(0x1234_5678));
            frame[len - 1] ^= 1;
            assert_ne!(number_of(&frame), Some(0x1234_5678));
        }
        assert_eq!(number_of(&[0; 13]), None);
    }

    #[test]
    fn partial_checksum_is_completed_by_folding() {
        let mut frame = tcp4(BROADCAST, [2; 6], b"odd");
        assert!(!tcp4_checksum_ok(&frame));
        let start = PAYLOAD + 20;
        let sum = !fold(sum_words(&frame[start..], 0));
        frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
        assert!(tcp4_checksum_ok(&frame));
    }

    #[test]
    fn datagrams_wait_for_their_checksum_and_nothing_else() {
        use lab_guest::inspect::{self, Kind};
        for len in [1, 2, 1472, 60_000] {
            for frame in [udp4, udp6].map(|make| make(BROADCAST, [2; 6], &vec![9; len])) {
                let found = inspect::frame(&frame, true, usize::MAX);
                assert_eq!(found, Ok(Kind::Partial), "{len}");
            }
        }
    }
}
