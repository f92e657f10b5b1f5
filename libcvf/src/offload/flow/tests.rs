use proptest::prelude::*;

use super::super::testutil::RSS_KEY;
use super::*;

fn ethernet(kind: u16) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&kind.to_be_bytes());
    frame
}

fn v4(protocol: u8, source: &str, sport: u16, target: &str, tport: u16) -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut frame = ethernet(ethertype::IPV4);
    frame.extend_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0]);
    frame.extend_from_slice(&address(source));
    frame.extend_from_slice(&address(target));
    frame.extend_from_slice(&sport.to_be_bytes());
    frame.extend_from_slice(&tport.to_be_bytes());
    frame.resize(60, 0);
    frame
}

fn v6(next: u8, source: &str, target: &str, rest: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut frame = ethernet(ethertype::IPV6);
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, 20, next, 64]);
    frame.extend_from_slice(&address(source));
    frame.extend_from_slice(&address(target));
    frame.extend_from_slice(rest);
    frame.resize(frame.len().max(90), 0);
    frame
}

fn ports(source: u16, target: u16) -> [u8; 4] {
    let mut bytes = [0; 4];
    bytes[..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..].copy_from_slice(&target.to_be_bytes());
    bytes
}

fn hash_of(types: HashTypes, frame: &[u8]) -> (u32, u8) {
    let FrameHash { value, report } = hash(&Toeplitz::new(&RSS_KEY), types, frame);
    (value, report)
}

/// The verification suite that Microsoft publishes for RSS.
#[test]
fn microsofts_vectors_for_ipv4() {
    let vectors = [
        (
            "66.9.149.187",
            2794,
            "161.142.100.80",
            1766,
            0x323e_8fc2,
            0x51cc_c178,
        ),
        (
            "199.92.111.2",
            14230,
            "65.69.140.83",
            4739,
            0xd718_262a,
            0xc626_b0ea,
        ),
        (
            "24.19.198.95",
            12898,
            "12.22.207.184",
            38024,
            0xd2d0_a5de,
            0x5c2b_394a,
        ),
        (
            "38.27.205.30",
            48228,
            "209.142.163.6",
            2217,
            0x8298_9176,
            0xafc7_327f,
        ),
        (
            "153.39.163.191",
            44251,
            "202.188.127.2",
            1303,
            0x5d18_09c5,
            0x10e8_28a2,
        ),
    ];
    for (source, sport, target, tport, ip, tcp) in vectors {
        let frame = v4(TCP, source, sport, target, tport);
        assert_eq!(hash_of(HashTypes::IPV4, &frame), (ip, 1), "{source}");
        assert_eq!(hash_of(HashTypes::ALL, &frame), (tcp, 2), "{source}");
        let frame = v4(UDP, source, sport, target, tport);
        assert_eq!(hash_of(HashTypes::ALL, &frame), (tcp, 3), "{source}");
        assert_eq!(hash_of(HashTypes::TCPV4, &frame), (0, 0), "{source}");
    }
}

#[test]
fn microsofts_vectors_for_ipv6() {
    let vectors = [
        (
            "3ffe:2501:200:1fff::7",
            2794,
            "3ffe:2501:200:3::1",
            1766,
            0x2cc1_8cd5,
            0x4020_7d3d,
        ),
        (
            "3ffe:501:8::260:97ff:fe40:efab",
            14230,
            "ff02::1",
            4739,
            0x0f0c_461c,
            0xdde5_1bbf,
        ),
        (
            "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
            44251,
            "fe80::200:f8ff:fe21:67cf",
            38024,
            0x4b61_e985,
            0x02d1_feef,
        ),
    ];
    for (source, sport, target, tport, ip, tcp) in vectors {
        let frame = v6(TCP, source, target, &ports(sport, tport));
        assert_eq!(hash_of(HashTypes::IPV6, &frame), (ip, 4), "{source}");
        assert_eq!(hash_of(HashTypes::ALL, &frame), (tcp, 5), "{source}");
        let frame = v6(UDP, source, target, &ports(sport, tport));
        assert_eq!(hash_of(HashTypes::ALL, &frame), (tcp, 6), "{source}");
    }
}

/// 5.1.6.4.3.4: home address and routing header stand in for the addresses, only for `_EX` types.
#[test]
fn mobile_addresses_are_hashed_by_the_ex_types() {
    const CARE_OF: &str = "2001:db8::1";
    let (home, routed) = ("3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1");
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    // Destination options with padding and the home address, then a routing header of type 2.
    let mut rest = vec![43, 2, 1, 2, 0, 0, 201, 16];
    rest.extend_from_slice(&octets(home));
    rest.extend_from_slice(&[TCP, 2, 2, 1, 0, 0, 0, 0]);
    rest.extend_from_slice(&octets(routed));
    rest.extend_from_slice(&ports(2794, 1766));
    let frame = v6(60, CARE_OF, "2001:db8::2", &rest);
    assert_eq!(hash_of(HashTypes::ALL, &frame), (0x4020_7d3d, 8));
    assert_eq!(hash_of(HashTypes::IP_EX, &frame), (0x2cc1_8cd5, 7));
    // Without those types the extension headers are skipped.
    let plain = v6(TCP, CARE_OF, "2001:db8::2", &ports(2794, 1766));
    let types = HashTypes(HashTypes::TCPV6.0 | HashTypes::IPV6.0);
    assert_eq!(hash_of(types, &frame), hash_of(types, &plain));
    assert_eq!(hash_of(types, &frame).1, 5);
    // And without extension headers the `_EX` types do not apply.
    assert_eq!(hash_of(HashTypes(0x1c0), &plain), (0, 0));
}

#[test]
fn fragments_go_by_their_addresses() {
    let mut frame = v4(TCP, "66.9.149.187", 2794, "161.142.100.80", 1766);
    for flags in [[0x20, 0], [0, 1], [0x20, 9]] {
        frame[20..22].copy_from_slice(&flags);
        assert_eq!(hash_of(HashTypes::ALL, &frame), (0x323e_8fc2, 1));
    }
    let frame = v6(
        44,
        "3ffe:2501:200:1fff::7",
        "3ffe:2501:200:3::1",
        &[TCP, 0, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4],
    );
    assert_eq!(hash_of(HashTypes::ALL, &frame), (0x2cc1_8cd5, 7));
}

#[test]
fn tags_change_nothing_and_other_protocols_have_no_hash() {
    let plain = v4(TCP, "66.9.149.187", 2794, "161.142.100.80", 1766);
    for tags in [1, 2] {
        let mut frame = plain[..12].to_vec();
        for _ in 0..tags {
            frame.extend_from_slice(&[0x81, 0, 0, 7]);
        }
        frame.extend_from_slice(&plain[12..]);
        assert_eq!(hash_of(HashTypes::ALL, &frame), (0x51cc_c178, 2));
    }
    let mut arp = ethernet(0x0806);
    arp.resize(60, 1);
    assert_eq!(hash_of(HashTypes::ALL, &arp), (0, 0));
    assert_eq!(hash_of(HashTypes(0), &plain), (0, 0));
}

/// Headers longer than the bytes at hand: the frame goes by its addresses.
#[test]
fn ports_out_of_reach_are_not_hashed() {
    let mut frame = v4(TCP, "66.9.149.187", 2794, "161.142.100.80", 1766);
    frame[14] = 0x4f;
    assert_eq!(hash_of(HashTypes::ALL, &frame), (0x323e_8fc2, 1));
    let source = "3ffe:2501:200:1fff::7";
    let frame = v6(60, source, "3ffe:2501:200:3::1", &[TCP, 255, 1, 2, 0, 0]);
    assert_eq!(hash_of(HashTypes::ALL, &frame), (0x2cc1_8cd5, 7));
}

#[test]
fn types_have_names_and_needs() {
    assert_eq!(HashTypes(0b10_0001).names(), ["IPv4", "UDPv6"]);
    assert_eq!(HashTypes::ALL.names().len(), 9);
    assert_eq!(HashTypes(0).key_bytes(), 0);
    assert_eq!(HashTypes(7).key_bytes(), 16);
    assert_eq!(HashTypes::ALL.key_bytes(), crate::limits::RSS_KEY_SIZE);
}

proptest! {
    /// No bytes panic, and the report always names an enabled type.
    #[test]
    fn any_bytes_are_hashed_or_not(
        types in 0u32..0x200,
        kind in prop::sample::select(vec![0x0800u16, 0x86dd, 0x8100, 0x0806]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut frame = ethernet(kind);
        frame.extend(rest);
        let (value, report) = hash_of(HashTypes(types), &frame);
        match report {
            0 => prop_assert_eq!(value, 0),
            n => prop_assert!(types >> (n - 1) & 1 != 0),
        }
    }

    #[test]
    fn any_extension_headers_are_walked(
        next in prop::sample::select(vec![0u8, 43, 44, 60, 6, 17]),
        rest in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 6, 16, 43, 60, 201]), 0..120),
    ) {
        let frame = v6(next, "2001:db8::1", "2001:db8::2", &rest);
        let (_, report) = hash_of(HashTypes::ALL, &frame);
        prop_assert!((4..=9).contains(&report));
    }
}
