use proptest::prelude::*;

use super::super::testutil::{Built, Spec, naive, read};
use super::super::{Checksum, ParseError, Segmenter};
use super::*;

fn gso(kind: Gso, built: &Built, size: u16) -> FrameMeta {
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

fn check(meta: &FrameMeta, frame: &[u8]) -> Result<FrameMeta, OffloadError> {
    meta.check(&frame[..frame.len().min(MAX_SEGMENT_HEADERS)], frame.len())
}

fn tcp(payload: usize) -> Built {
    Spec {
        payload: vec![5; payload],
        ..Spec::default()
    }
    .build(true)
}

#[test]
fn ordinary_frames_pass_with_nothing_left_over() {
    let frame = tcp(10);
    let meta = FrameMeta {
        gso_size: 77,
        hdr_len: 9,
        ecn: true,
        ..FrameMeta::default()
    };
    assert_eq!(check(&meta, &frame.bytes), Ok(FrameMeta::default()));
    assert_eq!(
        FrameMeta::default().check(&[], 0),
        Ok(FrameMeta::default()),
        "not even parsed"
    );
}

/// virtio 1.3 5.1.6.2; CVE-2024-11614 is a device that did not look.
#[test]
fn the_checksum_field_must_lie_in_the_frame() {
    let frame = tcp(0).bytes;
    let partial = |start, offset| {
        let csum = Csum::Partial { start, offset };
        FrameMeta {
            csum,
            ..FrameMeta::default()
        }
        .check(&frame, frame.len())
    };
    let len = frame.len() as u16;
    assert!(partial(34, 16).is_ok());
    assert!(partial(34, len - 34 - 2).is_ok());
    assert_eq!(partial(34, len - 34 - 1), Err(OffloadError::CsumPastEnd));
    assert_eq!(partial(len, 0), Err(OffloadError::CsumPastEnd));
    assert_eq!(partial(u16::MAX, u16::MAX), Err(OffloadError::CsumPastEnd));
    assert_eq!(partial(13, 4), Err(OffloadError::CsumInLinkHeader));
    assert_eq!(partial(0, 0), Err(OffloadError::CsumInLinkHeader));
    assert!(partial(14, 0).is_ok());
    // Room for a tag that may be inserted.
    let far = |start| {
        let csum = Csum::Partial { start, offset: 0 };
        FrameMeta {
            csum,
            ..FrameMeta::default()
        }
        .check(&frame, crate::limits::MAX_FRAME)
    };
    assert!(far(u16::MAX - 4).is_ok());
    assert_eq!(far(u16::MAX - 3), Err(OffloadError::CsumPastEnd));
}

#[test]
fn a_checksum_cannot_change_the_vlan_that_the_switch_read() {
    let frame = Spec {
        tags: vec![(0x8100, 5)],
        ..Spec::default()
    }
    .build(true)
    .bytes;
    let csum = Csum::Partial {
        start: 14,
        offset: 0,
    };
    let meta = FrameMeta {
        csum,
        ..FrameMeta::default()
    };
    assert_eq!(
        meta.check(&frame, frame.len()),
        Err(OffloadError::CsumInLinkHeader)
    );
}

#[test]
fn large_send_refusals_by_name() {
    let frame = tcp(3000);
    let good = gso(Gso::TcpV4, &frame, 1000);
    let with = |change: &dyn Fn(&mut FrameMeta)| {
        let mut meta = good;
        change(&mut meta);
        check(&meta, &frame.bytes)
    };
    let checked = with(&|meta| meta.hdr_len = 60_000).unwrap();
    assert_eq!(checked.hdr_len, 54, "hdr_len is a hint, never trusted");
    assert_eq!(
        with(&|meta| meta.csum = Csum::None),
        Err(OffloadError::GsoWithoutCsum)
    );
    assert_eq!(
        with(&|meta| meta.csum = Csum::Valid),
        Err(OffloadError::GsoWithoutCsum)
    );
    assert_eq!(
        with(&|meta| meta.gso_size = 0),
        Err(OffloadError::GsoSizeZero)
    );
    for kind in [Gso::TcpV6, Gso::Ufo, Gso::Udp] {
        assert_eq!(
            with(&|meta| meta.gso = kind),
            Err(OffloadError::GsoMismatch)
        );
    }
    for (start, offset) in [(34, 6), (38, 16), (14, 10)] {
        let csum = Csum::Partial { start, offset };
        assert_eq!(
            with(&|meta| meta.csum = csum),
            Err(OffloadError::GsoCsumElsewhere)
        );
    }
    assert!(with(&|meta| meta.gso_size = 3).is_ok(), "1,000 segments");
    assert_eq!(
        with(&|meta| meta.gso_size = 2),
        Err(OffloadError::TooManySegments)
    );
    let exact = tcp(MAX_SEGMENTS);
    assert!(check(&gso(Gso::TcpV4, &exact, 1), &exact.bytes).is_ok());
    let over = tcp(MAX_SEGMENTS + 1);
    assert_eq!(
        check(&gso(Gso::TcpV4, &over, 1), &over.bytes),
        Err(OffloadError::TooManySegments)
    );
}

#[test]
fn a_segment_s_ip_length_must_fit() {
    // 14 + 20 + 20 of headers, and eight bytes of room.
    let fits = tcp(65_535 - 48);
    assert!(check(&gso(Gso::TcpV4, &fits, u16::MAX), &fits.bytes).is_ok());
    let over = tcp(65_535 - 47);
    assert_eq!(
        check(&gso(Gso::TcpV4, &over, u16::MAX), &over.bytes),
        Err(OffloadError::SegmentTooLong)
    );
    assert!(check(&gso(Gso::TcpV4, &over, 1400), &over.bytes).is_ok());
}

#[test]
fn ufo_refusals_by_name() {
    let udp = Spec {
        udp: true,
        payload: vec![1; 4000],
        ..Spec::default()
    };
    let frame = udp.build(true);
    assert!(check(&gso(Gso::Ufo, &frame, 8), &frame.bytes).is_ok());
    assert_eq!(
        check(&gso(Gso::Ufo, &frame, 7), &frame.bytes),
        Err(OffloadError::GsoSizeZero)
    );
    // The longest datagram that IP can say, and, of IPv6, one with room for the fragments' header.
    for (v6, most) in [(false, 65_535 - 28), (true, 65_535 - 48 - 8)] {
        for (payload, fits) in [(most, true), (most + 1, false)] {
            let long = Spec {
                v6,
                payload: vec![1; payload],
                ..udp.clone()
            };
            let long = long.build(true);
            let meta = check(&gso(Gso::Ufo, &long, 1400), &long.bytes);
            assert_eq!(
                meta.map(|_| ()),
                if fits {
                    Ok(())
                } else {
                    Err(OffloadError::SegmentTooLong)
                }
            );
        }
    }
    let v6 = |extensions| {
        let frame = Spec {
            v6: true,
            extensions,
            ..udp.clone()
        }
        .build(true);
        check(&gso(Gso::Ufo, &frame, 1400), &frame.bytes).map(|_| ())
    };
    assert_eq!(v6(vec![(0, 0)]), Ok(()));
    assert_eq!(v6(vec![(60, 0)]), Err(OffloadError::GsoExtension));
    assert_eq!(v6(vec![(43, 0)]), Err(OffloadError::GsoExtension));
    assert_eq!(v6(vec![(44, 0)]), Err(OffloadError::GsoFragment));
}

#[test]
fn tcp_over_ipv6_bears_options_but_no_routing_header() {
    let v6 = |extensions| {
        let spec = Spec {
            v6: true,
            extensions,
            payload: vec![0; 900],
            ..Spec::default()
        };
        let frame = spec.build(true);
        check(&gso(Gso::TcpV6, &frame, 100), &frame.bytes).map(|_| ())
    };
    assert_eq!(v6(vec![(0, 1), (60, 1)]), Ok(()));
    assert_eq!(v6(vec![(43, 2)]), Err(OffloadError::GsoExtension));
}

#[test]
fn headers_must_end_within_what_is_copied() {
    let spec = |units| Spec {
        v6: true,
        extensions: vec![(60, units)],
        payload: vec![0; 5000],
        ..Spec::default()
    };
    let meta = |built: &Built| gso(Gso::TcpV6, built, 1000);
    // 14 + 40 + 8 + 8 * units + 20
    let fits = spec(21).build(true);
    assert_eq!(fits.end, 250);
    assert!(check(&meta(&fits), &fits.bytes).is_ok());
    let over = spec(22).build(true);
    assert_eq!(
        check(&meta(&over), &over.bytes),
        Err(OffloadError::Headers(ParseError::Tcp))
    );
    assert_eq!(
        meta(&fits).check(&fits.bytes[..100], fits.bytes.len()),
        Err(OffloadError::Headers(ParseError::Ipv6)),
        "the caller copied too little"
    );
    assert_eq!(
        check(&meta(&fits), &fits.bytes[..249]),
        Err(OffloadError::Headers(ParseError::Tcp)),
        "truncated headers"
    );
}

#[test]
fn what_receivers_take() {
    let frame = tcp(10);
    let all = Accepts(0x7f);
    let none = Accepts::default();
    let partial = FrameMeta {
        csum: gso(Gso::TcpV4, &frame, 1).csum,
        ..FrameMeta::default()
    };
    assert_eq!(none.takes(&FrameMeta::default(), false), Deliver::Whole);
    let valid = FrameMeta {
        csum: Csum::Valid,
        ..FrameMeta::default()
    };
    assert_eq!(none.takes(&valid, false), Deliver::Whole);
    assert_eq!(none.takes(&partial, false), Deliver::FinishChecksum);
    assert_eq!(Accepts::CSUM.takes(&partial, true), Deliver::Whole);
    let needs = [
        (Gso::TcpV4, false, Accepts::TSO4),
        (Gso::TcpV6, true, Accepts::TSO6),
        (Gso::Ufo, false, Accepts::UFO),
        (Gso::Ufo, true, Accepts::UFO),
        (Gso::Udp, false, Accepts::USO4),
        (Gso::Udp, true, Accepts::USO6),
    ];
    for (kind, v6, bit) in needs {
        let meta = gso(kind, &frame, 100);
        assert_eq!(all.takes(&meta, v6), Deliver::Whole);
        assert_eq!(bit.with(Accepts::CSUM).takes(&meta, v6), Deliver::Whole);
        assert_eq!(
            bit.takes(&meta, v6),
            Deliver::Segment,
            "needs its checksum taken too"
        );
        assert_eq!(Accepts(0x7f & !bit.0).takes(&meta, v6), Deliver::Segment);
        let ecn = FrameMeta { ecn: true, ..meta };
        assert_eq!(bit.with(Accepts::CSUM).takes(&ecn, v6), Deliver::Segment);
        assert_eq!(all.takes(&ecn, v6), Deliver::Whole);
    }
}

#[test]
fn every_reason_has_its_own_counter() {
    use OffloadError as E;
    let all = [
        E::Headers(ParseError::Tcp),
        E::CsumPastEnd,
        E::CsumInLinkHeader,
        E::GsoWithoutCsum,
        E::GsoCsumElsewhere,
        E::GsoSizeZero,
        E::GsoMismatch,
        E::GsoFragment,
        E::GsoExtension,
        E::SegmentTooLong,
        E::TooManySegments,
        E::NoRoom,
        E::NoTag,
    ];
    for (at, reason) in all.iter().enumerate() {
        assert_eq!(reason.index(), at);
    }
    assert_eq!(all.len(), E::COUNT);
    assert_eq!(E::SegmentTooLong.name(), "segment_too_long");
}

fn kinds() -> impl Strategy<Value = Gso> {
    prop::sample::select(vec![Gso::None, Gso::TcpV4, Gso::TcpV6, Gso::Ufo, Gso::Udp])
}

proptest! {
    #[test]
    fn a_finished_checksum_is_right(
        v6: bool,
        udp: bool,
        tags in prop::collection::vec(Just((0x8100_u16, 3_u16)), 0..2),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let built = Spec { v6, udp, tags, payload, ..Spec::default() }.build(true);
        let offset = if udp { 6 } else { 16 };
        let csum = Csum::Partial { start: built.l4 as u16, offset };
        let meta = FrameMeta { csum, ..FrameMeta::default() };
        let mut frame = built.bytes;
        prop_assert_eq!(meta.check(&frame, frame.len()), Ok(meta));
        let fix = meta.checksum_fix(frame.len()).unwrap().unwrap();
        let mut sum = Checksum::new();
        sum.add(&frame[fix.start..]);
        prop_assert_eq!(sum.finish(), naive(&frame[fix.start..]));
        frame[fix.at..fix.at + 2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        prop_assert!(read(&frame, built.l3).verified);
    }

    /// Whatever a guest says about whatever frame: no panic; what passes can be cut, into what was
    /// promised, out of bytes that are there.
    #[test]
    fn hostile_metadata_on_damaged_frames(
        v6: bool,
        udp: bool,
        extensions in prop::collection::vec((prop::sample::select(vec![0_u8, 43, 44, 60, 51]), 0..30_u8), 0..3),
        payload in 0..3000_usize,
        kind in kinds(),
        gso_size in prop_oneof![0..20_u16, any::<u16>()],
        aimed: bool,
        start: u16,
        offset: u16,
        damage in prop::collection::vec((0..200_usize, any::<u8>()), 0..3),
        cut in prop::option::of(0..300_usize),
    ) {
        let spec = Spec { v6, udp, extensions, payload: vec![3; payload], ..Spec::default() };
        let built = spec.build(true);
        let mut meta = gso(kind, &built, gso_size);
        if !aimed {
            meta.csum = Csum::Partial { start, offset };
        }
        let mut frame = built.bytes;
        for (at, byte) in damage {
            if let Some(slot) = frame.get_mut(at) {
                *slot = byte;
            }
        }
        frame.truncate(cut.unwrap_or(usize::MAX));
        let copied = &frame[..frame.len().min(MAX_SEGMENT_HEADERS)];
        let checked = meta.check(copied, frame.len());
        prop_assert!(meta.checksum_fix(frame.len()).unwrap_or_default().is_none_or(|fix| fix.at + 2 <= frame.len()));
        if kind == Gso::None {
            return Ok(());
        }
        let segmenter = Segmenter::new(&meta, copied, frame.len());
        prop_assert!(checked.is_err() || segmenter.is_ok(), "what passes can be cut");
        let Ok(mut segmenter) = segmenter else { return Ok(()) };
        let (count, longest) = (segmenter.count(), segmenter.longest());
        prop_assert!(count <= MAX_SEGMENTS);
        let mut scratch = [0; super::super::SEGMENT_SCRATCH];
        let (mut made, mut next) = (0, usize::from(segmenter.headers().end));
        while let Some(segment) = segmenter.next_into(&mut scratch) {
            prop_assert_eq!(segment.payload.start, next);
            prop_assert!(segment.header_len + 4 <= scratch.len());
            prop_assert!(segment.header_len + segment.payload.len() <= longest);
            next = segment.payload.end;
            if let Some(checksum) = segment.checksum {
                prop_assert!(checksum.at + 2 <= segment.header_len);
                prop_assert!(checksum.covers.end <= frame.len());
            }
            made += 1;
        }
        prop_assert_eq!(made, count);
        prop_assert_eq!(next, frame.len());
    }
}
