use proptest::prelude::*;

use super::super::testutil::{DST, SRC, Spec};
use super::*;

#[test]
fn arp_request_by_hand() {
    let mut frame = vec![0xff; 6];
    frame.extend(SRC);
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    let headers = Headers::parse(&frame, frame.len()).unwrap();
    assert!(headers.eth.dst.is_broadcast());
    assert_eq!(headers.eth.src, PackedMac::new(SRC));
    assert_eq!(
        (headers.ethertype, headers.network),
        (0x0806, Network::Other)
    );
    assert_eq!(
        (headers.l3_offset, headers.l4_offset, headers.end),
        (14, 14, 14)
    );
}

#[test]
fn syn_by_hand_behind_two_tags() {
    #[rustfmt::skip]
    let frame = [
        0x52, 0x54, 0, 9, 8, 7, 0x52, 0x54, 0, 1, 2, 3,
        0x88, 0xa8, 0x60, 0x64, 0x81, 0x00, 0x20, 0x0a, 0x08, 0x00,
        0x45, 0, 0, 44, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0x20, 0, 0, 0, 0, 0,
        2, 4, 5, 0xb4,
    ];
    let headers = Headers::parse(&frame, frame.len()).unwrap();
    let outer = headers.eth.tag.unwrap();
    assert_eq!(
        (outer.tpid, outer.vid(), outer.pcp()),
        (ethertype::SERVICE_VLAN, 100, 3)
    );
    assert!(!outer.is_customer());
    let inner = headers.inner_tag.unwrap();
    assert_eq!(
        (inner.tpid, inner.vid(), inner.pcp()),
        (ethertype::VLAN, 10, 1)
    );
    assert_eq!(
        (headers.eth.ethertype, headers.eth.offset),
        (ethertype::VLAN, 18)
    );
    assert_eq!(
        (headers.network, headers.transport),
        (Network::V4, Transport::Tcp)
    );
    assert_eq!(
        (headers.l3_offset, headers.l4_offset, headers.end),
        (22, 42, 66)
    );
}

#[test]
fn neighbour_solicitation_and_mld_by_hand() {
    let mut frame = [&[0x33, 0x33, 0, 0, 0, 0x16][..], &SRC, &[0x86, 0xdd]].concat();
    frame.extend([0x60, 0, 0, 0, 0, 16, 0, 1]);
    frame.extend([0; 32]);
    // Hop-by-hop with router alert, then ICMPv6.
    frame.extend([58, 0, 5, 2, 0, 0, 1, 0]);
    frame.extend([143, 0, 0, 0, 0, 0, 0, 0]);
    let headers = Headers::parse(&frame, frame.len()).unwrap();
    assert!(headers.eth.dst.is_multicast() && !headers.eth.dst.is_broadcast());
    assert_eq!(
        (headers.network, headers.transport),
        (Network::V6, Transport::Other)
    );
    assert_eq!(
        (headers.protocol, headers.l4_offset, headers.end),
        (58, 62, 62)
    );
}

#[test]
fn every_cut_of_a_good_frame_is_an_error_or_shorter() {
    let spec = Spec {
        tags: vec![(0x8100, 5)],
        v6: true,
        extensions: vec![(0, 0), (60, 1)],
        tcp_options: 3,
        ..Spec::default()
    };
    let built = spec.build(false);
    for cut in 0..built.end {
        assert!(
            Headers::parse(&built.bytes[..cut], built.bytes.len()).is_err(),
            "cut at {cut}"
        );
        assert!(Headers::parse(&built.bytes, cut).is_err(), "frame of {cut}");
    }
    let headers = Headers::parse(&built.bytes, built.bytes.len()).unwrap();
    assert_eq!(usize::from(headers.end), built.end);
    for cut in 0..18 {
        assert_eq!(
            EthView::parse(&built.bytes[..cut]),
            Err(ParseError::Ethernet)
        );
    }
}

#[test]
fn what_each_error_is_for() {
    let base = Spec::default().build(false);
    let at = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = base.bytes.clone();
        change(&mut bytes);
        Headers::parse(&bytes, bytes.len())
    };
    assert_eq!(at(&|b| b[14] = 0x65), Err(ParseError::Ipv4), "version");
    assert_eq!(
        at(&|b| b[14] = 0x44),
        Err(ParseError::Ipv4),
        "RFC 791 3.1: at least 5 words"
    );
    assert_eq!(
        at(&|b| b[46] = 0x40),
        Err(ParseError::Tcp),
        "RFC 9293 3.1: at least 5 words"
    );
    assert_eq!(at(&|b| b.truncate(53)), Err(ParseError::Tcp));
    assert_eq!(
        at(&|b| {
            b[23] = 17;
            b.truncate(41);
        }),
        Err(ParseError::Udp)
    );
    let tags = Spec {
        tags: vec![(0x8100, 1); 3],
        ..Spec::default()
    }
    .build(false);
    assert_eq!(
        Headers::parse(&tags.bytes, tags.bytes.len()),
        Err(ParseError::Tags)
    );
    let v6 = |extensions| {
        let built = Spec {
            v6: true,
            extensions,
            ..Spec::default()
        }
        .build(false);
        Headers::parse(&built.bytes, built.bytes.len())
    };
    let most = crate::limits::MAX_IPV6_EXTENSIONS;
    assert!(v6(vec![(60, 0); most]).is_ok());
    assert_eq!(v6(vec![(60, 0); most + 1]), Err(ParseError::Extensions));
}

#[test]
fn fragments_have_no_transport() {
    for word in [0x2000_u16, 0x0001, 0x3fff, 0x1fff] {
        let mut bytes = Spec::default().build(false).bytes;
        bytes[20..22].copy_from_slice(&word.to_be_bytes());
        let headers = Headers::parse(&bytes, bytes.len()).unwrap();
        assert!(headers.fragment);
        assert_eq!((headers.transport, headers.end), (Transport::Other, 34));
    }
    let spec = Spec {
        v6: true,
        extensions: vec![(44, 0)],
        ..Spec::default()
    };
    let built = spec.build(false);
    let headers = Headers::parse(&built.bytes, built.bytes.len()).unwrap();
    assert!(headers.fragment);
    assert_eq!((headers.protocol, headers.end), (6, 62));
}

#[test]
fn packed_addresses() {
    let mac = PackedMac::new(DST);
    assert_eq!(mac.octets(), DST);
    assert_eq!(mac.to_string(), "52:54:00:09:08:07");
    assert_eq!(PackedMac::from_bits(mac.bits() | 0xabcd << 48), mac);
    assert!(mac.is_station() && !PackedMac::ZERO.is_station());
    assert!(PackedMac::BROADCAST.is_multicast() && PackedMac::BROADCAST.is_broadcast());
    assert!(PackedMac::new([1, 0x80, 0xc2, 0, 0, 0xf]).is_link_local());
    assert!(!PackedMac::new([1, 0x80, 0xc2, 0, 0, 0x10]).is_link_local());
}

proptest! {
    #[test]
    fn never_panics_and_stays_inside(
        mut bytes in prop::collection::vec(any::<u8>(), 0..300),
        total in 0..400_usize,
        ethertypes in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x8100, 0x88a8, 0x1234]),
        nibble in 0..16_u8,
    ) {
        if bytes.len() > 15 {
            bytes[12..14].copy_from_slice(&ethertypes.to_be_bytes());
            bytes[14] = bytes[14] & 0xf | nibble << 4;
        }
        if let Ok(headers) = Headers::parse(&bytes, total) {
            let end = usize::from(headers.end);
            prop_assert!(end <= bytes.len() && end <= total);
            prop_assert!(headers.l3_offset <= headers.l4_offset && headers.l4_offset <= headers.end);
        }
    }

    #[test]
    fn never_panics_on_a_damaged_good_frame(
        v6: bool,
        udp: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut: prop::sample::Index,
    ) {
        let extensions = vec![(0, 1), (43, 0), (60, 2)];
        let built = Spec { v6, udp, extensions, payload: vec![0; 20], ..Spec::default() };
        let mut bytes = built.build(true).bytes;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(headers) = Headers::parse(&bytes, bytes.len()) {
            prop_assert!(usize::from(headers.end) <= bytes.len());
        }
    }

    #[test]
    fn finds_what_was_built(
        v6: bool,
        udp: bool,
        ip_options in 0..=10_u8,
        tcp_options in 0..=10_u8,
        tags in prop::collection::vec((prop::sample::select(vec![0x8100, 0x88a8, 0x9100]), any::<u16>()), 0..=2),
        payload in 0..40_usize,
    ) {
        let payload = vec![0; payload];
        let spec = Spec { v6, udp, ip_options, tcp_options, tags, payload, ..Spec::default() };
        let built = spec.build(false);
        let headers = Headers::parse(&built.bytes, built.bytes.len()).unwrap();
        let found = [headers.l3_offset, headers.l4_offset, headers.end].map(usize::from);
        prop_assert_eq!(found, [built.l3, built.l4, built.end]);
        prop_assert_eq!(headers.eth.link_len(), built.l3);
        let field = if udp { 6 } else { 16 };
        prop_assert_eq!(headers.checksum_place(), Some((built.l4 as u16, field)));
        prop_assert_eq!(headers.network, if v6 { Network::V6 } else { Network::V4 });
        prop_assert_eq!(headers.transport, if udp { Transport::Udp } else { Transport::Tcp });
        let tag = |tag: VlanTag| (tag.tpid, tag.tci);
        prop_assert_eq!(headers.eth.tag.map(tag), spec.tags.first().copied());
        prop_assert_eq!(headers.inner_tag.map(tag), spec.tags.get(1).copied());
    }
}
