//! What holds for all profiles, facts and requests.

mod any;

use std::sync::Arc;

use libcvf::control::{
    Coalescing, CoalescingScope, ControlRequest, Denial, DeviceFacts, Gatekeeper, HashSettings,
};
use libcvf::offload::Accepts;
use policies::limits::{MAX_PROFILE, MAX_REQUEST};
use policies::{DefaultGatekeeper, Profile, ProfileGatekeeper, explain, request, shipped};
use proptest::prelude::*;
use proptest::sample::select;

use any::{asked, facts, nearly_toml, profile};

fn decide(profile: &Profile, facts: &DeviceFacts, asked: &ControlRequest) -> Result<(), Denial> {
    ProfileGatekeeper::new(Arc::new(profile.clone())).decide(facts, asked)
}

proptest! {
    #[test]
    fn what_is_refused_for_everybody_every_profile_refuses(
        profile in profile(), facts in facts(), asked in asked()
    ) {
        let profiles = decide(&profile, &facts, &asked);
        if let Err(denial) = DefaultGatekeeper.decide(&facts, &asked) {
            let told = profiles.expect_err("refused by default");
            prop_assert_eq!(told.rule, denial.rule);
            prop_assert!(told.reason.starts_with(&denial.reason));
        }
    }

    #[test]
    fn what_is_explained_is_what_is_decided(
        profile in profile(), facts in facts(), asked in asked()
    ) {
        let decided = decide(&profile, &facts, &asked);
        let told = explain(&profile, &facts, &asked);
        prop_assert_eq!(told.allowed, decided.is_ok());
        let denial = decided.err();
        prop_assert_eq!(told.rule, denial.as_ref().map(|denial| denial.rule));
        prop_assert_eq!(told.reason.as_deref(), denial.as_ref().map(|denial| denial.reason.as_str()));
        let deciding = |step: &&policies::Step| step.outcome == policies::Outcome::Refuses;
        let refuses: Vec<_> = told.steps.iter().filter(deciding).map(|step| step.rule).collect();
        prop_assert_eq!(refuses, told.rule.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn decisions_are_pure(profile in profile(), facts in facts(), asked in asked()) {
        prop_assert_eq!(decide(&profile, &facts, &asked), decide(&profile, &facts, &asked));
    }

    #[test]
    fn a_printed_profile_is_read_as_the_same(profile in profile()) {
        let read = Profile::parse("any", &profile.to_toml());
        prop_assert_eq!(read, Ok(profile));
    }

    #[test]
    fn each_shipped_profile_allows_all_that_the_one_before_it_does(
        facts in facts(), asked in asked()
    ) {
        let all: Vec<_> = shipped().into_iter().map(|shipped| shipped.profile).collect();
        for two in all.windows(2) {
            if decide(&two[0], &facts, &asked).is_ok() {
                prop_assert_eq!(decide(&two[1], &facts, &asked), Ok(()), "{}", two[1].name);
            }
        }
    }

    #[test]
    fn lab_refuses_what_is_refused_for_everybody_and_nothing_else(
        facts in facts(), asked in asked()
    ) {
        let all = shipped();
        let lab = &all.last().expect("lab").profile;
        prop_assert_eq!(&lab.name, "lab");
        let default = DefaultGatekeeper.decide(&facts, &asked);
        prop_assert_eq!(decide(lab, &facts, &asked).is_ok(), default.is_ok());
    }

    #[test]
    fn a_way_back_is_always_open(profile in profile(), facts in facts()) {
        use ControlRequest::*;
        let none = || SetMacFilter { unicast: vec![facts.assigned_mac], multicast: vec![] };
        let at_once = SetCoalescing(CoalescingScope::Receive, Coalescing::default());
        for asked in [
            SetMac(facts.assigned_mac), none(), Promiscuous(false), AllMulticast(false),
            AllUnicast(false), NoMulticast(true), NoUnicast(true), NoBroadcast(true),
            AddVlan(0), DelVlan(100), FilterVlans(true), SetQueuePairs(1),
            SetHash(HashSettings::default()), at_once, SetReceiveOffloads(Accepts::default()),
        ] {
            prop_assert_eq!(decide(&profile, &facts, &asked), Ok(()));
        }
    }

    #[test]
    fn no_text_panics_the_parser_and_every_fault_has_a_place(
        text in prop_oneof![nearly_toml(), "\\PC{0,200}", "(?s).{0,200}"]
    ) {
        if let Err(error) = Profile::parse("any", &text) {
            prop_assert!(!error.faults.is_empty());
            for fault in &error.faults {
                let line = text.split('\n').nth(fault.line - 1);
                let line = line.expect("a line of the text");
                prop_assert!(fault.column <= line.chars().count() + 1, "{}", fault);
                prop_assert!(!fault.what.contains('\n'), "{}", fault);
            }
        }
    }

    #[test]
    fn no_text_panics_the_reader_of_requests(
        text in prop_oneof![
            "(mac|unicast|multicast|rss|coalescing|vlan)=[0-9a-f:,+=x]{0,40}",
            "\\PC{0,100}",
        ]
    ) {
        if let Ok(asked) = request::parse(&text) {
            prop_assert!(!request::describe(&asked).is_empty());
        }
    }

    #[test]
    fn what_is_described_is_read_again(asked in asked()) {
        let described = request::describe(&asked);
        match request::parse(&described) {
            // Of a table only its length and its highest queue are told.
            Ok(read) if matches!(asked, ControlRequest::SetRss(_)) => {
                prop_assert!(matches!(read, ControlRequest::SetRss(_)));
            }
            Ok(read) => prop_assert_eq!(request::describe(&read), described),
            Err(_) => prop_assert!(described.contains("more)"), "{}", described),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn texts_of_full_length_are_judged(
        seed in select(vec![
            "[", "[[a.", "a.", "{a=", "a=[", "a={b=", "\"", "'''", "a.b.c=1\n", "[a]\n", "\u{fffd}", "#",
        ])
    ) {
        let text = seed.repeat(MAX_PROFILE / seed.len());
        let _ = Profile::parse("any", &text);
        let _ = request::parse(&"vlan=".repeat(MAX_REQUEST / 5));
    }
}
