use proptest::prelude::*;

use super::{IovaRange, IovaSpace};

fn range(first: u64, last: u64) -> IovaRange {
    IovaRange { first, last }
}

#[test]
fn the_hole_of_the_interrupts_is_left_out() {
    // As an Intel IOMMU says it.
    let space = IovaSpace::new(vec![
        range(0, 0xfedf_ffff),
        range(0xfef0_0000, (1 << 39) - 1),
    ]);
    assert_eq!(space.take(0xfef0_0000, 4096, 0), Some(0xfef0_0000));
    assert_eq!(space.take(0xfee0_0000, 4096, 0), Some(0));
    assert_eq!(space.take(4096, 4096, 0), Some(0x1_fde0_0000));
}

#[test]
fn the_last_address_of_all_can_be_taken() {
    let space = IovaSpace::new(vec![range(0, u64::MAX)]);
    assert_eq!(
        space.take(4096, 4096, u64::MAX - 4095),
        Some(u64::MAX - 4095)
    );
    assert_eq!(space.take(4096, 4096, u64::MAX - 4095), None);
    assert_eq!(space.take(1, 1, u64::MAX), None);
    assert_eq!(space.take(0, 4096, 0), None, "nothing cannot be taken");
}

#[test]
fn overlapping_ranges_are_cut() {
    let space = IovaSpace::new(vec![
        range(10, 30),
        range(0, 20),
        range(15, 18),
        range(5, 4),
    ]);
    assert_eq!(space.usable(), [range(0, 20), range(21, 30)]);
    let all = IovaSpace::new(vec![range(0, u64::MAX), range(5, u64::MAX)]);
    assert_eq!(all.usable(), [range(0, u64::MAX)]);
}

proptest! {
    /// Whatever is taken and given back: what is held lies in usable ranges, is aligned, and is nobody else's; and
    /// where nothing is given there really is no hole.
    #[test]
    fn windows_never_meet(
        ranges in prop::collection::vec((0u64..300, 0u64..200), 1..4),
        steps in prop::collection::vec((any::<bool>(), 1u64..40, 0u32..5, 0u64..200), 1..60),
    ) {
        let space = IovaSpace::new(ranges.iter().map(|(at, len)| range(*at, at + len)).collect());
        let mut held: Vec<(u64, u64)> = Vec::new();
        for (take, size, align, floor) in steps {
            let align = 1 << align;
            if !take && !held.is_empty() {
                let index = size as usize % held.len();
                space.give(held.swap_remove(index).0);
                continue;
            }
            let free = |first: u64| {
                space.covers(first, size)
                    && held.iter().all(|(other, len)| first + size <= *other || other + len <= first)
            };
            let expected = (floor..600).find(|first| first % align == 0 && free(*first));
            let got = space.take(size, align, floor);
            prop_assert_eq!(got, expected);
            held.extend(got.map(|first| (first, size)));
        }
    }
}
