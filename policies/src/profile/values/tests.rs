use super::*;

fn mac(text: &str) -> MacAddr {
    text.parse().expect(text)
}

#[test]
fn a_mask_has_the_addresses_that_begin_like_it() {
    let table = [
        ("52:54:00:12:34:56", "52:54:00:12:34:56", true),
        ("52:54:00:12:34:56", "52:54:00:12:34:57", false),
        ("52:54:00:00:00:00/24", "52:54:00:ff:ff:ff", true),
        ("52:54:00:00:00:00/24", "52:54:01:00:00:00", false),
        ("52:54:00:00:00:02/47", "52:54:00:00:00:03", true),
        ("52:54:00:00:00:02/47", "52:54:00:00:00:04", false),
        ("00:00:00:00:00:00/0", "fe:ff:ff:ff:ff:ff", true),
    ];
    for (pattern, address, has) in table {
        let read: MacPattern = pattern.parse().expect(pattern);
        assert_eq!(read.contains(mac(address)), has, "{pattern} {address}");
        assert_eq!(read.to_string(), pattern);
    }
    let whole: MacPattern = "52:54:00:12:34:56/48".parse().expect("whole");
    assert_eq!(whole.to_string(), "52:54:00:12:34:56");
}

#[test]
fn a_range_has_both_its_ends() {
    let table = [("1", 1, 1), ("4094", 4094, 4094), ("200-299", 200, 299)];
    for (text, first, last) in table {
        let range: VlanRange = text.parse().expect(text);
        assert!(range.contains(first) && range.contains(last), "{text}");
        assert!(!range.contains(first - 1) && !range.contains(last + 1));
        assert_eq!(range.to_string(), text);
    }
}

#[test]
fn a_network_has_addresses_of_its_own_protocol() {
    let table = [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.7/32", "192.0.2.7", true),
        ("0.0.0.0/0", "255.255.255.255", true),
        ("0.0.0.0/0", "::", false),
        ("::/0", "ffff::", true),
        ("::/0", "1.2.3.4", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::", false),
        ("2001:db8::1/128", "2001:db8::1", true),
    ];
    for (text, address, has) in table {
        let network: Network = text.parse().expect(text);
        assert_eq!(
            network.contains(address.parse().expect(address)),
            has,
            "{text} {address}"
        );
        assert_eq!(network.to_string(), text);
    }
}

#[test]
fn what_is_no_value_says_why() {
    fn why<T: FromStr<Err = String>>(text: &str) -> String {
        text.parse::<T>()
            .err()
            .unwrap_or_else(|| panic!("{text} was read"))
    }
    for (said, part) in [
        (
            why::<MacPattern>("52:54"),
            "'52:54' is no MAC address such as",
        ),
        (why::<MacPattern>("01:00:5e:00:00:01"), "is a group"),
        (
            why::<MacPattern>("52:54:00:00:00:01/24"),
            "goes on after its first 24 bits",
        ),
        (
            why::<MacPattern>("52:54:00:00:00:00/49"),
            "'/49' is no number of bits from /0 to /48",
        ),
        (
            why::<MacPattern>("52:54:00:00:00:00/+8"),
            "'/+8' is no number of bits",
        ),
        (why::<VlanRange>("0"), "'0' is no VLAN: ids are 1 to 4094"),
        (why::<VlanRange>("4095"), "'4095' is no VLAN"),
        (
            why::<VlanRange>("300-200"),
            "'300-200' begins behind its end",
        ),
        (why::<VlanRange>("-7"), "'' is no VLAN"),
        (why::<Network>("192.0.2.0"), "is no network such as"),
        (
            why::<Network>("192.0.2.1/24"),
            "goes on after its first 24 bits",
        ),
        (
            why::<Network>("192.0.2.0/33"),
            "'/33' is no number of bits from /0 to /32",
        ),
        (why::<Feature>("GUEST_UFOO"), "did you mean 'GUEST_UFO'?"),
        (why::<Feature>("mrg_rxbuf"), "did you mean 'MRG_RXBUF'?"),
        (why::<Feature>("VERSION_1"), "always offered"),
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn features_are_those_of_the_device_by_name() {
    let names: Vec<_> = Feature::all().map(Feature::name).collect();
    assert!(names.contains(&"RSS") && names.contains(&"GUEST_TSO4"));
    assert!(!names.contains(&"VERSION_1") && !names.contains(&"MAC"));
    for feature in Feature::all() {
        assert_eq!(feature.name().parse(), Ok(feature));
    }
    assert_eq!("CSUM".parse().map(Feature::bit), Ok(1));
}
