use std::net::Ipv4Addr;

use super::*;

fn network(address: &str, bits: u8) -> Network {
    Network {
        address: address.parse().expect("an address"),
        bits,
    }
}

fn checks(check: NeighbourCheck, networks: &[(&str, u8)]) -> Neighbours {
    Neighbours {
        arp: check,
        nd: check,
        networks: networks.iter().map(|(a, bits)| network(a, *bits)).collect(),
    }
}

#[test]
fn networks_contain_what_begins_like_them() {
    let is_in = |of: (&str, u8), address: &str| {
        network(of.0, of.1).contains(address.parse().expect("an address"))
    };
    assert!(is_in(("192.0.2.0", 24), "192.0.2.255"));
    assert!(!is_in(("192.0.2.0", 24), "192.0.3.0"));
    assert!(is_in(("192.0.2.7", 32), "192.0.2.7"));
    assert!(!is_in(("192.0.2.7", 32), "192.0.2.6"));
    assert!(is_in(("0.0.0.0", 0), "255.0.0.1"));
    assert!(!is_in(("0.0.0.0", 0), "::1"), "of its kind");
    assert!(is_in(("2001:db8::", 33), "2001:db8:7fff::"));
    assert!(!is_in(("2001:db8::", 33), "2001:db8:8000::"));
    assert!(is_in(("2001:db8::1", 128), "2001:db8::1"));
    assert!(!is_in(("2001:db8::1", 128), "2001:db8::"));
    assert!(is_in(("::", 0), "ff02::1"));
    assert!(network("1.2.3.4", 32).is_valid() && !network("1.2.3.4", 33).is_valid());
    assert!(network("::", 128).is_valid() && !network("::", 129).is_valid());
}

#[test]
fn arp_names_its_sender() {
    let arp = |own, protocol: [u8; 4]| Claim::Arp {
        own,
        protocol: Ipv4Addr::from(protocol),
    };
    let mac = checks(NeighbourCheck::Mac, &[]);
    assert!(mac.admit(&arp(true, [203, 0, 113, 1])));
    assert!(!mac.admit(&arp(false, [203, 0, 113, 1])));
    let both = checks(
        NeighbourCheck::MacAndNetwork,
        &[("192.0.2.0", 24), ("2001:db8::", 32)],
    );
    assert!(both.admit(&arp(true, [192, 0, 2, 9])));
    assert!(both.admit(&arp(true, [0, 0, 0, 0])), "a probe");
    assert!(!both.admit(&arp(false, [0, 0, 0, 0])));
    assert!(!both.admit(&arp(false, [192, 0, 2, 9])));
    assert!(!both.admit(&arp(true, [192, 0, 3, 9])));
    for check in [mac, both] {
        assert!(check.admit(&Claim::None));
        assert!(!check.admit(&Claim::Unreadable) && !check.admit(&Claim::Beyond));
    }
}

#[test]
fn discovery_is_for_hosts_and_about_their_own_addresses() {
    use Discovery::{
        NeighbourAdvertisement, NeighbourSolicitation, Redirect, RouterAdvertisement,
        RouterSolicitation,
    };
    let nd = |kind, source: &str, target: &str| Claim::Discovery {
        kind,
        own: true,
        source: source.parse().expect("an address"),
        target: target.parse().expect("an address"),
    };
    let mac = checks(NeighbourCheck::Mac, &[]);
    for kind in [
        RouterSolicitation,
        NeighbourSolicitation,
        NeighbourAdvertisement,
    ] {
        let foreign = nd(kind, "2001:db8:9::1", "2001:db8:9::1");
        assert!(mac.admit(&foreign), "{kind:?}");
        let Claim::Discovery {
            kind,
            source,
            target,
            ..
        } = foreign
        else {
            unreachable!()
        };
        let named = Claim::Discovery {
            kind,
            own: false,
            source,
            target,
        };
        assert!(!mac.admit(&named), "{kind:?} with another's address");
    }
    let networks = [("2001:db8:1::", 48), ("192.0.2.0", 24)];
    let both = checks(NeighbourCheck::MacAndNetwork, &networks);
    for kind in [RouterAdvertisement, Redirect] {
        let router = nd(kind, "fe80::1", "::");
        assert!(!mac.admit(&router) && !both.admit(&router), "{kind:?}");
    }
    let (own, local, foreign) = ("2001:db8:1::5", "fe80::5", "2001:db8:2::5");
    for (kind, source, target, may) in [
        (RouterSolicitation, local, "::", true),
        (RouterSolicitation, "::", "::", true),
        (RouterSolicitation, foreign, "::", false),
        (NeighbourSolicitation, own, foreign, true),
        (NeighbourSolicitation, local, foreign, true),
        (NeighbourSolicitation, foreign, own, false),
        (NeighbourSolicitation, "::", own, true),
        (NeighbourSolicitation, "::", local, true),
        (NeighbourSolicitation, "::", foreign, false),
        (NeighbourAdvertisement, own, own, true),
        (NeighbourAdvertisement, local, own, true),
        (NeighbourAdvertisement, own, local, true),
        (NeighbourAdvertisement, own, foreign, false),
        (NeighbourAdvertisement, foreign, own, false),
        (NeighbourAdvertisement, "::", own, false),
    ] {
        assert_eq!(
            both.admit(&nd(kind, source, target)),
            may,
            "{kind:?} {source} {target}"
        );
    }
    // Somebody said which link-local address is its own.
    let exact = checks(
        NeighbourCheck::MacAndNetwork,
        &[("fe80::5", 128), ("2001:db8:1::", 48)],
    );
    assert!(exact.admit(&nd(NeighbourAdvertisement, local, local)));
    assert!(!exact.admit(&nd(NeighbourAdvertisement, local, "fe80::1")));
    assert!(!exact.admit(&nd(NeighbourSolicitation, "::", "fe80::1")));
    let every = checks(NeighbourCheck::MacAndNetwork, &[("::", 0)]);
    assert!(every.admit(&nd(NeighbourAdvertisement, local, foreign)));
}
