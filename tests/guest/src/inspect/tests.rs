use super::*;

const LONG: usize = 1500;

/// A UDP datagram over IPv4 from Ethernet header to payload, with checksums that are right.
fn udp4(payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len();
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, UDP, 0, 0];
    ip[2..4].copy_from_slice(&(20 + length as u16).to_be_bytes());
    ip.extend_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    let header = !fold(sum(&ip, 0));
    ip[10..12].copy_from_slice(&header.to_be_bytes());
    framed([0x08, 0x00], &ip, UDP, &[192, 0, 2, 1, 192, 0, 2, 2], {
        let mut body = vec![0x1b, 0xbc, 0x1b, 0xbd, 0, 0, 0, 0];
        body[4..6].copy_from_slice(&(length as u16).to_be_bytes());
        body.extend_from_slice(payload);
        body
    })
}

/// A TCP segment over IPv6.
fn tcp6(payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0, 0, 0, TCP, 64];
    ip[4..6].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    let addresses: Vec<u8> = (0..32).collect();
    ip.extend_from_slice(&addresses);
    let mut body = vec![0; 20];
    body[12] = 0x50;
    body.extend_from_slice(payload);
    framed([0x86, 0xdd], &ip, TCP, &addresses, body)
}

fn framed(kind: [u8; 2], ip: &[u8], protocol: u8, addresses: &[u8], mut body: Vec<u8>) -> Vec<u8> {
    let at = if protocol == UDP { 6 } else { 16 };
    let pseudo = sum(addresses, 0) + u64::from(protocol) + body.len() as u64;
    let check = !fold(sum(&body, pseudo));
    body[at..at + 2].copy_from_slice(&check.to_be_bytes());
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&kind);
    frame.extend_from_slice(ip);
    frame.extend_from_slice(&body);
    frame
}

#[test]
fn right_packets_are_found_right() {
    for payload in [&b""[..], b"a", b"ab", &[0xff; 999], &[7; 1000]] {
        assert_eq!(frame(&udp4(payload), false, LONG), Ok(Kind::Finished));
        assert_eq!(frame(&tcp6(payload), false, LONG), Ok(Kind::Finished));
    }
    let mut padded = udp4(b"a");
    padded.resize(60, 0);
    assert_eq!(frame(&padded, false, LONG), Ok(Kind::Finished));
    assert_eq!(frame(&[0; 60], false, LONG), Ok(Kind::NotIp));
}

#[test]
fn every_flipped_bit_of_a_packet_is_noticed() {
    for good in [udp4(b"some payload"), tcp6(b"some payload")] {
        // The version, class and flow label of IPv6 are under no checksum, nor is its hop limit.
        let unprotected = if good[14] >> 4 == 6 { 14..22 } else { 0..0 };
        for byte in 14..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 0x04;
            let noticed = frame(&bad, false, LONG).is_err();
            assert!(noticed || unprotected.contains(&byte), "byte {byte}");
        }
    }
}

#[test]
fn lengths_are_held_against_what_came() {
    let good = udp4(&[1; 100]);
    assert_eq!(
        frame(&good[..good.len() - 1], false, LONG),
        Err(Fault::Length)
    );
    let mut more = good.clone();
    more.push(0);
    assert_eq!(frame(&more, false, LONG), Err(Fault::Length));
    let longest = good.len() - 14;
    assert_eq!(frame(&good, false, longest), Ok(Kind::Finished));
    assert_eq!(frame(&good, false, longest - 1), Err(Fault::AboveMtu));
    for short in 0..34 {
        assert!(frame(&good[..short], false, LONG).is_err(), "{short}");
    }
}

#[test]
fn an_unfinished_checksum_is_the_pseudo_headers_sum() {
    let mut packet = tcp6(&[9; 33]);
    assert_eq!(
        frame(&packet, true, LONG),
        Err(Fault::PartialChecksum),
        "a finished one is not"
    );
    let addresses: Vec<u8> = packet[22..54].to_vec();
    let pseudo = fold(sum(&addresses, 0) + u64::from(TCP) + 53);
    packet[70..72].copy_from_slice(&pseudo.to_be_bytes());
    assert_eq!(frame(&packet, true, LONG), Ok(Kind::Partial));
    assert_eq!(frame(&packet, false, LONG), Err(Fault::Checksum));
}

#[test]
fn fragments_are_only_checked_as_ip() {
    let mut packet = udp4(&[3; 64]);
    packet[20] = 0x20;
    packet[24..26].copy_from_slice(&[0, 0]);
    let header = !fold(sum(&packet[14..34], 0));
    packet[24..26].copy_from_slice(&header.to_be_bytes());
    packet[40] ^= 0xff;
    assert_eq!(frame(&packet, false, LONG), Ok(Kind::Fragment));
}

#[test]
fn udp_without_a_checksum_is_a_fault() {
    let mut packet = udp4(b"x");
    packet[40..42].copy_from_slice(&[0, 0]);
    assert_eq!(frame(&packet, false, LONG), Err(Fault::NoChecksum));
}
