use std::sync::Arc;

use libcvf::control::{DeviceFacts, Gatekeeper, MacAddr};
use libcvf::cvf::{CvfSpec, DataPath, Doorbells, Interrupts, PortPolicy, RingFormats, TagStyle};
use libcvf::limits::{
    MAX_COALESCE_USECS, MAX_FILTER_MACS, MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU, RSS_TABLE,
};

use super::*;
use crate::profile::keys::KEYS;
use crate::profile::{FrameReaction, Neighbour, Permission, RequestReaction, SourceMac};
use crate::{ProfileGatekeeper, Shape, request};

const ASSIGNED: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

fn named(name: &str) -> Profile {
    let found = shipped()
        .into_iter()
        .find(|shipped| shipped.profile.name == name);
    found.expect(name).profile
}

#[test]
fn each_can_be_read() {
    for (name, text) in TEXTS {
        if let Err(error) = Profile::parse(name, text) {
            panic!("{}", error.render(format_args!("profiles/{name}.toml")));
        }
    }
    let names: Vec<_> = shipped()
        .into_iter()
        .map(|shipped| shipped.profile.name)
        .collect();
    assert_eq!(names, TEXTS.map(|(name, _)| name));
}

#[test]
fn each_writes_out_every_key_with_a_comment() {
    for (name, text) in TEXTS {
        let lines: Vec<_> = text.lines().collect();
        let mut section = "";
        let mut found = Vec::new();
        for (at, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
        {
            if line.starts_with('#') {
                continue;
            }
            let commented = line.contains(" # ") || at > 0 && lines[at - 1].starts_with("# ");
            assert!(commented, "{name}:{}: {line}", at + 1);
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']');
                continue;
            }
            let key = line.split(" = ").next().unwrap_or_default();
            found.push(match section {
                "" => key.to_owned(),
                section => format!("{section}.{key}"),
            });
        }
        let known: Vec<_> = KEYS.iter().map(|key| key.path).collect();
        assert_eq!(found, known, "{name}");
    }
}

/// Lines `#   REQUEST[, access VLAN ID]   allowed`, or `refused by RULE`.
#[test]
fn the_answers_in_the_comments_are_the_answers() {
    for Shipped { text, profile } in shipped() {
        let name = profile.name.clone();
        let gate = ProfileGatekeeper::new(Arc::new(profile));
        let mut examples = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("#   ")) {
            let (asked, told) = line.split_once("  ").expect(line);
            let (asked, vlan) = match asked.split_once(", access VLAN ") {
                Some((asked, vlan)) => (asked, Some(vlan.parse().expect(line))),
                None => (asked, None),
            };
            let facts = DeviceFacts {
                assigned_mac: ASSIGNED,
                queue_pairs: 4,
                access_vlan: vlan,
                joined_vlans: 0,
            };
            let answer = match gate.decide(&facts, &request::parse(asked).expect(line)) {
                Ok(()) => "allowed".to_owned(),
                Err(denial) => format!("refused by {}", denial.rule),
            };
            assert_eq!(told.trim(), answer, "{name}: {line}");
            examples += 1;
        }
        assert!(examples >= 5, "{name} shows what it does");
    }
}

#[test]
fn numbers_are_what_their_comments_say() {
    for Shipped { text, profile } in shipped() {
        let name = &profile.name;
        let (shape, control) = (&profile.shape, &profile.control);
        let says = |key: &str, what: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{key} = ")));
            line.expect(key).contains(what)
        };
        assert_eq!(shape.max_vectors, 2 * shape.max_queue_pairs + 2, "{name}");
        assert_eq!(
            shape.max_rss_table,
            if name == "container" { 0 } else { RSS_TABLE }
        );
        if says("max-unicast", "all that a filter holds") {
            assert_eq!(usize::from(control.max_unicast), MAX_FILTER_MACS, "{name}");
        }
        let full = says("max-multicast", "all that a filter holds");
        let groups = usize::from(control.max_multicast) * if full { 1 } else { 2 };
        assert_eq!(groups, MAX_FILTER_MACS, "{name}");
        let all = says("max-vlans", "all there are");
        assert_eq!(all, control.max_vlans == MAX_VLAN, "{name}");
        if says("mac-list", "nothing is \"listed\"") {
            assert!(!text.contains("= \"listed\""), "{name}");
        }
        let reactions = &profile.reactions;
        if says("tolerated-per-minute", "nothing stops") {
            assert!(reactions.malformed_frame <= FrameReaction::Audit, "{name}");
            assert!(reactions.spoofed_frame <= FrameReaction::Audit, "{name}");
            assert_eq!(reactions.denied_request, RequestReaction::Audit, "{name}");
            assert_eq!(reactions.excess_request, RequestReaction::Audit, "{name}");
        }
        if says("features-withheld", "every feature is offered") {
            assert_eq!(profile.feature_mask(), u64::MAX, "{name}");
        }
    }
    let container = named("container");
    let withheld = libcvf::personality::virtio_net::feature_names(!container.feature_mask());
    assert_eq!(
        withheld,
        ["VQ_NOTF_COAL", "NOTF_COAL", "HASH_REPORT", "RSS"]
    );
}

#[test]
fn lab_has_no_bounds_of_its_own() {
    let Profile { shape, control, .. } = named("lab");
    assert_eq!(shape.max_queue_pairs, MAX_QUEUE_PAIRS);
    assert_eq!((shape.min_mtu, shape.max_mtu), (MIN_MTU, MAX_MTU));
    assert_eq!(control.max_coalescing_microseconds, MAX_COALESCE_USECS);
}

#[test]
fn each_admits_what_its_shape_says() {
    for Shipped { profile, .. } in shipped() {
        let limits = &profile.shape;
        let doorbells = match limits.mapped_doorbells {
            Permission::Allow => Doorbells::Mapped,
            Permission::Deny => Doorbells::Trapped,
        };
        let largest = CvfSpec {
            name: "x".into(),
            uuid: [0; 16],
            model: Default::default(),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            mtu: limits.max_mtu,
            vlan: Some(7),
            vlan_tag: TagStyle::default(),
            queue_pairs: limits.max_queue_pairs,
            doorbells,
            interrupts: Interrupts::Msix,
            ring_formats: RingFormats::Any,
            data_path: DataPath::Auto,
            policy: PortPolicy::default(),
        };
        assert_eq!(
            profile.admit(&Shape::from(&largest)),
            Ok(()),
            "{}",
            profile.name
        );
        let direct = Shape {
            data_path: DataPath::Direct,
            ..Shape::from(&largest)
        };
        assert_eq!(
            profile.admit(&direct).is_ok(),
            limits.direct,
            "{}",
            profile.name
        );
    }
}

/// Where hardware works the rings nothing holds frames to anything. So whoever promises to check where frames come from,
/// or how many go to everybody, cannot let that be.
#[test]
fn only_those_that_check_no_senders_trust_a_vm_with_a_function() {
    for Shipped { profile, .. } in shipped() {
        let (spoof, rates, name) = (&profile.spoof, &profile.rates, &profile.name);
        let trusts = ["nfv", "lab"].contains(&name.as_str());
        assert_eq!(profile.shape.direct, trusts, "{name}");
        if trusts {
            assert_eq!(spoof.mac, SourceMac::Any, "{name}");
            assert_eq!(
                (spoof.arp, spoof.nd),
                (Neighbour::Off, Neighbour::Off),
                "{name}"
            );
            let each = [
                rates.transmit_mbit,
                rates.receive_mbit,
                rates.transmit_frames,
                rates.flood_frames,
            ];
            assert!(each.iter().all(|rate| rate.limit().is_none()), "{name}");
        }
    }
}
