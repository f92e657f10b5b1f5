use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Keys share shards and slots often.
    #[test]
    fn behaves_like_a_map_and_leaves_the_old_one_alone(
        ops in prop::collection::vec((0..4_u64, 0..40_u64, prop::option::of(any::<u32>())), 0..200),
    ) {
        let mut table = Table::new();
        let mut model: HashMap<u64, u32> = HashMap::new();
        for (low, high, value) in ops {
            let key = low | high << 59;
            let (old_table, old_model) = (table.clone(), model.clone());
            table.set(key, value);
            match value {
                Some(value) => drop(model.insert(key, value)),
                None => drop(model.remove(&key)),
            }
            for (table, model) in [(&old_table, &old_model), (&table, &model)] {
                for key in (0..4).flat_map(|low| (0..40).map(move |high| low | high << 59)) {
                    prop_assert_eq!(table.get(key), model.get(&key));
                }
            }
        }
    }
}

#[test]
fn a_change_copies_one_shard() {
    let mut table = Table::new();
    for key in 0..10_000_u64 {
        table.set(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4, Some(key));
    }
    let old = table.clone();
    table.set(77, Some(1));
    let shared = old
        .shards
        .iter()
        .zip(&table.shards)
        .filter(|(a, b)| Arc::ptr_eq(a, b))
        .count();
    assert_eq!(shared, SHARDS - 1);
    assert!(table.shards.iter().all(|shard| {
        let used = shard.iter().filter(|slot| slot.key != EMPTY).count();
        used * 2 < shard.len()
    }));
}
