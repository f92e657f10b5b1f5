use proptest::prelude::*;

use super::*;

#[test]
fn names_are_the_specifications_in_bit_order() {
    assert_eq!(feature_names(0), [""; 0]);
    assert_eq!(
        feature_names(1 << 63 | 1 << 5 | 1 << 32),
        ["MAC", "VERSION_1", "SPEED_DUPLEX"]
    );
    assert_eq!(feature_names(1 << 4 | 1 << 62), [""; 0], "not built");
    assert_eq!(feature_names(u64::MAX).len(), BUILT.count_ones() as usize);
}

#[test]
fn receive_offloads_follow_their_bits() {
    assert_eq!(receive_offloads(0), Accepts::default());
    assert_eq!(receive_offloads(GUEST_CSUM), Accepts::CSUM);
    let tso = Accepts::CSUM.with(Accepts::TSO4).with(Accepts::ECN);
    assert_eq!(
        receive_offloads(GUEST_CSUM | GUEST_TSO4 | GUEST_ECN | HOST_TSO6),
        tso
    );
    assert_eq!(
        receive_offloads(GUEST_CSUM | GUEST_ECN),
        Accepts::CSUM,
        "no ECN without TSO"
    );
    assert_eq!(receive_offloads(u64::MAX), Accepts(0x7f));
}

proptest! {
    /// What is offered always satisfies its own dependencies and stays within the mask.
    #[test]
    fn any_mask_leaves_a_consistent_offer(mask: u64, pairs in 1u16..=64) {
        let offered = offer(pairs, mask);
        prop_assert_eq!(broken_dependency(offered), None);
        prop_assert_eq!(offered & !(mask & BUILT | VERSION_1), 0);
        prop_assert!(pairs > 1 || offered & (MQ | RSS) == 0);
    }
}
