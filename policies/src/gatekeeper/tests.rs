use super::*;
use crate::rule;
use libcvf::control::{Coalescing, CoalescingScope, HashSettings, MacAddr, RssSettings};
use libcvf::limits::{MAX_COALESCE_USECS, MAX_FILTER_MACS};
use libcvf::offload::Accepts;

fn facts(access_vlan: Option<u16>) -> DeviceFacts {
    let assigned_mac = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    DeviceFacts {
        assigned_mac,
        queue_pairs: 4,
        access_vlan,
        joined_vlans: 0,
    }
}

fn unicast(n: usize) -> Vec<MacAddr> {
    (0..n).map(|i| MacAddr([2, 0, 0, 0, 0, i as u8])).collect()
}

fn multicast(n: usize) -> Vec<MacAddr> {
    (0..n)
        .map(|i| MacAddr([1, 0, 0x5e, 0, 0, i as u8]))
        .collect()
}

fn lists(unicast: Vec<MacAddr>, multicast: Vec<MacAddr>) -> ControlRequest {
    ControlRequest::SetMacFilter { unicast, multicast }
}

fn rss(table: Vec<u16>, unclassified: u16, pairs: u16) -> ControlRequest {
    ControlRequest::SetRss(RssSettings {
        hash: HashSettings::default(),
        unclassified,
        table,
        pairs,
    })
}

fn held(max_usecs: u32, max_packets: u32) -> ControlRequest {
    let to = Coalescing {
        max_usecs,
        max_packets,
    };
    ControlRequest::SetCoalescing(CoalescingScope::Receive, to)
}

/// Request, access VLAN, the rule that refuses.
fn table() -> Vec<(ControlRequest, Option<u16>, Option<&'static str>)> {
    use ControlRequest::*;
    let zero = MacAddr::default();
    vec![
        (SetMac(MacAddr([2, 0, 0, 0, 0, 1])), None, None),
        (SetMac(zero), None, Some(rule::MAC_VALID)),
        (SetMac(MacAddr::BROADCAST), None, Some(rule::MAC_VALID)),
        (
            SetMac(MacAddr([1, 0, 0x5e, 0, 0, 1])),
            None,
            Some(rule::MAC_VALID),
        ),
        (lists(vec![], vec![]), None, None),
        (
            lists(unicast(MAX_FILTER_MACS), multicast(MAX_FILTER_MACS)),
            None,
            None,
        ),
        (
            lists(unicast(MAX_FILTER_MACS + 1), vec![]),
            None,
            Some(rule::FILTER_SIZE),
        ),
        (
            lists(vec![], multicast(MAX_FILTER_MACS + 1)),
            None,
            Some(rule::FILTER_SIZE),
        ),
        (lists(multicast(1), vec![]), None, Some(rule::FILTER_VALID)),
        (lists(vec![zero], vec![]), None, Some(rule::FILTER_VALID)),
        (lists(vec![], unicast(1)), None, Some(rule::FILTER_VALID)),
        (lists(vec![], vec![MacAddr::BROADCAST]), None, None),
        (AddVlan(0), None, None),
        (AddVlan(1), None, None),
        (AddVlan(4094), None, None),
        (AddVlan(4095), None, Some(rule::VLAN_ID)),
        (AddVlan(u16::MAX), None, Some(rule::VLAN_ID)),
        (AddVlan(0), Some(7), None),
        (AddVlan(7), Some(7), Some(rule::VLAN_ACCESS)),
        (AddVlan(8), Some(7), Some(rule::VLAN_ACCESS)),
        (AddVlan(4095), Some(7), Some(rule::VLAN_ID)),
        (DelVlan(8), Some(7), None),
        (DelVlan(4095), None, Some(rule::VLAN_ID)),
        (SetQueuePairs(0), None, Some(rule::QUEUE_PAIRS)),
        (SetQueuePairs(1), None, None),
        (SetQueuePairs(4), None, None),
        (SetQueuePairs(5), None, Some(rule::QUEUE_PAIRS)),
        (rss(vec![0, 3], 3, 4), None, None),
        (rss(vec![0; 128], 0, 1), None, None),
        (rss(vec![0; 129], 0, 1), None, Some(rule::RSS_TABLE_SIZE)),
        (rss(vec![], 0, 1), None, Some(rule::RSS_TABLE_SIZE)),
        (rss(vec![0, 4], 0, 4), None, Some(rule::RSS_QUEUES)),
        (rss(vec![0], 4, 4), None, Some(rule::RSS_QUEUES)),
        (rss(vec![0], 0, 0), None, Some(rule::QUEUE_PAIRS)),
        (rss(vec![0], 0, 5), None, Some(rule::QUEUE_PAIRS)),
        (SetHash(HashSettings::default()), None, None),
        (held(MAX_COALESCE_USECS, u32::MAX), None, None),
        (
            held(MAX_COALESCE_USECS + 1, 1),
            None,
            Some(rule::COALESCE_TIME),
        ),
        (Promiscuous(true), Some(7), None),
        (AllMulticast(true), None, None),
        (AllUnicast(true), None, None),
        (NoMulticast(true), None, None),
        (NoUnicast(true), None, None),
        (NoBroadcast(true), None, None),
        (FilterVlans(true), Some(7), None),
        (
            SetReceiveOffloads(Accepts::TSO4.with(Accepts::CSUM)),
            None,
            None,
        ),
    ]
}

#[test]
fn every_request_is_decided_by_the_rule_that_the_table_names() {
    for (request, access, expected) in table() {
        let decision = DefaultGatekeeper.decide(&facts(access), &request);
        let rule = decision.as_ref().err().map(|denial| denial.rule);
        assert_eq!(rule, expected, "{request:?} with access VLAN {access:?}");
        assert!(
            decision
                .err()
                .is_none_or(|denial| !denial.reason.is_empty())
        );
    }
}

#[test]
fn a_refusal_names_what_was_asked_and_what_there_is() {
    let refused = DefaultGatekeeper.decide(&facts(None), &ControlRequest::SetQueuePairs(9));
    assert_eq!(
        refused.unwrap_err().reason,
        "9 queue pairs were asked for, the device's slice has 4"
    );
}

#[test]
fn decisions_are_pure() {
    for (request, access, _) in table() {
        let first = DefaultGatekeeper.decide(&facts(access), &request);
        assert_eq!(
            first,
            DefaultGatekeeper.decide(&facts(access), &request),
            "{request:?}"
        );
    }
}
