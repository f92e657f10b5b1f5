use serde_json::json;

use super::super::super::definition::{
    DataPath, Doorbells, Interrupts, Link, Personality, RingFormat, SocketAccess,
};
use super::super::super::{
    Draft, GroupShare, Overrides, RateLimits, Tuning, VlanProtocol, VlanTag,
};
use super::super::{Life, Start};
use super::*;

fn full() -> Definition {
    Definition {
        name: "vm1".to_owned(),
        uuid: uuid::Uuid::from_u128(7),
        sequence: 9,
        pf: "soft0".to_owned(),
        personality: Personality::VirtioNet,
        queue_pairs: 4,
        mac: "52:54:00:00:00:01".parse().expect("a MAC"),
        mtu: 9000,
        vlan: None,
        trunk: Some("7-9,100".parse().expect("VLANs")),
        rates: RateLimits {
            tx_mbit: Some(5),
            rx_frames: Some(6),
            ..RateLimits::default()
        },
        share: GroupShare {
            group: Some("web".to_owned()),
            tx_share: Some(3),
        },
        vlan_tag: VlanTag::default(),
        tuning: Tuning {
            queue_pairs: None,
            rss_key: Some("01".repeat(40).parse().expect("a key")),
            rss_table: Some("0,1,1,0".parse().expect("a table")),
            features: Some("-MRG_RXBUF".parse().expect("features")),
        },
        overrides: Overrides {
            trust: Some(true),
            multicast: Some(false),
            ..Overrides::default()
        },
        link: Link::Down,
        profile: "nfv".to_owned(),
        doorbells: Doorbells::Mapped,
        interrupts: Interrupts::Msix,
        ring_format: RingFormat::Any,
        data_path: DataPath::Auto,
        socket: SocketAccess {
            owner: Some("107".to_owned()),
            group: Some("kvm".to_owned()),
            mode: 0o640,
        },
        life: Life::persistent(Start::Auto, -2),
    }
}

#[test]
fn a_document_says_all_that_makes_a_definition() {
    let definition = full();
    let draft = read(&definition.document())
        .expect("read")
        .check()
        .expect("checked");
    assert_eq!(draft.difference(&definition), None);
    let Draft {
        life,
        trunk,
        rates,
        socket_mode,
        ..
    } = draft;
    assert_eq!((life.start, life.order), (Some(Start::Auto), Some(-2)));
    assert_eq!((trunk, rates), (definition.trunk, definition.rates));
    assert_eq!(socket_mode, Some(0o640));
}

#[test]
fn the_tags_of_an_access_vlan_are_said() {
    let definition = Definition {
        vlan: Some(7),
        trunk: None,
        vlan_tag: VlanTag {
            qos: Some(5),
            protocol: VlanProtocol::Service,
        },
        ..full()
    };
    let draft = read(&definition.document()).expect("read").check();
    assert_eq!(draft.expect("checked").difference(&definition), None);
}

#[test]
fn a_document_says_nothing_of_what_runs() {
    let mut definition = full();
    let defined = definition.document();
    definition.life = definition.life.started(super::super::BootId::of_kernel());
    assert_eq!(definition.document(), defined);
    definition.life = Life::transient(super::super::BootId::of_kernel());
    assert!(
        !definition.document().contains_key("start"),
        "a transient one has no start"
    );
}

#[test]
fn what_is_wrong_in_a_document_is_named() {
    for (document, part) in [
        (json!({ "mtuu": 1500 }), "did you mean 'mtu'"),
        (json!({ "dry_run": true }), "there is no such attribute"),
        (json!({ "uuid": "x" }), "there is no such attribute"),
        (json!({ "mtu": "big" }), "mtu"),
        (json!({ "name": ["x"] }), "name"),
    ] {
        let document = document.as_object().expect("an object");
        let error = read(document).expect_err("refused").to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn differences_are_told_by_the_names_that_options_have() {
    let from = full();
    let to = Definition {
        queue_pairs: 2,
        trunk: None,
        vlan: Some(3),
        ..from.clone()
    };
    let told: Vec<_> = differences(&from, &to)
        .into_iter()
        .map(|change| (change.attribute, change.from, change.to))
        .collect();
    let text = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(
        told,
        [
            text("queue-pairs", "4", "2"),
            text("trunk", "7-9,100", "none"),
            text("vlan", "none", "3"),
        ]
    );
    assert_eq!(differences(&from, &from), []);
}
