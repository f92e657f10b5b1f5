use proptest::prelude::*;

use super::PciAddress;

#[test]
fn what_is_no_address_is_refused() {
    let wrong = [
        "",
        "03:00.0",
        "0000:03:00",
        "0000:03:20.0",
        "0000:03:00.8",
        "0000:03:00.00",
        "00000:03:00.0",
        "0000:3:00.0",
        "+000:03:00.0",
        "0000:03:00.0 ",
        "0000:03:00:00.0",
        "0000:03:00.0.0",
        "0000:0g:00.0",
    ];
    for text in wrong {
        assert!(text.parse::<PciAddress>().is_err(), "{text}");
    }
    let long = "x"
        .repeat(10_000)
        .parse::<PciAddress>()
        .expect_err("no address");
    assert!(long.to_string().len() < 1000, "what is shown is bounded");
}

#[test]
fn a_missing_domain_is_told_with_the_address_it_would_be() {
    for (text, advice) in [
        ("03:00.0", "its domain is missing; write 0000:03:00.0 "),
        ("eth0", "write domain:bus:device.function in hexadecimal"),
        ("03:00", "write domain:bus:device.function in hexadecimal"),
    ] {
        let error = text.parse::<PciAddress>().expect_err("no address");
        let error = error.to_string();
        assert!(
            error.starts_with(&format!("'{text}' is no PCI address: {advice}")),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn an_address_is_read_as_it_is_written(domain: u16, bus: u8, device in 0u8..32, function in 0u8..8) {
        let address = PciAddress { domain, bus, device, function };
        prop_assert_eq!(address.to_string().parse(), Ok(address));
        prop_assert_eq!(address.to_string().to_uppercase().parse(), Ok(address));
    }

    #[test]
    fn nothing_panics(text in ".{0,20}") {
        let _ = text.parse::<PciAddress>();
    }
}
