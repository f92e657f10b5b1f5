use proptest::prelude::*;

use super::super::testutil::naive;
use super::Checksum;

fn sum(bytes: &[u8]) -> Checksum {
    let mut sum = Checksum::new();
    sum.add(bytes);
    sum
}

#[test]
fn rfc_1071_example() {
    // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
    let sum = sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(sum.fold(), 0xddf2);
    assert_eq!(sum.finish(), !0xddf2);
}

#[test]
fn known_ipv4_header() {
    let mut header = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00,
        0x01, 0xc0, 0xa8, 0x00, 0xc7,
    ];
    assert!(sum(&header).verify());
    header[10..12].fill(0);
    assert_eq!(sum(&header).finish(), 0xb861);
    header[19] ^= 1;
    header[10..12].copy_from_slice(&0xb861_u16.to_be_bytes());
    assert!(!sum(&header).verify());
}

#[test]
fn nothing_and_all_ones() {
    assert_eq!(Checksum::new().fold(), 0);
    assert_eq!(Checksum::new().finish_nonzero(), 0xffff);
    assert_eq!(sum(&[0xff; 65_536]).fold(), 0xffff);
    assert_eq!(sum(&[0xff; 65_536]).finish(), 0);
    assert_eq!(sum(&[0xff; 65_536]).finish_nonzero(), 0xffff);
}

#[test]
fn words_of_all_ones_do_not_overflow_the_accumulator() {
    let mut sum = Checksum::new();
    for _ in 0..100_000 {
        sum.add_word(u64::MAX);
    }
    assert_eq!(sum.fold(), 0xffff);
}

proptest! {
    #[test]
    fn equals_the_slow_one_at_any_split(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let (mut whole, mut appended, mut from) = (Checksum::new(), Checksum::new(), 0);
        for cut in cuts {
            whole.add(&bytes[from..cut]);
            appended.append(sum(&bytes[from..cut]));
            from = cut;
        }
        prop_assert_eq!(whole.finish(), naive(&bytes));
        prop_assert_eq!(appended.finish(), naive(&bytes));
    }

    #[test]
    fn numbers_and_words_count_as_their_bytes(
        lead in prop::collection::vec(any::<u8>(), 0..3),
        number: u16,
        word: [u8; 8],
    ) {
        let mut sum = sum(&lead);
        sum.add_u16(number);
        sum.add_word(u64::from_ne_bytes(word));
        let bytes = [&lead[..], &number.to_be_bytes(), &word].concat();
        prop_assert_eq!(sum.finish(), naive(&bytes));
    }

    #[test]
    fn pseudo_headers(
        src: [u8; 16],
        dst: [u8; 16],
        protocol: u8,
        length: u16,
    ) {
        let tail = [&[0, 0][..], &length.to_be_bytes(), &[0, 0, 0, protocol]].concat();
        let v6 = [&src[..], &dst, &tail].concat();
        let sum = Checksum::pseudo_v6(src, dst, protocol, length.into());
        prop_assert_eq!(sum.finish(), naive(&v6));
        let (Some(src), Some(dst)) = (src.first_chunk::<4>(), dst.first_chunk::<4>()) else {
            unreachable!()
        };
        let v4 = [&src[..], dst, &[0, protocol], &length.to_be_bytes()].concat();
        prop_assert_eq!(Checksum::pseudo_v4(*src, *dst, protocol, length).finish(), naive(&v4));
    }
}
