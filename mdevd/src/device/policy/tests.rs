use libcvf::control::MacAddr;
use uuid::Uuid;

use super::*;
use crate::engine::{
    DataPath, Doorbells, GroupShare, Interrupts, Life, Link, Overrides, Personality, RateLimits,
    RingFormat, SocketAccess, Tuning, VlanTag,
};

pub(in crate::device) fn definition(trunk: Option<&str>, rates: RateLimits) -> Definition {
    Definition {
        name: "vm1".to_owned(),
        uuid: Uuid::nil(),
        sequence: 1,
        pf: "soft0".to_owned(),
        personality: Personality::VirtioNet,
        queue_pairs: 1,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        vlan: None,
        vlan_tag: VlanTag::default(),
        trunk: trunk.map(|trunk| trunk.parse().expect("a trunk")),
        rates,
        share: GroupShare::default(),
        overrides: Overrides::default(),
        tuning: Tuning::default(),
        link: Link::Up,
        profile: "p".to_owned(),
        doorbells: Doorbells::Trapped,
        interrupts: Interrupts::Msix,
        ring_format: RingFormat::Split,
        data_path: DataPath::Auto,
        socket: SocketAccess::default(),
        life: Life::default(),
    }
}

fn profile(text: &str) -> Profile {
    Profile::parse("p", text).expect("a profile")
}

fn ids(policy: &PortPolicy) -> Option<Vec<u16>> {
    let set = policy.vlans.as_ref()?;
    Some(set.iter().map(|vid| vid.0).collect())
}

#[test]
fn vlans_are_those_that_profile_and_trunk_both_let_be() {
    let listed = "[control]\nvlan-join = \"listed\"\nvlan-list = [\"5-7\"]\n";
    let any = "[control]\nvlan-join = \"any\"\n";
    let unchecked = "[spoof]\nvlan = \"any\"\n";
    type Row<'a> = (&'a str, Option<&'a str>, Option<&'a [u16]>);
    let table: [Row<'_>; 8] = [
        ("", None, Some(&[])),
        ("", Some("5"), Some(&[])),
        (listed, None, Some(&[5, 6, 7])),
        (listed, Some("7-9"), Some(&[7])),
        (any, None, None),
        (any, Some("7-9"), Some(&[7, 8, 9])),
        (unchecked, None, None),
        (unchecked, Some("3"), Some(&[3])),
    ];
    for (text, trunk, expected) in table {
        let definition = definition(trunk, RateLimits::default());
        let policy = port_policy(&definition, &profile(text));
        assert_eq!(ids(&policy).as_deref(), expected, "{text} {trunk:?}");
    }
}

#[test]
fn the_lower_rate_holds() {
    let text = "[rates]\ntransmit-mbit = 10\nreceive-mbit = \"unlimited\"\ntransmit-frames = 7\n\
                flood-frames = 3\nburst-milliseconds = 20\n";
    let own = RateLimits {
        tx_mbit: Some(20),
        rx_mbit: Some(5),
        tx_frames: Some(6),
        rx_frames: Some(4),
    };
    let rates = port_policy(&definition(None, own), &profile(text)).rates;
    assert_eq!(rates.transmit_bits, Some(10_000_000));
    assert_eq!(rates.receive_bits, Some(5_000_000));
    assert_eq!(rates.transmit_frames, Some(6));
    assert_eq!(rates.receive_frames, Some(4));
    assert_eq!(rates.flood_frames, Some(3));
    assert_eq!(rates.burst, Duration::from_millis(20));
}

#[test]
fn the_shipped_profile_of_the_lab_restricts_nothing_that_is_measured() {
    let lab = policies::shipped()
        .into_iter()
        .find(|shipped| shipped.profile.name == "lab")
        .expect("shipped");
    let policy = port_policy(&definition(None, RateLimits::default()), &lab.profile);
    assert_eq!(policy.source_mac, SourceMac::Any);
    assert_eq!(policy.vlans, None);
    assert_eq!(
        (policy.arp, policy.nd),
        (NeighbourCheck::Off, NeighbourCheck::Off)
    );
    let rates = PortRates {
        burst: policy.rates.burst,
        ..PortRates::default()
    };
    assert_eq!(policy.rates, rates);
}
