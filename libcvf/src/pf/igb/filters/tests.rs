use std::collections::HashMap;

use proptest::prelude::*;

use super::{PoolFilter, Tables};
use crate::control::MacAddr;
use crate::pf::igb::regs;

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn filter() -> impl Strategy<Value = PoolFilter> {
    let macs = prop::collection::hash_set(0u8..6, 0..=3);
    let vlans = prop::option::of(prop::collection::hash_set(1u16..4095, 0..6));
    (macs, vlans, any::<[bool; 3]>(), 60u16..2000).prop_map(
        |(macs, vlans, [untagged, multicast, broadcast], longest)| PoolFilter {
            macs: macs.into_iter().map(mac).collect(),
            vlans: vlans.map(|vlans| vlans.into_iter().collect()),
            untagged,
            multicast,
            broadcast,
            longest,
        },
    )
}

#[test]
fn every_pool_has_its_share_of_addresses() {
    let many = |from: u8, count: u8| {
        Some(PoolFilter {
            macs: (from..from + count).map(mac).collect(),
            ..PoolFilter::default()
        })
    };
    let full: Vec<_> = (0..8).map(|pool| many(3 * pool, 3)).collect();
    assert!(Tables::of(&full, &Tables::default()).is_ok());
    assert!(Tables::of(&[many(0, 4)], &Tables::default()).is_err());
}

#[test]
fn more_vlans_than_entries_are_left_to_software() {
    let some = |vlans: Option<Vec<u16>>| {
        Some(PoolFilter {
            vlans,
            ..PoolFilter::default()
        })
    };
    let tables = |vlans| Tables::of(&[some(vlans)], &Tables::default()).expect("room");
    assert!(!tables(Some((1..33).collect())).vlans_overflow);
    assert!(tables(Some((1..34).collect())).vlans_overflow);
    assert!(tables(None).vlans_overflow);
}

proptest! {
    /// Written one after the other, only with what differs, registers are in the end what they would be if the last
    /// tables were written alone.
    #[test]
    fn differences_add_up(steps in prop::collection::vec(prop::collection::vec(prop::option::of(filter()), 8), 1..6)) {
        let mut registers = HashMap::new();
        let mut before = Tables::default();
        for pools in &steps {
            let tables = Tables::of(pools, &before).expect("three addresses fit");
            // What a pool has before and afterwards is never touched: no frame of a neighbour's is lost.
            let mut touched = Vec::new();
            tables.put(&before, |register, value| {
                touched.push(register);
                registers.insert(register, value);
            });
            for (entry, (new, old)) in tables.addresses.iter().zip(&before.addresses).enumerate() {
                prop_assert!(new != old || !touched.contains(&regs::rah(entry as u32)));
            }
            for (now, was) in tables.addresses.iter().filter(|now| now.1 != 0).map(|now| {
                (now, before.addresses.iter().position(|was| was == now))
            }) {
                if let Some(was) = was {
                    prop_assert_eq!(&tables.addresses[was], now, "an address has moved");
                }
            }
            before = tables;
        }
        let mut fresh = HashMap::new();
        before.put(&Tables::default(), |register, value| { fresh.insert(register, value); });
        let valid = |all: &HashMap<u32, u32>, register: u32| all.get(&register).copied().unwrap_or_default();
        for entry in 0..regs::RAR_ENTRIES as u32 {
            let high = valid(&registers, regs::rah(entry));
            prop_assert_eq!(high, valid(&fresh, regs::rah(entry)));
            if high & regs::RAH_VALID != 0 {
                prop_assert_eq!(valid(&registers, regs::ral(entry)), valid(&fresh, regs::ral(entry)));
            }
        }
        for register in (0..32).map(regs::vlvf).chain((0..128).map(regs::vfta)).chain((0..8).map(regs::vmolr)) {
            prop_assert_eq!(valid(&registers, register), valid(&fresh, register));
        }
    }

    /// Every address and VLAN of a pool is in the tables for it, and nothing for anybody else.
    #[test]
    fn tables_hold_what_pools_take(pools in prop::collection::vec(prop::option::of(filter()), 8)) {
        let tables = Tables::of(&pools, &Tables::default()).expect("room");
        for (pool, filter) in pools.iter().enumerate() {
            let bit = 1u8 << pool;
            let in_table: Vec<_> = tables.addresses.iter().filter(|(_, pools)| pools & bit != 0).map(|(mac, _)| *mac).collect();
            let wanted = filter.as_ref().map_or(&[][..], |filter| &filter.macs);
            prop_assert_eq!(in_table.len(), wanted.len());
            prop_assert!(wanted.iter().all(|mac| in_table.contains(mac)));
            if !tables.vlans_overflow {
                let in_table: Vec<_> = tables.vlans.iter().filter(|(_, pools)| pools & bit != 0).map(|(vlan, _)| *vlan).collect();
                let wanted: Vec<u16> = filter.iter().flat_map(|filter| filter.vlans.clone().unwrap_or_default()).collect();
                prop_assert_eq!(in_table.len(), wanted.len());
                prop_assert!(wanted.iter().all(|vlan| in_table.contains(vlan)));
            }
        }
    }
}
