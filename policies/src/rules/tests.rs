use super::*;
use crate::request;
use crate::rule;

/// A request of each kind, as an operator types it.
fn samples() -> Vec<ControlRequest> {
    let samples = request::FORMS.iter().map(|form| form.example);
    samples
        .map(|text| request::parse(text).expect(text))
        .collect()
}

#[test]
fn every_rule_concerns_a_request_and_stands_in_the_list() {
    let (mut built_in, mut of_profile) = (Vec::new(), Vec::new());
    for request in samples() {
        let rules = about(&request);
        built_in.extend(rules.built_in.iter().map(|rule| rule.name));
        of_profile.extend(rules.of_profile.iter().map(|rule| rule.name));
        // What a device was given, asked in between.
        let given = crate::Given::default().look(&request);
        built_in.extend(given.map(|_| rule::VLAN_TRUNK));
    }
    let once = |mut names: Vec<&'static str>, order: &[&str]| {
        names.sort_by_key(|name| order.iter().position(|known| known == name));
        names.dedup();
        names
    };
    assert_eq!(once(built_in, &rule::BUILT_IN), rule::BUILT_IN);
    assert_eq!(once(of_profile, &rule::OF_PROFILE), rule::OF_PROFILE);
}

#[test]
fn rules_are_asked_in_the_order_of_the_list() {
    let at = |names: &[&str], name| names.iter().position(|known| *known == name);
    for request in samples() {
        let rules = about(&request);
        let built_in = rules
            .built_in
            .iter()
            .map(|rule| at(&rule::BUILT_IN, rule.name));
        assert!(built_in.is_sorted(), "{request:?}");
        let of_profile = rules
            .of_profile
            .iter()
            .map(|rule| at(&rule::OF_PROFILE, rule.name));
        assert!(of_profile.is_sorted(), "{request:?}");
    }
}

#[test]
fn rules_name_keys_that_there_are() {
    for request in samples() {
        for rule in about(&request).of_profile {
            let known = crate::profile::keys::KEYS
                .iter()
                .any(|key| key.path == rule.key);
            assert!(known, "{}", rule.key);
        }
    }
}
