use libcvf::control::MacAddr;

use super::*;
use crate::{request, rule};

fn facts(access_vlan: Option<u16>) -> DeviceFacts {
    DeviceFacts {
        assigned_mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        queue_pairs: 4,
        access_vlan,
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
