//! What an AVF driver asks for is what a virtio driver says of the same frame.

use proptest::prelude::*;

use super::driver::{
    Driver, IL2TAG1, IL2TAG2, IPV4, IPV4_CSUM, IPV6, SCTP, Said, TCP, TSO, UDP, context, cut,
};
use crate::offload::testutil::{Built, DST, SRC, Spec, naive};
use crate::offload::{Csum, FrameMeta, Gso, PackedMeta, TagStyle, VlanEdit};
use crate::ring::{AvfTransmit, BurstBuffers, FrameFault, Frames, TransmitRing};

/// What came of a frame: its bytes and what travels beside it, or what is wrong.
type Taken = Result<(Vec<u8>, FrameMeta), FrameFault>;

/// Sends frames and takes them.
fn take(frames: &[(Vec<u8>, Vec<usize>, Said)]) -> Vec<Taken> {
    take_of(frames, true)
}

/// The same of a driver that may have UDP cut, or not.
fn take_of(frames: &[(Vec<u8>, Vec<usize>, Said)], uso: bool) -> Vec<Taken> {
    let mut driver = Driver::transmit(1024);
    driver.ring.uso = uso;
    let regions = driver.memory.load().clone();
    let mut ring = AvfTransmit::new(&driver.ring, &regions).unwrap();
    let mut buffers = BurstBuffers::default();
    let mut places = Vec::new();
    for (bytes, parts, said) in frames {
        places.push(driver.send(bytes, parts, *said).unwrap());
    }
    driver.kick();
    let mut taken = Vec::new();
    while ring.has_work(&regions) {
        let mut burst = buffers.lend();
        ring.take(&regions, &mut burst).unwrap();
        for index in 0..burst.len() {
            let frame = burst.frame(index).unwrap();
            taken.push(match frame.fault {
                Some(fault) => Err(fault),
                None => {
                    burst.copy_head(index, 256);
                    let frame = burst.frame(index).unwrap();
                    Ok((super::transmit::bytes(&burst, index), frame.meta.into()))
                }
            });
        }
        ring.give_back(&regions, &burst, Frames::default()).unwrap();
    }
    taken
}

fn take_one(bytes: &[u8], said: Said) -> Taken {
    take(&[(bytes.to_vec(), vec![bytes.len()], said)]).remove(0)
}

/// What is asked for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    /// The IP header's checksum.
    Ip,
    /// The transport's, and IP's if there is one.
    Transport,
    Large(u16),
}

/// The frame as an AVF driver gives it away, and what it says.
fn asked(built: &Built, spec: &Spec, kind: Kind, exact: bool) -> (Vec<u8>, Said) {
    let mut bytes = built.bytes.clone();
    let (l3, l4, end) = (built.l3, built.l4, built.end);
    let l4_len = if spec.udp {
        8
    } else if exact || matches!(kind, Kind::Large(_)) {
        end - l4
    } else {
        20
    };
    let mut said = Said {
        lens: (l3 as u64, (l4 - l3) as u64, l4_len as u64),
        ..Said::default()
    };
    let ip = if spec.v6 { IPV6 } else { IPV4_CSUM };
    let transport = if spec.udp { UDP } else { TCP };
    match kind {
        Kind::Nothing => {
            return (
                bytes,
                Said {
                    lens: said.lens,
                    ..Said::default()
                },
            );
        }
        Kind::Ip => said.cmd = ip,
        Kind::Transport | Kind::Large(_) => said.cmd = ip | transport,
    }
    // Whatever stands there.
    if !spec.v6 {
        bytes[l3 + 10..l3 + 12].copy_from_slice(&[0xab, 0xcd]);
    }
    if let Kind::Large(mss) = kind {
        let payload = (bytes.len() - end) as u64;
        said.context = context(TSO, payload, mss.into(), 0);
        let field = l4 + if spec.udp { 6 } else { 16 };
        // The pseudo header's sum, without the length.
        let sum = u16::from_be_bytes([bytes[field], bytes[field + 1]]);
        let length = (bytes.len() - l4) as u16;
        let (less, borrow) = sum.overflowing_sub(length);
        let less = less - u16::from(borrow);
        bytes[field..field + 2].copy_from_slice(&less.to_be_bytes());
        let at = if spec.v6 { l3 + 4 } else { l3 + 2 };
        bytes[at..at + 2].fill(0);
        if spec.udp {
            // Hardware writes it for each datagram.
            bytes[l4 + 4..l4 + 6].copy_from_slice(&[0xcd, 0xef]);
        }
        if !spec.v6 {
            bytes[l3 + 10..l3 + 12].fill(0);
        }
    }
    (bytes, said)
}

/// What a virtio driver would say of it.
fn meant(built: &Built, spec: &Spec, kind: Kind) -> FrameMeta {
    let csum = Csum::Partial {
        start: built.l4 as u16,
        offset: if spec.udp { 6 } else { 16 },
    };
    match kind {
        Kind::Nothing | Kind::Ip => FrameMeta::default(),
        Kind::Transport => FrameMeta {
            csum,
            ..FrameMeta::default()
        },
        Kind::Large(gso_size) => FrameMeta {
            csum,
            gso: match (spec.udp, spec.v6) {
                (true, _) => Gso::Udp,
                (false, true) => Gso::TcpV6,
                (false, false) => Gso::TcpV4,
            },
            ecn: !spec.udp && spec.flags & 0x80 != 0,
            gso_size,
            hdr_len: built.end as u16,
            ..FrameMeta::default()
        },
    }
}

fn specs() -> impl Strategy<Value = Spec> {
    let shape = (
        any::<bool>(),
        any::<bool>(),
        0u8..=10,
        0u8..=10,
        0usize..=2,
        any::<bool>(),
    );
    let rest = (
        any::<u8>(),
        any::<u32>(),
        any::<u16>(),
        1usize..6000,
        any::<u8>(),
    );
    (shape, rest).prop_map(|(shape, rest)| {
        let (v6, udp, ip_options, tcp_options, tags, extended) = shape;
        let (flags, sequence, ident, len, seed) = rest;
        Spec {
            tags: [(0x88a8, 7), (0x8100, 0x2005)][2 - tags..].to_vec(),
            v6,
            udp,
            ip_options,
            tcp_options,
            extensions: if extended {
                vec![(0, 0), (60, 1)]
            } else {
                Vec::new()
            },
            flags,
            sequence,
            ident,
            payload: (0..len)
                .map(|at| (at as u8).wrapping_mul(3) ^ seed)
                .collect(),
        }
    })
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        1 => Just(Kind::Nothing),
        1 => Just(Kind::Ip),
        2 => Just(Kind::Transport),
        3 => (64u16..3000).prop_map(Kind::Large),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Bytes, metadata and what the switch's check makes of it are those of the same frame from a virtio driver.
    #[test]
    fn a_driver_asks_for_what_virtio_says(
        frames in prop::collection::vec((
            specs(), kinds(), any::<bool>(), any::<Option<u16>>(), any::<bool>(),
            prop::collection::vec(any::<usize>(), 0..5),
        ), 1..12),
    ) {
        let (mut given, mut wanted) = (Vec::new(), Vec::new());
        for (spec, kind, exact, tag, outer, cuts) in frames {
            let partial = matches!(kind, Kind::Transport | Kind::Large(_));
            let built = spec.build(partial);
            let (bytes, mut said) = asked(&built, &spec, kind, exact);
            let (mut expect, mut meta) = (built.bytes.clone(), meant(&built, &spec, kind));
            // IPv6 has no checksum, and in a frame with two tags there is no room for a third.
            let tag = tag.filter(|_| spec.tags.len() < 2);
            if let Some(tag) = tag {
                if outer {
                    let before = said.context.unwrap_or([0, 1]);
                    said.context = Some([u64::from(tag) << 32, before[1] | IL2TAG2 << 4]);
                } else {
                    said.cmd |= IL2TAG1;
                    said.tag = tag.into();
                }
                let tag = [[0x81, 0], tag.to_be_bytes()].concat();
                expect.splice(12..12, tag);
                meta = VlanEdit::Insert(0, TagStyle::default()).shift(meta);
            }
            given.push((bytes.clone(), cut(bytes.len(), &cuts), said));
            wanted.push((expect, meta));
        }
        let taken = take(&given);
        prop_assert_eq!(taken.len(), wanted.len());
        for (taken, (expect, meta)) in taken.into_iter().zip(wanted) {
            let (bytes, found) = taken.map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
            prop_assert_eq!(found, meta);
            prop_assert!(bytes == expect);
            prop_assert_eq!(found.check(&bytes[..bytes.len().min(256)], bytes.len()), Ok(meta));
            prop_assert_eq!(FrameMeta::from(PackedMeta::from(found)), meta);
        }
    }

    /// A length that is not the header's is the frame's fault and no other's.
    #[test]
    fn lengths_are_held_against_the_headers(
        spec in specs(), kind in kinds(), which in 0usize..4, by in 1u64..40, up: bool,
    ) {
        let built = spec.build(matches!(kind, Kind::Transport | Kind::Large(_)));
        let (bytes, mut said) = asked(&built, &spec, kind, true);
        let large = matches!(kind, Kind::Large(_));
        let bend = |value: u64, unit: u64| if up { value + by * unit } else { value.saturating_sub(by * unit) };
        let (mac, ip, l4) = said.lens;
        let speaks = match which {
            0 => { said.lens.0 = bend(mac, 2).min(254); kind != Kind::Nothing && (kind != Kind::Ip || !spec.v6) }
            1 => { said.lens.1 = bend(ip, 4); kind != Kind::Nothing && (kind != Kind::Ip || !spec.v6) }
            2 => {
                said.lens.2 = bend(l4, 4).min(60);
                let shorter = !large && !spec.udp && (20..l4).contains(&said.lens.2);
                (large || kind == Kind::Transport) && !shorter
            }
            _ => {
                if let Some([_, word]) = &mut said.context {
                    *word = *word & !(0x3ffff << 30) | bend((bytes.len() - built.end) as u64, 1) << 30;
                }
                large
            }
        };
        let same = said.lens == (mac, ip, l4) && which < 3;
        let other = Spec { payload: vec![7; 100], ..Spec::default() }.build(false).bytes;
        let frames = [(bytes.clone(), vec![bytes.len()], said), (other.clone(), vec![other.len()], Said::default())];
        let taken = take(&frames);
        prop_assert_eq!(taken[0].is_err(), speaks && !same, "{:?}", &taken[0].as_ref().err());
        prop_assert!(taken[0].as_ref().err().is_none_or(|fault| *fault == FrameFault::Contradicted));
        prop_assert_eq!(&taken[1], &Ok((other, FrameMeta::default())));
    }

    /// Whatever is asked of whatever: no panic, and what is accepted passes the switch's check.
    #[test]
    fn arbitrary_asks_of_arbitrary_frames(
        spec in specs(), bend in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cmd in 0u64..0x400, lens in (0u64..255, 0u64..511, 0u64..60), tag: u16, words: Option<[u64; 2]>,
        cuts in prop::collection::vec(any::<usize>(), 0..5),
    ) {
        let mut bytes = spec.build(true).bytes;
        for (at, byte) in bend {
            let at = at % bytes.len().min(100);
            bytes[at] = byte;
        }
        let context = words.map(|[first, second]| [first & 0xffff << 32, second & !0xf_ffff | second & 0x50 | 1]);
        let said = Said { cmd: cmd & !1, lens, tag: tag.into(), context };
        let parts = cut(bytes.len(), &cuts);
        if let Ok((bytes, meta)) = take(&[(bytes, parts, said)]).remove(0) {
            let checked = meta.check(&bytes[..bytes.len().min(256)], bytes.len());
            prop_assert!(checked.is_ok() || meta.gso != Gso::None, "{:?}", checked);
        }
    }
}

fn tcp() -> Spec {
    Spec {
        payload: vec![5; 3000],
        ..Spec::default()
    }
}

/// What was not offered is not done.
#[test]
fn what_is_not_offered_is_refused() {
    let spec = tcp();
    let built = spec.build(true);
    let (bytes, good) = asked(&built, &spec, Kind::Large(1000), true);
    assert!(take_one(&bytes, good).is_ok());
    let word = good.context.unwrap()[1];
    let with = |first: u64, second: u64| Said {
        context: Some([first, second]),
        ..good
    };
    let mss = |mss: u64| word & !(0x3fff << 50) | mss << 50;
    for (said, why) in [
        (with(1, word), "a tunnel"),
        (with(0, word | 2 << 4), "a time stamp"),
        (with(0, word | 8 << 4), "a tag of another kind"),
        (with(0, word | 0x10 << 4), "a way around the switch"),
        (with(0, word | 0x8000 << 4), "what is reserved"),
        (with(0, mss(63)), "segments that are too short"),
        (with(0, mss(0)), "segments of nothing"),
        (
            Said {
                cmd: good.cmd | 0x10,
                ..good
            },
            "a dummy",
        ),
        (
            Said {
                cmd: good.cmd | 0x80,
                ..good
            },
            "storage",
        ),
        (
            Said {
                cmd: good.cmd & !0x300,
                ..good
            },
            "no transport",
        ),
        (
            Said {
                cmd: good.cmd & !0x300 | SCTP,
                ..good
            },
            "another transport",
        ),
        (
            Said {
                cmd: good.cmd & !0x60 | IPV6,
                ..good
            },
            "another version",
        ),
        (
            Said {
                cmd: good.cmd & !0x60,
                ..good
            },
            "no version",
        ),
        (
            Said {
                cmd: good.cmd | IL2TAG1,
                ..with(0, word | IL2TAG2 << 4)
            },
            "both tags",
        ),
    ] {
        assert_eq!(
            take_one(&bytes, said).err(),
            Some(FrameFault::Contradicted),
            "{why}"
        );
    }
    assert!(take_one(&bytes, with(0, mss(64))).is_ok());
    let plain = Said {
        cmd: good.cmd & !0x60 | IPV4,
        ..good
    };
    assert_eq!(
        take_one(&bytes, plain),
        take_one(&bytes, good),
        "the checksum is always cut's"
    );
}

#[test]
fn udp_is_cut_for_those_to_whom_that_was_offered() {
    let spec = Spec { udp: true, ..tcp() };
    let kind = Kind::Large(100);
    let built = spec.build(true);
    let (bytes, said) = asked(&built, &spec, kind, true);
    let frames = [(bytes.clone(), vec![bytes.len()], said)];
    let whole = (built.bytes.clone(), meant(&built, &spec, kind));
    assert_eq!(take_of(&frames, true), [Ok(whole)]);
    let refused = [Err(FrameFault::Contradicted)];
    assert_eq!(take_of(&frames, false), refused);
}

/// Drivers state a TCP header's length without its options, or not at all.
#[test]
fn the_longest_headers_are_read_whatever_is_stated_of_them() {
    let spec = Spec {
        tags: vec![(0x88a8, 7), (0x8100, 5)],
        ip_options: 10,
        tcp_options: 10,
        payload: vec![0],
        ..Spec::default()
    };
    for kind in [Kind::Ip, Kind::Transport] {
        let built = spec.build(kind == Kind::Transport);
        let (bytes, said) = asked(&built, &spec, kind, false);
        assert_eq!(built.end, 22 + 60 + 60);
        let taken = take_one(&bytes, said);
        assert_eq!(taken, Ok((built.bytes.clone(), meant(&built, &spec, kind))));
    }
}

/// The checksum of IPv4's header alone does not depend on what is behind it.
#[test]
fn an_ip_header_alone_may_be_in_front_of_anything() {
    let spec = tcp();
    let good = spec.build(false);
    for (at, byte) in [(46, 0x10), (46, 0xf0), (23, 200), (20, 0x20), (23, 17)] {
        let mut built = good.clone();
        built.bytes[at] = byte;
        let (bytes, said) = asked(&built, &spec, Kind::Ip, true);
        let (bytes, meta) = take_one(&bytes, said).unwrap();
        assert_eq!((naive(&bytes[14..34]), meta), (0, FrameMeta::default()));
        assert_eq!(bytes[34..], built.bytes[34..]);
    }
    for (at, byte) in [(14, 0x46), (14, 0x44), (14, 0x65), (12, 0x81), (13, 6)] {
        let mut built = good.clone();
        built.bytes[at] = byte;
        let (bytes, said) = asked(&built, &spec, Kind::Ip, true);
        assert_eq!(take_one(&bytes, said), Err(FrameFault::Contradicted));
    }
}

#[test]
fn fragments_have_no_checksum_to_compute() {
    let spec = tcp();
    for kind in [Kind::Transport, Kind::Large(1000)] {
        let (mut bytes, said) = asked(&spec.build(true), &spec, kind, true);
        bytes[20] = 0x20;
        assert_eq!(take_one(&bytes, said).err(), Some(FrameFault::Contradicted));
    }
}

/// An IP packet of more than 65,535 bytes cannot say so.
#[test]
fn a_large_send_frame_has_a_length_that_ip_can_say() {
    for (len, fits) in [(65_495, true), (65_496, false)] {
        let spec = Spec {
            payload: vec![5; 100],
            ..Spec::default()
        };
        let (mut bytes, mut said) = asked(&spec.build(true), &spec, Kind::Large(1400), true);
        bytes.resize(14 + 40 + len, 6);
        said.context = context(TSO, len as u64, 1400, 0);
        let parts = cut(bytes.len(), &[16_000, 32_000, 48_000, 64_000]);
        let taken = take(&[(bytes.clone(), parts, said)]).remove(0);
        assert_eq!(taken.is_ok(), fits);
        if let Ok((bytes, meta)) = taken {
            assert_eq!(u16::from_be_bytes([bytes[16], bytes[17]]), 65_535);
            assert_eq!(naive(&bytes[14..34]), 0);
            assert!(meta.check(&bytes[..256], bytes.len()).is_ok());
        }
    }
}

/// An SCTP packet with a header, chunks and bytes behind it that are the link layer's.
fn sctp(v6: bool, chunks: &[u8], padding: usize) -> (Vec<u8>, usize, usize) {
    let mut bytes = [DST, SRC].concat();
    let length = 12 + chunks.len();
    if v6 {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend((length as u16).to_be_bytes());
        bytes.extend([132, 64]);
        bytes.extend([0x11; 32]);
    } else {
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend((20 + length as u16).to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, 64, 132, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    }
    let l4 = bytes.len();
    bytes.extend([
        0x0b, 0x59, 0x0b, 0x59, 0, 0, 0x0e, 0x50, 0xde, 0xad, 0xbe, 0xef,
    ]);
    bytes.extend(chunks);
    bytes.resize(bytes.len() + padding, 0x77);
    (bytes, l4, length)
}

/// Bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 }
        })
    })
}

/// RFC 9260 6.8 and appendix A.
#[test]
fn the_checksum_of_sctp_is_computed() {
    for v6 in [false, true] {
        for (len, padding) in [(16, 0), (16, 18), (100, 0), (1400, 0), (4001, 3)] {
            let chunks: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let (bytes, l4, length) = sctp(v6, &chunks, padding);
            let said = Said {
                cmd: SCTP | if v6 { IPV6 } else { IPV4_CSUM },
                lens: (14, l4 as u64 - 14, 12),
                ..Said::default()
            };
            for cuts in [&[][..], &[40, 90, 200]] {
                let (taken, meta) = take(&[(bytes.clone(), cut(bytes.len(), cuts), said)])
                    .remove(0)
                    .unwrap();
                assert_eq!(meta, FrameMeta::default(), "nothing is left to be done");
                let mut expect = bytes.clone();
                expect[l4 + 8..l4 + 12].fill(0);
                let sum = crc32c(&expect[l4..l4 + length]);
                expect[l4 + 8..l4 + 12].copy_from_slice(&sum.to_le_bytes());
                if !v6 {
                    let sum = naive(&expect[14..34]);
                    expect[24..26].copy_from_slice(&sum.to_be_bytes());
                }
                assert!(taken == expect, "{v6} {len} {padding}");
            }
            let short = Said {
                lens: (14, l4 as u64 - 14, 8),
                ..said
            };
            assert!(take_one(&bytes, short).is_err());
        }
        let (bytes, l4, _) = sctp(v6, &vec![1; 9728], 0);
        let said = Said {
            cmd: SCTP | if v6 { IPV6 } else { IPV4 },
            lens: (14, l4 as u64 - 14, 12),
            ..Said::default()
        };
        assert!(
            take_one(&bytes, said).is_err(),
            "longer than any frame of hardware"
        );
    }
}

/// A copied head has room for a tag, however long the headers are.
#[test]
fn a_tag_finds_room_behind_the_longest_headers() {
    let spec = Spec {
        v6: true,
        extensions: vec![(60, 17)],
        tcp_options: 8,
        payload: vec![3; 4000],
        ..Spec::default()
    };
    let built = spec.build(true);
    let (bytes, said) = asked(&built, &spec, Kind::Large(900), true);
    assert!((240..=252).contains(&built.end), "{}", built.end);
    let said = Said {
        cmd: said.cmd | IL2TAG1,
        tag: 0x1fff,
        ..said
    };
    let (taken, meta) = take_one(&bytes, said).unwrap();
    assert_eq!(
        taken[12..16],
        [0x81, 0, 0x1f, 0xff],
        "the drop-eligible bit is the driver's"
    );
    assert_eq!(taken[16..], built.bytes[12..]);
    assert!(meta.check(&taken[..256], taken.len()).is_ok());
}

/// Its length has four bits, which are no part of the version.
#[test]
fn an_ip_header_has_no_more_bytes_than_it_can_say() {
    let mut bytes = tcp().build(false).bytes;
    let said = |len| Said {
        cmd: IPV4_CSUM,
        lens: (14, len, 0),
        ..Said::default()
    };
    assert!(take_one(&bytes, said(20)).is_ok());
    bytes[14] = 0x55;
    for len in [20, 84] {
        assert_eq!(
            take_one(&bytes, said(len)).err(),
            Some(FrameFault::Contradicted)
        );
    }
}
