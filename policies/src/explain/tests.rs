use libcvf::control::MacAddr;

use super::*;
use crate::{request, rule};

fn facts(access_vlan: Option<u16>) -> DeviceFacts {
    DeviceFacts {
        assigned_mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        queue_pairs: 4,
        access_vlan,
        joined_vlans: 0,
    }
}

fn told(text: &str, asked: &str, access_vlan: Option<u16>) -> Explanation {
    let profile = Profile::parse("test", text).unwrap_or_else(|error| panic!("{error}"));
    explain(
        &profile,
        &facts(access_vlan),
        &request::parse(asked).expect(asked),
    )
}

#[test]
fn the_rules_are_told_in_their_order_with_what_they_say() {
    let told = told("", "rss=8", None);
    let steps: Vec<_> = told
        .steps
        .iter()
        .map(|step| (step.rule, step.key, step.outcome))
        .collect();
    assert_eq!(
        steps,
        [
            (rule::QUEUE_PAIRS, None, Outcome::Refuses),
            (rule::RSS_TABLE_SIZE, None, Outcome::Allows),
            (rule::RSS_QUEUES, None, Outcome::WouldRefuse),
            (
                rule::QUEUE_COUNT,
                Some("control.queue-count"),
                Outcome::WouldRefuse
            ),
            (
                rule::QUEUE_LIMIT,
                Some("shape.max-queue-pairs"),
                Outcome::WouldRefuse
            ),
            (rule::RSS, Some("control.rss"), Outcome::WouldRefuse),
            (
                rule::RSS_TABLE,
                Some("shape.max-rss-table"),
                Outcome::Allows
            ),
        ]
    );
    assert!(!told.allowed);
    assert_eq!(told.rule, Some(rule::QUEUE_PAIRS));
}

#[test]
fn people_read_the_verdict_first() {
    let told = told("", "mac=02:00:00:00:00:01", Some(7)).to_string();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines[0],
        "refused: mac=02:00:00:00:00:01: the address 02:00:00:00:00:01 was asked for, the device \
         keeps 52:54:00:12:34:56 (rule mac-change of profile 'test'; to allow it, set \
         control.mac-change to \"any-unicast\", or to \"listed\" with the address in \
         control.mac-list)"
    );
    assert_eq!(
        lines[1],
        "device: mac 52:54:00:12:34:56, queue-pairs 4, access VLAN 7"
    );
    let words: Vec<_> = lines[2].split_whitespace().take(4).collect();
    assert_eq!(words, ["mac-valid", "(every", "profile)", "allows"]);
    let words: Vec<_> = lines[3].split_whitespace().take(3).collect();
    assert_eq!(words, ["mac-change", "control.mac-change", "REFUSES"]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn what_only_narrows_has_no_rules() {
    let told = told("", "no-broadcast=on", None);
    assert!(told.allowed && told.steps.is_empty());
    let text = told.to_string();
    assert!(
        text.starts_with("allowed: no-broadcast=on under profile 'test'\n"),
        "{text}"
    );
    assert!(text.contains("no rule is about it"), "{text}");
}

#[test]
fn programs_read_json() {
    let json = serde_json::to_value(told("", "vlan=100", None)).expect("JSON");
    assert_eq!(json["profile"], "test");
    assert_eq!(json["request"], "vlan=100");
    assert_eq!(json["allowed"], false);
    assert_eq!(json["rule"], "vlan-join");
    assert_eq!(json["access_vlan"], serde_json::Value::Null);
    let step = &json["steps"][3];
    assert_eq!(step["rule"], "vlan-join");
    assert_eq!(step["key"], "control.vlan-join");
    assert_eq!(step["outcome"], "refuses");
    let allowed = serde_json::to_value(told("", "vlan=0", None)).expect("JSON");
    assert_eq!(
        (allowed["allowed"].as_bool(), &allowed["rule"]),
        (Some(true), &serde_json::Value::Null)
    );
}

#[test]
fn what_the_operator_set_of_queues_is_asked_first() {
    let profile = Profile::parse("test", "").unwrap_or_else(|error| panic!("{error}"));
    let queues = QueuePolicy {
        pairs: Some(2),
        rss_table: Some(vec![0, 1]),
        ..QueuePolicy::default()
    };
    let told = |asked: &str| {
        let request = request::parse(asked).expect(asked);
        let facts = facts(None);
        explain_for(&profile, &facts, &Given::default(), &queues, &request)
    };
    let refused = told("queue-pairs=3");
    assert_eq!(refused.rule, Some("queue-pairs-host"));
    assert_eq!(refused.steps[0].outcome, Outcome::Refuses);
    let text = refused.to_string();
    assert!(
        text.contains("lets the device use 2 of its slice's 4"),
        "{text}"
    );
    assert!(
        text.contains("  queue-pairs-host  (set of the device)"),
        "{text}"
    );
    let fits = told("queue-pairs=2").steps;
    assert_eq!(
        (fits[0].rule, fits[0].outcome),
        ("queue-pairs-host", Outcome::Allows)
    );
    let rss: Vec<_> = told("rss=3").steps;
    let first: Vec<_> = rss[..2]
        .iter()
        .map(|step| (step.rule, step.outcome))
        .collect();
    assert_eq!(
        first,
        [
            ("queue-pairs-host", Outcome::Refuses),
            ("rss-host", Outcome::WouldRefuse)
        ]
    );
    let mac = told("mac=02:00:00:00:00:01").steps;
    assert!(
        mac.iter().all(|step| !step.rule.ends_with("-host")),
        "{mac:?}"
    );
}
