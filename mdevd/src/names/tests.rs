use std::collections::HashSet;

use libcvf::control::MacAddr;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::limits::MAX_NAME;

fn identity() -> Identity {
    let store = Uuid::from_u128(7);
    Identity::new(HostId::from_store(store), store)
}

#[test]
fn names_at_the_edges() {
    for good in ["a", "0", "vm1.net-0_x", &"a".repeat(MAX_NAME)] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    assert_eq!(check_name(""), Err(NameError::Empty));
    assert_eq!(check_name(".hidden"), Err(NameError::Start('.')));
    assert_eq!(check_name("-x"), Err(NameError::Start('-')));
    assert_eq!(check_name("a/b"), Err(NameError::Character('/')));
    assert_eq!(check_name("a b"), Err(NameError::Character(' ')));
    assert_eq!(check_name("a\0"), Err(NameError::Character('\0')));
    assert_eq!(check_name("é"), Err(NameError::Start('é')));
    assert_eq!(
        check_name(&"a".repeat(MAX_NAME + 1)),
        Err(NameError::TooLong(MAX_NAME + 1))
    );
}

#[test]
fn machine_id_is_taken_only_when_it_is_one() {
    let id = "0123456789abcdef0123456789ABCDEF";
    assert!(HostId::from_machine_id(&format!("{id}\n")).is_some());
    assert_eq!(
        HostId::from_machine_id(id),
        HostId::from_machine_id(&id.to_ascii_lowercase()),
        "case does not matter"
    );
    for bad in [
        "",
        "uninitialized\n",
        "00000000000000000000000000000000",
        "xyz",
    ] {
        assert_eq!(HostId::from_machine_id(bad), None, "{bad}");
    }
}

#[test]
fn identities_are_stable_and_differ_by_name_host_and_store() {
    let one = identity();
    assert_eq!(one.uuid("vm1"), one.uuid("vm1"));
    assert_ne!(one.uuid("vm1"), one.uuid("vm2"));
    assert_eq!(one.uuid("vm1").get_version_num(), 5);
    let other_store = Identity::new(HostId::from_store(Uuid::from_u128(7)), Uuid::from_u128(8));
    assert_ne!(one.uuid("vm1"), other_store.uuid("vm1"));
    assert_eq!(
        one.mac("vm1", |_| false),
        other_store.mac("vm1", |_| false),
        "the host decides"
    );
    let elsewhere = Identity::new(HostId::from_store(Uuid::from_u128(9)), Uuid::from_u128(7));
    assert_ne!(one.mac("vm1", |_| false), elsewhere.mac("vm1", |_| false));
}

#[test]
fn a_taken_address_moves_on_to_the_next() {
    let id = identity();
    let first = id.mac("vm1", |_| false);
    let second = id.mac("vm1", |mac| mac == first);
    assert_ne!(first, second);
    assert_eq!(first.0[..4], second.0[..4], "a near neighbour");
}

proptest! {
    #[test]
    fn generated_addresses_are_local_unicast_and_never_collide(
        names in prop::collection::hash_set("[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", 1..64)
    ) {
        let id = identity();
        let mut taken = HashSet::<MacAddr>::new();
        for name in names {
            prop_assert!(check_name(&name).is_ok());
            let mac = id.mac(&name, |mac| taken.contains(&mac));
            prop_assert!(mac.is_unicast_nonzero());
            prop_assert_eq!(mac.0[0] & 2, 2, "locally administered");
            prop_assert!(taken.insert(mac));
        }
    }

    #[test]
    fn no_text_makes_the_name_check_panic(text in any::<String>()) {
        let _ = check_name(&text);
    }
}
