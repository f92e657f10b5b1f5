use std::sync::Arc;

use libcvf::control::{DeviceFacts, Gatekeeper, MacAddr, QueuePolicy};

use super::*;
use crate::{ProfileGatekeeper, explain_for, rule, shipped};

fn profile(name: &str) -> Profile {
    let all = shipped().into_iter().map(|shipped| shipped.profile);
    let mut all = all.filter(|profile| profile.name == name);
    all.next().expect("shipped")
}

fn facts() -> DeviceFacts {
    DeviceFacts {
        assigned_mac: MacAddr([0x52, 0x54, 0, 0, 0, 1]),
        queue_pairs: 4,
        access_vlan: None,
        joined_vlans: 0,
    }
}

const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn requests() -> Vec<ControlRequest> {
    let lists = |unicast: Vec<MacAddr>, multicast: Vec<MacAddr>| ControlRequest::SetMacFilter {
        unicast,
        multicast,
    };
    vec![
        ControlRequest::SetMac(OTHER),
        lists(vec![OTHER], vec![]),
        ControlRequest::Promiscuous(true),
        ControlRequest::AllUnicast(true),
        ControlRequest::AllMulticast(true),
        lists(vec![], vec![MacAddr([1, 0, 0x5e, 0, 0, 1])]),
    ]
}

/// Which of [`requests`] are allowed.
fn allowed(name: &str, given: &Given) -> Vec<bool> {
    let gate = ProfileGatekeeper::of(&Arc::new(profile(name)), given.clone());
    let judge = |request: &ControlRequest| {
        let decided = gate.decide(&facts(), request);
        let told = explain_for(
            &profile(name),
            &facts(),
            given,
            &QueuePolicy::default(),
            request,
        );
        assert_eq!(decided.is_ok(), told.allowed, "{request:?}");
        if let Err(denial) = &decided {
            assert_eq!(Some(denial.rule), told.rule);
            assert_eq!(Some(&denial.reason), told.reason.as_ref());
        }
        decided.is_ok()
    };
    requests().iter().map(judge).collect()
}

#[test]
fn attributes_count_whatever_the_profile_says() {
    let none = Given::default();
    let given = |trust, promiscuous, multicast| Given {
        trust,
        promiscuous,
        multicast,
        ..Given::default()
    };
    // Own address, another in the filter, all frames, all unicast, all multicast, one group.
    let table: [(&str, Given, [bool; 6]); 8] = [
        ("container", given(Some(true), None, None), [true; 6]),
        ("lab", none, [true; 6]),
        (
            "lab",
            given(Some(false), None, None),
            [false, false, false, false, false, true],
        ),
        (
            "lab",
            given(None, Some(false), None),
            [true, true, false, false, true, true],
        ),
        (
            "lab",
            given(None, None, Some(false)),
            [true, true, true, true, false, false],
        ),
        (
            "lab",
            given(Some(false), Some(true), None),
            [false, false, true, true, false, true],
        ),
        (
            "container",
            given(Some(true), Some(false), Some(false)),
            [true, true, false, false, false, false],
        ),
        ("lab", given(Some(true), None, None), [true; 6]),
    ];
    for (name, given, expected) in table {
        assert_eq!(allowed(name, &given), expected, "{name}{given}");
    }
}

#[test]
fn spoof_checks_are_raised_or_lowered_and_vlans_stay() {
    let given = |spoof_check, trust| Given {
        spoof_check,
        trust,
        ..Given::default()
    };
    let spoof = |name: &str, given: Given| given.over(&profile(name)).spoof;
    let off = spoof("tenant", given(Some(false), None));
    assert_eq!(
        (off.mac, off.arp, off.nd),
        (SourceMac::Any, Neighbour::Off, Neighbour::Off)
    );
    assert_eq!(off.vlan, profile("tenant").spoof.vlan);
    let on = spoof("lab", given(Some(true), None));
    assert_eq!((on.mac, on.vlan), (SourceMac::Granted, SourceVlan::Joined));
    assert_eq!((on.arp, on.nd), (Neighbour::Mac, Neighbour::Mac));
    // What is stricter than that stays.
    let mut strict = profile("container");
    strict.spoof.mac = SourceMac::Assigned;
    strict.spoof.arp = Neighbour::MacAndNetwork;
    let on = given(Some(true), None).over(&strict).spoof;
    assert_eq!(
        (on.mac, on.arp),
        (SourceMac::Assigned, Neighbour::MacAndNetwork)
    );
    // A guest that may take an address may send from it, and from no other.
    let trusted = given(Some(true), Some(true)).over(&strict).spoof;
    assert_eq!(trusted.mac, SourceMac::Granted);
}

#[test]
fn where_a_value_comes_from_is_told() {
    let from = |given: &Given, name: &str, key: &str| {
        let all = given.in_force(&profile(name));
        let one = all.into_iter().find(|one| one.key == key).expect(key);
        (one.value, one.from)
    };
    let none = Given::default();
    assert!(
        none.in_force(&profile("tenant"))
            .iter()
            .all(|one| one.from.is_none())
    );
    let given = Given {
        trust: Some(true),
        promiscuous: Some(false),
        spoof_check: Some(true),
        ..Given::default()
    };
    let told = |value: &str, from| (value.to_owned(), from);
    assert_eq!(
        from(&given, "lab", "control.promiscuous"),
        told("deny", Some("promiscuous=deny"))
    );
    assert_eq!(
        from(&given, "lab", "control.mac-change"),
        told("any-unicast", Some("trust=on"))
    );
    assert_eq!(
        from(&given, "lab", "control.max-multicast"),
        told("64", Some("trust=on"))
    );
    assert_eq!(
        from(&given, "lab", "spoof.mac"),
        told("granted", Some("spoof-check=on"))
    );
    let (_, origin) = from(&given, "tenant", "spoof.arp");
    assert_eq!(origin, None, "the profile checks already");
}

#[test]
fn a_refusal_names_the_attribute_and_what_to_set() {
    let given = Given {
        multicast: Some(false),
        ..Given::default()
    };
    let gate = ProfileGatekeeper::of(&Arc::new(profile("lab")), given);
    let denial = gate
        .decide(&facts(), &ControlRequest::AllMulticast(true))
        .expect_err("denied");
    assert_eq!(denial.rule, rule::ALL_MULTICAST);
    assert_eq!(
        denial.reason,
        "every multicast frame was asked for (rule all-multicast; the operator gave this device \
         multicast=deny; to allow it, set multicast=allow)"
    );
}

#[test]
fn a_trunk_lets_its_own_vlans_be_joined() {
    let given = Given {
        trunk: Some(vec![10..=10, 200..=299]),
        ..Given::default()
    };
    let gate = ProfileGatekeeper::of(&Arc::new(profile("lab")), given.clone());
    for (vlan, expected) in [
        (10, None),
        (250, None),
        (0, None),
        (11, Some(rule::VLAN_TRUNK)),
    ] {
        let request = ControlRequest::AddVlan(vlan);
        let decided = gate.decide(&facts(), &request).err();
        assert_eq!(
            decided.as_ref().map(|denial| denial.rule),
            expected,
            "{vlan}"
        );
        let told = explain_for(
            &profile("lab"),
            &facts(),
            &given,
            &QueuePolicy::default(),
            &request,
        );
        assert_eq!(told.rule, expected);
        assert!(
            told.to_string()
                .contains("no access VLAN, trunk 10,200-299"),
            "{told}"
        );
    }
}
