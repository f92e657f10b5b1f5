use super::*;

#[test]
fn trunks_are_read_in_any_order_and_written_in_one() {
    for (text, shown) in [
        ("10", "10"),
        ("1-4094", "1-4094"),
        ("200-299, 10", "10,200-299"),
        ("5,3,4", "3-5"),
        ("10-20,15-30,31", "10-31"),
    ] {
        let trunk: Trunk = text.parse().expect(text);
        assert_eq!(trunk.to_string(), shown);
        assert_eq!(trunk.to_string().parse(), Ok(trunk));
    }
    let trunk: Trunk = "4,7-9".parse().expect("a trunk");
    assert_eq!(trunk.vlans().collect::<Vec<_>>(), [4, 7, 8, 9]);
}

#[test]
fn what_is_no_trunk_is_told() {
    for text in [
        "", "0", "4095", "9-8", "-", "1-", "+5", "a", "1,,2", "65537",
    ] {
        let why = text.parse::<Trunk>().expect_err(text);
        assert!(why.contains("as in 10,200-299"), "{text}: {why}");
    }
    let many = vec!["1"; MAX_TRUNK_RANGES + 1].join(",");
    assert!(
        many.parse::<Trunk>()
            .expect_err("too many")
            .contains("at most")
    );
    let most = vec!["1"; MAX_TRUNK_RANGES].join(",");
    assert_eq!(
        most.parse::<Trunk>().map(|trunk| trunk.to_string()),
        Ok("1".to_owned())
    );
}

#[test]
fn rates_go_by_their_names() {
    let mut rates = RateLimits::default();
    for (n, (key, most)) in (1..).zip(RateLimits::KEYS) {
        assert!(most > 0);
        assert_eq!(rates.get(key), None);
        rates.set(key, Some(n));
        assert_eq!(rates.get(key), Some(n));
    }
    let text = serde_json::to_value(rates).expect("json");
    assert_eq!(
        text.as_object().map(serde_json::Map::len),
        Some(RateLimits::KEYS.len())
    );
    assert!(!rates.is_none());
}
