use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::layout::{rx, tx};
use super::super::marks::Marks;
use super::super::{advanced, distance, runs};

/// The numbers as the data sheets have them.
#[test]
fn fields_are_where_they_belong() {
    let mask = |last: u32, first: u32| (first..=last).fold(0u64, |mask, bit| mask | 1 << bit);
    for (field, last, first) in [
        (tx::DTYPE, 3, 0),
        (tx::CMD, 13, 4),
        (tx::MACLEN, 22, 16),
        (tx::IPLEN, 29, 23),
        (tx::L4LEN, 33, 30),
        (tx::BUF_SIZE, 47, 34),
        (tx::L2TAG1, 63, 48),
        (tx::TUNNELING, 31, 0),
        (tx::L2TAG2, 47, 32),
        (tx::CONTEXT_CMD, 19, 4),
        (tx::TSO_LEN, 47, 30),
        (tx::MSS, 63, 50),
        (rx::L2TAG1, 31, 16),
        (rx::RSS_HASH, 63, 32),
        (rx::FLTSTAT, 13, 12),
        (rx::PTYPE, 37, 30),
        (rx::LENGTH, 51, 38),
    ] {
        assert_eq!(field.mask(), mask(last, first), "{last}:{first}");
        assert_eq!(field.put(u64::MAX), field.mask());
        assert_eq!(field.put(1), 1 << first);
        assert_eq!(field.get(u64::MAX), u64::MAX >> (63 - (last - first)));
        assert_eq!(field.get(!field.mask()), 0);
    }
}

#[test]
fn fields_of_a_word_do_not_overlap() {
    let data = [
        tx::DTYPE,
        tx::CMD,
        tx::MACLEN,
        tx::IPLEN,
        tx::L4LEN,
        tx::BUF_SIZE,
        tx::L2TAG1,
    ];
    let context = [tx::DTYPE, tx::CONTEXT_CMD, tx::TSO_LEN, tx::MSS];
    let back = [rx::FLTSTAT, rx::PTYPE, rx::LENGTH];
    for fields in [&data[..], &context, &back] {
        let all = fields.iter().fold(0, |all, field| {
            assert_eq!(all & field.mask(), 0);
            all | field.mask()
        });
        assert_eq!(
            all & (rx::DD | rx::EOF | rx::L2TAG1P | rx::L3L4P) & back[0].mask(),
            0
        );
    }
}

proptest! {
    #[test]
    fn runs_cover_what_is_between(size in (2u16..=128).prop_map(|n| n * 32), from: u16, by: u16) {
        let (from, by) = (from % size, by % size);
        let to = advanced(from, by, size);
        prop_assert_eq!(to, ((u32::from(from) + u32::from(by)) % u32::from(size)) as u16);
        prop_assert_eq!(distance(from, to, size), by);
        let all: Vec<_> = runs(from, to, size).into_iter().flat_map(|(from, to)| from..to).collect();
        let expect: Vec<_> = (0..by).map(|nth| advanced(from, nth, size)).collect();
        prop_assert_eq!(all, expect);
    }

    /// As a set of numbers.
    #[test]
    fn marks_are_a_set(
        size in (2u16..=8).prop_map(|n| n * 32),
        steps in prop::collection::vec((0u8..5, any::<u16>(), any::<u16>(), any::<u32>()), 1..60),
    ) {
        let (mut marks, mut model) = (Marks::new(size), BTreeSet::new());
        for (step, a, b, bits) in steps {
            let (a, b) = (a % size, b % (size + 1));
            match step {
                0 => {
                    marks.add(a);
                    model.insert(a);
                }
                1 => prop_assert_eq!(marks.remove(a), model.remove(&a)),
                2 => {
                    let bits = if size - a < 32 { bits & ((1 << (size - a)) - 1) } else { bits };
                    marks.add_row(a, bits);
                    model.extend((0..32).filter(|bit| bits >> bit & 1 != 0).map(|bit| a + bit));
                }
                3 => {
                    let mut out = Vec::new();
                    marks.drain((a, b), |index| out.push(index));
                    let expect: Vec<_> = model.iter().copied().filter(|n| (a..b).contains(n)).collect();
                    model.retain(|n| !(a..b).contains(n));
                    prop_assert_eq!(out, expect);
                }
                _ => prop_assert_eq!(marks.first((a, b)), model.iter().copied().find(|n| (a..b).contains(n))),
            }
        }
    }
}
