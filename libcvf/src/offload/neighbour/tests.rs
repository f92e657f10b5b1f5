use proptest::prelude::*;

use super::*;

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 7];
const SOURCE: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const TARGET: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const ALL: Look = Look {
    arp: true,
    nd: true,
};

/// A frame of what stands behind its addresses.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    [&[0x33, 0x33, 0, 0, 0, 1][..], &OWN, &parts.concat()].concat()
}

fn arp(hardware: [u8; 6], protocol: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
    bytes.extend(hardware);
    bytes.extend(protocol);
    bytes.extend([0; 10]);
    bytes
}

/// EtherType, IPv6 header, then `chain` with the first header's number, then `last`.
fn v6(first: u8, chain: &[u8], last: &[u8]) -> Vec<u8> {
    let length = (chain.len() + last.len()) as u16;
    let mut bytes = vec![0x86, 0xdd, 0x60, 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([first, 64]);
    bytes.extend(SOURCE);
    bytes.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend(chain);
    bytes.extend(last);
    bytes
}

fn option(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

fn message(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    match kind {
        135 | 136 => bytes.extend(TARGET),
        134 => bytes.extend([0; 8]),
        137 => bytes.extend([0; 32]),
        _ => {}
    }
    bytes.extend(options.concat());
    bytes
}

fn look(bytes: &[u8]) -> Claim {
    claim(bytes, bytes.len(), ALL)
}

fn found(kind: Discovery, own: bool) -> Claim {
    let about = matches!(
        kind,
        Discovery::NeighbourSolicitation | Discovery::NeighbourAdvertisement
    );
    let target = if about { TARGET } else { [0; 16] };
    Claim::Discovery {
        kind,
        own,
        source: SOURCE.into(),
        target: target.into(),
    }
}

const KINDS: [(u8, Discovery); 5] = [
    (133, Discovery::RouterSolicitation),
    (134, Discovery::RouterAdvertisement),
    (135, Discovery::NeighbourSolicitation),
    (136, Discovery::NeighbourAdvertisement),
    (137, Discovery::Redirect),
];

#[test]
fn arp_is_read() {
    let one = frame(&[&arp(OWN, [192, 0, 2, 1])]);
    let protocol = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(
        look(&one),
        Claim::Arp {
            own: true,
            protocol
        }
    );
    let other = frame(&[&arp(OTHER, [192, 0, 2, 1])]);
    assert_eq!(
        look(&other),
        Claim::Arp {
            own: false,
            protocol
        }
    );
    let off = Look {
        arp: false,
        nd: true,
    };
    assert_eq!(claim(&other, other.len(), off), Claim::None);
    // Padded as Ethernet wants it.
    let mut padded = one.clone();
    padded.resize(60, 0xff);
    assert_eq!(
        look(&padded),
        Claim::Arp {
            own: true,
            protocol
        }
    );
    for cut in 14..one.len() {
        assert_eq!(look(&one[..cut]), Claim::Unreadable, "{cut} bytes");
    }
    for at in 14..20 {
        let mut odd = one.clone();
        odd[at] ^= 4;
        assert_eq!(look(&odd), Claim::Unreadable, "byte {at}");
    }
}

#[test]
fn discovery_is_read() {
    for (number, kind) in KINDS {
        for (options, own) in [
            (vec![], true),
            (vec![option(1, OWN)], true),
            (vec![option(2, OTHER)], false),
            (vec![option(1, OWN), option(2, OTHER)], false),
            (vec![option(14, OTHER), option(2, OWN)], true),
            // An address of another size.
            (vec![[&[1, 2][..], &OWN, &[0; 8]].concat()], false),
        ] {
            let bytes = frame(&[&v6(58, &[], &message(number, &options))]);
            assert_eq!(look(&bytes), found(kind, own), "{kind:?} {options:x?}");
            let off = Look {
                arp: true,
                nd: false,
            };
            assert_eq!(claim(&bytes, bytes.len(), off), Claim::None);
        }
    }
    for other in [128, 130, 132, 138, 143] {
        let bytes = frame(&[&v6(58, &[], &message(other, &[option(2, OTHER)]))]);
        assert_eq!(look(&bytes), Claim::None, "type {other}");
    }
}

#[test]
fn what_is_behind_the_packet_is_not_of_it() {
    let mut bytes = frame(&[&v6(58, &[], &message(136, &[option(2, OWN)]))]);
    bytes.extend(option(2, OTHER));
    assert_eq!(look(&bytes), found(Discovery::NeighbourAdvertisement, true));
    // Without a length all of it counts.
    bytes[18..20].fill(0);
    assert_eq!(
        look(&bytes),
        found(Discovery::NeighbourAdvertisement, false)
    );
}

#[test]
fn what_is_cut_off_or_contradicts_itself_is_not_readable() {
    let good = frame(&[&v6(58, &[], &message(136, &[option(2, OWN)]))]);
    for cut in 14..good.len() {
        assert_eq!(look(&good[..cut]), Claim::Unreadable, "{cut} bytes");
    }
    // The length in its header cuts it.
    for length in 1..32_u8 {
        let mut cut = good.clone();
        cut[19] = length;
        let wanted = match length {
            24 => found(Discovery::NeighbourAdvertisement, true),
            _ => Claim::Unreadable,
        };
        assert_eq!(look(&cut), wanted, "{length} bytes");
    }
    let mut version = good.clone();
    version[14] = 0x40;
    assert_eq!(look(&version), Claim::Unreadable);
    for length in [0, 2, 255] {
        let mut option = good.clone();
        option[14 + 40 + 24 + 1] = length;
        assert_eq!(look(&option), Claim::Unreadable, "an option of {length}");
    }
}

#[test]
fn fragments_say_nothing_of_neighbours() {
    let fragment = |next, offset: u16, more: u16| {
        let word = (offset << 3 | more).to_be_bytes();
        [next, 0, word[0], word[1], 0, 0, 0, 1]
    };
    let message = message(136, &[option(2, OTHER)]);
    // RFC 6946, 6980: not even in one piece.
    for more in [0, 1] {
        let bytes = frame(&[&v6(44, &fragment(58, 0, more), &message)]);
        assert_eq!(look(&bytes), Claim::Unreadable);
        let echo = frame(&[&v6(44, &fragment(58, 0, more), &[128, 0, 0, 0])]);
        assert_eq!(look(&echo), Claim::None, "others may be");
        let udp = frame(&[&v6(44, &fragment(17, 0, more), &message)]);
        assert_eq!(look(&udp), Claim::None);
    }
    let later = frame(&[&v6(44, &fragment(58, 1, 0), &message)]);
    assert_eq!(
        look(&later),
        Claim::None,
        "without a first one it is nothing"
    );
    // RFC 7112: the first one shows all headers.
    let hidden = frame(&[&v6(44, &fragment(60, 0, 1), &[58, 0, 1, 4, 0, 0, 0, 0])]);
    assert_eq!(look(&hidden), Claim::Unreadable);
}

#[test]
fn too_many_headers_are_not_looked_behind() {
    let message = message(136, &[option(2, OWN)]);
    let extension = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain = |count: usize| {
        let mut chain = extension(60).repeat(count - 1);
        chain.extend(extension(58));
        frame(&[&v6(60, &chain, &message)])
    };
    let nd = found(Discovery::NeighbourAdvertisement, true);
    assert_eq!(look(&chain(MAX_IPV6_EXTENSIONS)), nd);
    assert_eq!(look(&chain(MAX_IPV6_EXTENSIONS + 1)), Claim::Unreadable);
    let tags = |count: usize| {
        let tags = [0x81, 0, 0, 0].repeat(count);
        frame(&[&tags, &v6(58, &[], &message)])
    };
    assert_eq!(look(&tags(MAX_LINK_HEADERS - 1)), nd);
    assert_eq!(look(&tags(MAX_LINK_HEADERS)), Claim::Unreadable);
    // Longer than what was copied: more is asked for.
    let long = [&[58, 31][..], &[0; 254]].concat();
    let bytes = frame(&[&v6(60, &long, &message)]);
    assert_eq!(claim(&bytes[..256], bytes.len(), ALL), Claim::Beyond);
    assert_eq!(look(&bytes), nd);
}

fn link() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<u16>().prop_map(|tci| [[0x81, 0], tci.to_be_bytes()].concat()),
        any::<u16>().prop_map(|tci| [[0x88, 0xa8], tci.to_be_bytes()].concat()),
        any::<u16>().prop_map(|tci| [[0x91, 0], tci.to_be_bytes()].concat()),
        (0..FIRST_ETHERTYPE, any::<[u8; 3]>()).prop_map(|(length, oui)| {
            [&length.to_be_bytes()[..], &[0xaa, 0xaa, 3], &oui].concat()
        }),
    ]
}

/// Number of an extension header, and its length in its own units.
fn extension() -> impl Strategy<Value = (u8, u8)> {
    let number = prop::sample::select(vec![0, 43, 60, 135, 139, 140, 51]);
    (number, 0..3_u8)
}

/// The chain's first number, and its bytes; `last` stands behind.
fn chain(extensions: &[(u8, u8)], last: u8) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    let numbers = extensions
        .iter()
        .skip(1)
        .map(|(number, _)| *number)
        .chain([last]);
    for ((number, length), next) in extensions.iter().zip(numbers) {
        let (length, size) = match number {
            51 => (2 * length, (usize::from(2 * length) + 2) * 4),
            _ => (*length, (usize::from(*length) + 1) * 8),
        };
        let start = bytes.len();
        bytes.extend([next, length]);
        bytes.resize(start + size, 0);
    }
    let first = extensions.first().map_or(last, |(number, _)| *number);
    (first, bytes)
}

proptest! {
    #[test]
    fn it_is_found_whatever_it_hides_behind(
        links in prop::collection::vec(link(), 0..MAX_LINK_HEADERS),
        extensions in prop::collection::vec(extension(), 0..=MAX_IPV6_EXTENSIONS),
        (number, kind) in prop::sample::select(KINDS.to_vec()),
        own: bool,
    ) {
        let named = if own { OWN } else { OTHER };
        let (first, chain) = chain(&extensions, 58);
        let inner = v6(first, &chain, &message(number, &[option(14, OTHER), option(2, named)]));
        let bytes = frame(&[&links.concat(), &inner]);
        prop_assert_eq!(look(&bytes), found(kind, own));
        let inner = arp(named, [192, 0, 2, 9]);
        let bytes = frame(&[&links.concat(), &inner]);
        let protocol = Ipv4Addr::new(192, 0, 2, 9);
        prop_assert_eq!(look(&bytes), Claim::Arp { own, protocol });
    }

    /// The quick answer is never given for what says something.
    #[test]
    fn tcp_and_udp_say_nothing(
        body in prop::collection::vec(any::<u8>(), 0..80),
        next in prop::sample::select(vec![6, 17, 58, 0, 44, 60]),
        version: u8,
        tagged: bool,
    ) {
        let mut inner = v6(next, &[], &body);
        inner[2] = version;
        let tag: &[u8] = if tagged { &[0x81, 0, 0, 1] } else { &[] };
        let bytes = frame(&[tag, &inner]);
        let quick = is_transport(&bytes);
        prop_assert_eq!(quick, !tagged && version >> 4 == 6 && matches!(next, 6 | 17));
        prop_assert!(!quick || look(&bytes) == Claim::None);
    }

    /// A shorter copy says the same, or that it is too short.
    #[test]
    fn no_copy_says_anything_else(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        kind in prop::sample::select(vec![[8, 6], [0x86, 0xdd], [0x81, 0], [0, 60]]),
        next in prop::sample::select(vec![58_u8, 44, 60, 0, 51, 17]),
        short in 0..320_usize,
    ) {
        let mut bytes = frame(&[&kind, &noise]);
        if bytes.len() > 60 {
            bytes[14] = 0x60;
            bytes[18] = 0;
            bytes[20] = next;
            bytes[54] = 136;
        }
        let whole = look(&bytes);
        prop_assert_ne!(whole, Claim::Beyond);
        let part = claim(&bytes[..short.min(bytes.len())], bytes.len(), ALL);
        prop_assert!(part == Claim::Beyond || part == whole, "{:?} {:?}", part, whole);
    }

    #[test]
    fn no_bytes_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), total in 0..500_usize) {
        claim(&bytes, total, ALL);
    }
}
