//! Tests, and the table against a model that knows every page.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const LIMITS: DmaTableLimits = DmaTableLimits {
    maps: 8,
    size: 1 << 40,
    page: 0x1000,
};

#[test]
fn the_last_page_of_the_address_space_can_be_mapped() {
    let mut table = DmaTable::default();
    let last = u64::MAX - 0xfff;
    table.insert((last, 0x1000), true, true, LIMITS).unwrap();
    assert_eq!(table.check(last, 0x1000, true), Ok(()));
    assert_eq!(
        table.check(last, 0x1001, true),
        Err(DmaTableError::Unmapped(last))
    );
    assert!(table.insert((last, 0x2000), true, true, LIMITS).is_err());
}

#[test]
fn a_whole_address_space_cannot_be_one_map_but_two() {
    let limits = DmaTableLimits {
        size: u64::MAX,
        ..LIMITS
    };
    let mut table = DmaTable::default();
    table.insert((0, 1 << 63), true, true, limits).unwrap();
    table
        .insert((1 << 63, 1 << 63), true, true, limits)
        .unwrap();
    assert_eq!(table.check((1 << 63) - 1, 2, true), Ok(()));
}

#[test]
fn permissions_are_kept_apart() {
    let mut table = DmaTable::default();
    table.insert((0, 0x1000), true, false, LIMITS).unwrap();
    table.insert((0x1000, 0x1000), false, true, LIMITS).unwrap();
    assert_eq!(
        (table.extent(0, 9, false), table.extent(0, 9, true)),
        (9, 0)
    );
    assert_eq!(
        (
            table.extent(0x1000, 9, false),
            table.extent(0x1000, 9, true)
        ),
        (0, 9)
    );
}

#[derive(Clone, Debug)]
enum Step {
    Map(u64, u64),
    Unmap(u64, u64),
    Refuse(u64, u64),
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = || (0u64..24, 1u64..6);
    prop::collection::vec(
        prop_oneof![
            4 => range().prop_map(|(at, len)| Step::Map(at, len)),
            2 => range().prop_map(|(at, len)| Step::Unmap(at, len)),
            1 => range().prop_map(|(at, len)| Step::Refuse(at, len)),
            1 => Just(Step::Clear),
        ],
        1..60,
    )
}

proptest! {
    #[test]
    fn agrees_with_a_model_of_pages(steps in steps()) {
        let mut table = DmaTable::default();
        let mut maps: BTreeSet<(u64, u64)> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Map(at, len) => {
                    let overlap = maps.iter().any(|&(a, l)| at < a + l && a < at + len);
                    let result = table.insert((at << 12, len << 12), true, true, LIMITS);
                    let ok = !overlap && maps.len() < LIMITS.maps;
                    prop_assert_eq!(result.is_ok(), ok, "{:?}", result);
                    if ok {
                        maps.insert((at, len));
                    }
                }
                Step::Unmap(at, len) => {
                    let known = maps.remove(&(at, len));
                    prop_assert_eq!(table.leave(at << 12, len << 12).is_ok(), known);
                    if known {
                        prop_assert_eq!(table.extent(at << 12, 1, true), 0);
                        table.remove(at << 12);
                    }
                }
                Step::Refuse(at, len) => {
                    if table.leave(at << 12, len << 12).is_ok() {
                        table.stay(at << 12);
                    }
                }
                Step::Clear => {
                    table.clear();
                    maps.clear();
                }
            }
            prop_assert_eq!(table.len(), maps.len());
            for page in 0..30u64 {
                let mapped = maps.iter().any(|&(a, l)| (a..a + l).contains(&page));
                prop_assert_eq!(table.check(page << 12, 0x1000, true).is_ok(), mapped);
            }
        }
    }
}
