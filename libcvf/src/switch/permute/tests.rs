use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn undoes_itself(secret: [u64; 3], vid in 0..4096_u16, mac in 0..1_u64 << 48) {
        let permute = Permutation::keyed(secret);
        let key = permute.apply(Vid(vid), PackedMac::from_bits(mac));
        prop_assert_eq!(key >> KEY_BITS, 0);
        prop_assert_eq!(permute.invert(key), (Vid(vid), PackedMac::from_bits(mac)));
    }
}

/// Addresses that differ in few bits, as those of one vendor do, must not share few sets.
#[test]
fn neighbours_spread() {
    for round in 0..20 {
        let permute = Permutation::random();
        for shift in [0, 8, 24, 36] {
            let mut used = [0_u32; 256];
            for n in 0..4096_u64 {
                let key =
                    permute.apply(Vid(0), PackedMac::from_bits(0x5254_0000_0000 ^ n << shift));
                used[(key % 256) as usize] += 1;
            }
            // 16 on average; an even hash has 40 about once in 10^6 cells.
            let most = used.iter().max().copied().unwrap_or_default();
            assert!(
                most < 64,
                "round {round}, shift {shift}: {most} in one of 256"
            );
        }
    }
}
