use proptest::prelude::*;

use super::super::parse::{EthView, ParseError};
use super::super::testutil::Spec;
use super::*;

/// The edit done on a vector, the slow way.
fn model(edit: VlanEdit, frame: &[u8]) -> Vec<u8> {
    let mut out = frame.to_vec();
    match edit {
        VlanEdit::Keep => {}
        VlanEdit::Strip => drop(out.drain(12..16)),
        VlanEdit::Insert(vid, style) => {
            let top = style.priority.unwrap_or(0) << 5;
            let [a, b] = kind(style);
            out.splice(12..12, [a, b, top | (vid >> 8) as u8 & 0xf, vid as u8]);
        }
        VlanEdit::Retag(vid, style) => {
            let top = style.priority.map_or(out[14] & 0xf0, |p| p << 5);
            out[12..14].copy_from_slice(&kind(style));
            out[14] = top | (vid >> 8) as u8 & 0xf;
            out[15] = vid as u8;
        }
    }
    out
}

const fn kind(style: TagStyle) -> [u8; 2] {
    if style.service {
        [0x88, 0xa8]
    } else {
        [0x81, 0]
    }
}

fn styles() -> impl Strategy<Value = TagStyle> {
    (prop::option::of(0..8_u8), any::<bool>())
        .prop_map(|(priority, service)| TagStyle { priority, service })
}

const PLAIN: TagStyle = TagStyle {
    priority: None,
    service: false,
};

fn edits() -> impl Strategy<Value = VlanEdit> {
    prop_oneof![
        Just(VlanEdit::Keep),
        Just(VlanEdit::Strip),
        (any::<u16>(), styles()).prop_map(|(vid, style)| VlanEdit::Insert(vid, style)),
        (any::<u16>(), styles()).prop_map(|(vid, style)| VlanEdit::Retag(vid, style)),
    ]
}

proptest! {
    #[test]
    fn both_ways_give_the_model_s_frame(
        edit in edits(),
        bytes in prop::collection::vec(any::<u8>(), 18..140),
        tag in prop::sample::select(vec![0x8100_u16, 0x88a8]),
    ) {
        let mut bytes = bytes;
        bytes[12..14].copy_from_slice(&tag.to_be_bytes());
        let wanted = model(edit, &bytes);

        let by_prefix = match edit.prefix(&bytes).unwrap() {
            Some(prefix) => [prefix.bytes(), &bytes[prefix.skip..]].concat(),
            None => bytes.clone(),
        };
        prop_assert_eq!(&by_prefix, &wanted);

        let mut buffer = bytes.clone();
        buffer.resize(bytes.len() + 4, 0xee);
        let len = edit.apply(&mut buffer, bytes.len()).unwrap();
        prop_assert_eq!(&buffer[..len], &wanted[..]);
        prop_assert_eq!(len as isize - bytes.len() as isize, edit.growth());
    }

    #[test]
    fn never_panics(
        edit in edits(),
        mut bytes in prop::collection::vec(any::<u8>(), 0..40),
        len in 0..50_usize,
    ) {
        let _ = edit.prefix(&bytes);
        if let Ok(new_len) = edit.apply(&mut bytes, len) {
            prop_assert!(new_len <= bytes.len());
        }
    }
}

#[test]
fn refusals() {
    let bare = Spec::default().build(false).bytes;
    let tagged = Spec {
        tags: vec![(0x8100, 7)],
        ..Spec::default()
    }
    .build(false)
    .bytes;
    let short = Err(OffloadError::Headers(ParseError::Ethernet));
    assert_eq!(VlanEdit::Strip.prefix(&bare), Err(OffloadError::NoTag));
    assert_eq!(
        VlanEdit::Retag(3, PLAIN).prefix(&bare),
        Err(OffloadError::NoTag)
    );
    assert_eq!(VlanEdit::Strip.prefix(&tagged[..17]), short);
    assert_eq!(VlanEdit::Insert(3, PLAIN).prefix(&bare[..11]), short);
    let full = bare.len();
    assert_eq!(
        VlanEdit::Insert(3, PLAIN).apply(&mut bare.clone(), full),
        Err(OffloadError::NoRoom),
        "no room"
    );
    assert_eq!(
        VlanEdit::Keep.apply(&mut bare.clone(), full + 1),
        Err(OffloadError::NoRoom)
    );
}

#[test]
fn metadata_moves_with_the_headers() {
    let meta = FrameMeta {
        csum: Csum::Partial {
            start: 34,
            offset: 16,
        },
        hdr_len: 54,
        ..FrameMeta::default()
    };
    let inserted = VlanEdit::Insert(9, PLAIN).shift(meta);
    assert_eq!(
        (inserted.csum, inserted.hdr_len),
        (
            Csum::Partial {
                start: 38,
                offset: 16
            },
            58
        )
    );
    assert_eq!(VlanEdit::Strip.shift(inserted), meta);
    assert_eq!(VlanEdit::Retag(9, PLAIN).shift(meta), meta);
    assert_eq!(
        VlanEdit::Insert(9, PLAIN).shift(FrameMeta::default()),
        FrameMeta::default()
    );
}

#[test]
fn a_retagged_priority_tag_keeps_its_priority() {
    let frame = Spec {
        tags: vec![(0x8100, 0xa000)],
        ..Spec::default()
    }
    .build(false)
    .bytes;
    let mut edited = frame.clone();
    VlanEdit::Retag(100, PLAIN)
        .apply(&mut edited, frame.len())
        .unwrap();
    let tag = EthView::parse(&edited).unwrap().tag.unwrap();
    assert_eq!((tag.pcp(), tag.vid()), (5, 100));
}

#[test]
fn a_priority_that_is_given_takes_the_place_of_the_frame_s() {
    let frame = Spec {
        tags: vec![(0x8100, 0xb000)],
        ..Spec::default()
    }
    .build(false)
    .bytes;
    let style = TagStyle {
        priority: Some(3),
        service: true,
    };
    let mut edited = frame.clone();
    VlanEdit::Retag(100, style)
        .apply(&mut edited, frame.len())
        .unwrap();
    let tag = EthView::parse(&edited).unwrap().tag.unwrap();
    assert_eq!((tag.tpid, tag.tci), (0x88a8, 3 << 13 | 100));
}
