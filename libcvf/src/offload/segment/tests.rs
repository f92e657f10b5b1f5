use proptest::prelude::*;

use super::super::testutil::{Built, Packet, Spec, read, verify};
use super::super::{Csum, TagStyle, VlanEdit};
use super::*;

fn meta(kind: Gso, built: &Built, size: u16) -> FrameMeta {
    let offset = if matches!(kind, Gso::Ufo | Gso::Udp) {
        6
    } else {
        16
    };
    FrameMeta {
        csum: Csum::Partial {
            start: built.l4 as u16,
            offset,
        },
        gso: kind,
        gso_size: size,
        ..FrameMeta::default()
    }
}

/// Cuts a frame as the data plane does.
fn cut(meta: &FrameMeta, frame: &[u8]) -> Vec<Vec<u8>> {
    let copied = &frame[..frame.len().min(MAX_SEGMENT_HEADERS)];
    let mut segmenter = Segmenter::new(meta, copied, frame.len()).unwrap();
    let (count, longest) = (segmenter.count(), segmenter.longest());
    // Dirt from earlier use must not show.
    let mut scratch = [0xa5; SEGMENT_SCRATCH];
    let mut out = Vec::new();
    while let Some(segment) = segmenter.next_into(&mut scratch) {
        let mut bytes = scratch[..segment.header_len].to_vec();
        bytes.extend(&frame[segment.payload.clone()]);
        if let Some(checksum) = &segment.checksum {
            let mut sum = Checksum::new();
            sum.add(&frame[checksum.covers.clone()]);
            bytes[checksum.at..checksum.at + 2].copy_from_slice(&checksum.finish(sum));
        }
        out.push(bytes);
    }
    assert_eq!(out.len(), count);
    assert_eq!(out.iter().map(Vec::len).max(), Some(longest));
    assert!(
        segmenter.next_into(&mut scratch).is_none(),
        "stays at its end"
    );
    out
}

fn sequence(packet: &Packet) -> u32 {
    u32::from_be_bytes(packet.body[4..8].try_into().unwrap())
}

fn spec() -> impl Strategy<Value = Spec> {
    let tag = (prop::sample::select(vec![0x8100_u16, 0x88a8]), any::<u16>());
    let tags = prop::collection::vec(tag, 0..=2);
    let extensions = prop::collection::vec((prop::sample::select(vec![0_u8, 60]), 0..2_u8), 0..=2);
    let payload = prop::collection::vec(any::<u8>(), 0..6000);
    let numbers = (any::<u8>(), any::<u32>(), any::<u16>());
    (
        tags,
        any::<bool>(),
        0..=10_u8,
        0..=10_u8,
        extensions,
        numbers,
        payload,
    )
        .prop_map(
            |(tags, v6, ip_options, tcp_options, extensions, (flags, sequence, ident), payload)| {
                Spec {
                    tags,
                    v6,
                    udp: false,
                    ip_options,
                    tcp_options,
                    extensions,
                    flags,
                    sequence,
                    ident,
                    payload,
                }
            },
        )
}

proptest! {
    #[test]
    fn tcp_reassembles(spec in spec(), size in 6..3000_u16) {
        let built = spec.build(true);
        let kind = if spec.v6 { Gso::TcpV6 } else { Gso::TcpV4 };
        let frames = cut(&meta(kind, &built, size), &built.bytes);
        let last = frames.len() - 1;
        let header = built.end - built.l4;
        let mut payload: Vec<u8> = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            prop_assert_eq!(&frame[..built.l3], &built.bytes[..built.l3], "link header and tags");
            let packet = read(frame, built.l3);
            prop_assert!(packet.verified && packet.protocol == 6);
            prop_assert_eq!(packet.fragment, None);
            if !spec.v6 {
                prop_assert_eq!(packet.ident, u32::from(spec.ident.wrapping_add(at as u16)));
                prop_assert!(packet.dont_fragment);
            }
            prop_assert_eq!(sequence(&packet), spec.sequence.wrapping_add(payload.len() as u32));
            let mut flags = spec.flags;
            if at > 0 { flags &= !0x80; }
            if at < last { flags &= !0x09; }
            prop_assert_eq!(packet.body[13], flags);
            prop_assert_eq!(packet.body[12], built.bytes[built.l4 + 12]);
            prop_assert_eq!(&packet.body[18..header], &built.bytes[built.l4 + 18..built.end]);
            let part = &packet.body[header..];
            prop_assert!(at == last || part.len() == usize::from(size));
            payload.extend(part);
        }
        prop_assert_eq!(payload, spec.payload);
    }

    #[test]
    fn udp_datagrams_carry_the_payload(spec in spec(), size in 6..3000_u16) {
        let spec = Spec { udp: true, ..spec };
        let built = spec.build(true);
        let frames = cut(&meta(Gso::Udp, &built, size), &built.bytes);
        let mut payload: Vec<u8> = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            let packet = read(frame, built.l3);
            prop_assert!(packet.verified && packet.protocol == 17);
            let length = u16::from_be_bytes([packet.body[4], packet.body[5]]);
            prop_assert_eq!(usize::from(length), packet.body.len());
            prop_assert_ne!(&packet.body[6..8], &[0, 0], "RFC 768: 0 would mean none");
            prop_assert!(at == frames.len() - 1 || packet.body.len() == 8 + usize::from(size));
            if !spec.v6 {
                prop_assert_eq!(packet.ident, u32::from(spec.ident.wrapping_add(at as u16)));
            }
            payload.extend(&packet.body[8..]);
        }
        prop_assert_eq!(payload, spec.payload);
    }

    #[test]
    fn udp_fragments_reassemble(spec in spec(), size in 8..3000_u16, hop_by_hop: bool) {
        let extensions = if hop_by_hop { vec![(0, 1)] } else { Vec::new() };
        let spec = Spec { udp: true, extensions, ..spec };
        let built = spec.build(true);
        let frames = cut(&meta(Gso::Ufo, &built, size), &built.bytes);
        let mut datagram: Vec<u8> = Vec::new();
        let mut idents = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            let packet = read(frame, built.l3);
            prop_assert_eq!(packet.protocol, 17);
            if frames.len() == 1 {
                prop_assert_eq!(packet.fragment, None);
            } else {
                let more = at < frames.len() - 1;
                prop_assert_eq!(packet.fragment, Some((datagram.len(), more)));
                prop_assert!(!packet.dont_fragment);
                prop_assert!(!more || packet.body.len() == usize::from(size / 8 * 8));
            }
            idents.push(packet.ident);
            datagram.extend(packet.body);
        }
        prop_assert!(idents.iter().all(|ident| *ident == idents[0]));
        prop_assert!(verify(&built.bytes, built.l3, 17, &datagram));
        prop_assert_eq!(usize::from(u16::from_be_bytes([datagram[4], datagram[5]])), datagram.len());
        prop_assert_eq!(&datagram[8..], &spec.payload[..]);
    }

    /// A tag is inserted or removed before a frame is cut.
    #[test]
    fn cut_after_a_vlan_edit(spec in spec(), size in 200..3000_u16, vid in 1..4095_u16, strip: bool) {
        let edit = match strip && !spec.tags.is_empty() {
            true => VlanEdit::Strip,
            false => VlanEdit::Insert(vid, TagStyle::default()),
        };
        let built = spec.build(true);
        let kind = if spec.v6 { Gso::TcpV6 } else { Gso::TcpV4 };
        let meta = meta(kind, &built, size);
        let mut edited = built.bytes.clone();
        edited.resize(built.bytes.len() + 4, 0);
        let len = edit.apply(&mut edited, built.bytes.len()).unwrap();
        edited.truncate(len);
        let l3 = built.l3.wrapping_add_signed(edit.growth());
        if l3 > 22 {
            let error = Segmenter::new(&edit.shift(meta), &edited[..len.min(256)], len).unwrap_err();
            prop_assert_eq!(error, OffloadError::Headers(super::super::ParseError::Tags));
            return Ok(());
        }
        let payload: Vec<u8> = cut(&edit.shift(meta), &edited)
            .iter()
            .flat_map(|frame| {
                let packet = read(frame, l3);
                assert!(packet.verified);
                packet.body[built.end - built.l4..].to_vec()
            })
            .collect();
        prop_assert_eq!(payload, spec.payload);
    }
}

#[test]
fn longest_frame() {
    let payload: Vec<u8> = (0..65_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let spec = Spec {
        payload,
        sequence: u32::MAX - 1000,
        ident: 65_530,
        ..Spec::default()
    };
    let built = spec.build(true);
    let frames = cut(&meta(Gso::TcpV4, &built, 1448), &built.bytes);
    assert_eq!(frames.len(), 45);
    assert!(frames.iter().all(|frame| read(frame, 14).verified));
    assert_eq!(sequence(&read(&frames[1], 14)), 447, "wraps");
    assert_eq!(read(&frames[6], 14).ident, 0, "wraps");
}

#[test]
fn no_payload_or_less_than_one_segment_is_one_segment() {
    for len in [0, 1, 999, 1000] {
        let built = Spec {
            payload: vec![1; len],
            flags: 0x99,
            ..Spec::default()
        }
        .build(true);
        let frames = cut(&meta(Gso::TcpV4, &built, 1000), &built.bytes);
        assert_eq!(frames.len(), 1);
        let packet = read(&frames[0], 14);
        assert!(packet.verified);
        assert_eq!((packet.body[13], packet.body.len()), (0x99, 20 + len));
    }
}

#[test]
fn a_last_segment_of_one_byte_is_the_last() {
    let spec = Spec {
        payload: vec![1; 2001],
        flags: 0x99,
        ..Spec::default()
    };
    let built = spec.build(true);
    let frames = cut(&meta(Gso::TcpV4, &built, 1000), &built.bytes);
    let flags: Vec<u8> = frames
        .iter()
        .map(|frame| read(frame, 14).body[13])
        .collect();
    assert_eq!(flags, [0x90, 0x10, 0x19]);
}

/// Large-send frames often carry an IP length of 0 or of something else, and no UDP length.
#[test]
fn stated_lengths_and_checksums_are_not_believed() {
    let spec = Spec {
        udp: true,
        payload: vec![6; 3000],
        ..Spec::default()
    };
    let mut built = spec.build(true);
    for at in [16, 17, 24, 25, 38, 39, 40, 41] {
        built.bytes[at] = 0xff;
    }
    for kind in [Gso::Udp, Gso::Ufo] {
        let frames = cut(&meta(kind, &built, 1000), &built.bytes);
        assert!(frames.len() > 2);
        let packets: Vec<_> = frames.iter().map(|frame| read(frame, 14)).collect();
        if kind == Gso::Udp {
            assert!(packets.iter().all(|packet| packet.verified));
        } else {
            let datagram: Vec<u8> = packets
                .iter()
                .flat_map(|packet| packet.body.clone())
                .collect();
            assert!(verify(&built.bytes, 14, 17, &datagram));
        }
    }
}

#[test]
fn identifications_of_ipv6_datagrams_differ() {
    let spec = Spec {
        v6: true,
        udp: true,
        payload: vec![6; 3000],
        ..Spec::default()
    };
    let built = spec.build(true);
    let ident = || read(&cut(&meta(Gso::Ufo, &built, 1000), &built.bytes)[0], 14).ident;
    assert_ne!(ident(), ident());
}

#[test]
fn an_ordinary_frame_is_not_cut() {
    let built = Spec::default().build(true);
    let ordinary = meta(Gso::None, &built, 100);
    let refused = Segmenter::new(&ordinary, &built.bytes, built.bytes.len());
    assert_eq!(refused.unwrap_err(), OffloadError::GsoMismatch);
}
