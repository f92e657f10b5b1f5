use libcvf::control::{
    Coalescing, CoalescingScope, ControlRequest, HashSettings, MacAddr, RssSettings,
};
use libcvf::offload::{Accepts, HashTypes};

use super::*;
use crate::limits::{MAX_REQUEST, MAX_REQUEST_MACS, MAX_REQUEST_TABLE};

fn read(text: &str) -> ControlRequest {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn said(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

#[test]
fn requests_are_read() {
    let (one, two) = (mac(1), mac(2));
    let group = MacAddr([1, 0, 0x5e, 0, 0, 1]);
    let filter = |unicast, multicast| ControlRequest::SetMacFilter { unicast, multicast };
    let held = |scope, max_usecs, max_packets| {
        ControlRequest::SetCoalescing(
            scope,
            Coalescing {
                max_usecs,
                max_packets,
            },
        )
    };
    let table = [
        ("mac=02:00:00:00:00:01", ControlRequest::SetMac(one)),
        (
            "unicast=02:00:00:00:00:01,02:00:00:00:00:02",
            filter(vec![one, two], vec![]),
        ),
        (
            "unicast=02:00:00:00:00:01+2",
            filter(vec![one, two], vec![]),
        ),
        ("multicast=01:00:5e:00:00:01", filter(vec![], vec![group])),
        (
            " multicast=01:00:5e:00:00:01  unicast=02:00:00:00:00:01 ",
            filter(vec![one], vec![group]),
        ),
        ("multicast=none", filter(vec![], vec![])),
        ("unicast=02:00:00:00:00:01+0", filter(vec![], vec![])),
        ("promiscuous=on", ControlRequest::Promiscuous(true)),
        ("all-multicast=off", ControlRequest::AllMulticast(false)),
        ("vlan=0", ControlRequest::AddVlan(0)),
        ("vlan=65535", ControlRequest::AddVlan(65535)),
        ("vlan-leave=100", ControlRequest::DelVlan(100)),
        ("queue-pairs=8", ControlRequest::SetQueuePairs(8)),
        (
            "coalescing=receive,usecs=50,packets=8",
            held(CoalescingScope::Receive, 50, 8),
        ),
        (
            "coalescing=transmit-queue:3",
            held(CoalescingScope::TransmitQueue(3), 0, 0),
        ),
        (
            "receive-offloads=none",
            ControlRequest::SetReceiveOffloads(Accepts(0)),
        ),
        (
            "receive-offloads=csum,tso4",
            ControlRequest::SetReceiveOffloads(Accepts::CSUM.with(Accepts::TSO4)),
        ),
        (
            "receive-offloads=all",
            ControlRequest::SetReceiveOffloads(Accepts(0x7f)),
        ),
    ];
    for (text, request) in table {
        assert_eq!(read(text), request, "{text}");
    }
}

#[test]
fn a_table_goes_round_over_the_queues() {
    let rss = |text: &str| match read(text) {
        ControlRequest::SetRss(settings) => settings,
        other => panic!("{other:?}"),
    };
    let RssSettings {
        hash,
        unclassified,
        table,
        pairs,
    } = rss("rss=3,table=8");
    assert_eq!((pairs, unclassified), (3, 0));
    assert_eq!(table, [0, 1, 2, 0, 1, 2, 0, 1]);
    assert!(
        hash.key.len() >= hash.types.key_bytes(),
        "a key for all types"
    );
    assert_eq!(rss("rss=4").table.len(), 128);
    assert_eq!(rss("rss=1,queues=2,table=2,unclassified=9").table, [0, 1]);
    assert_eq!(rss("rss=1,queues=2,unclassified=9").unclassified, 9);
    assert!(rss("rss=0,table=0").table.is_empty());
}

#[test]
fn hashes_have_the_names_of_the_specification() {
    let hash = |text: &str| match read(text) {
        ControlRequest::SetHash(HashSettings { types, .. }) => types,
        other => panic!("{other:?}"),
    };
    assert_eq!(hash("hash-report=all"), HashTypes::ALL);
    assert_eq!(hash("hash-report=none"), HashTypes::default());
    for (bit, name) in HashTypes::ALL.names().into_iter().enumerate() {
        let name = name.to_lowercase().replace('_', "-");
        assert_eq!(
            hash(&format!("hash-report={name}")),
            HashTypes(1 << bit),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_request_is_told_what_would_be() {
    let table = [
        (
            "",
            "no request is there: write one of mac=MAC, unicast=MAC[+N],...|none, ",
        ),
        ("mac", "'mac' lacks its value: write mac=MAC"),
        (
            "promiscous=on",
            "a guest cannot ask for 'promiscous'; did you mean 'promiscuous'? (write one of mac=",
        ),
        (
            "mac=52:54",
            "mac: '52:54' cannot be: write mac=MAC, as in mac=52:54:00:12:34:56",
        ),
        (
            "promiscuous=yes",
            "promiscuous: 'yes' cannot be: write promiscuous=on|off",
        ),
        ("vlan=+7", "vlan: '+7' is no such number: write vlan=ID"),
        ("vlan=65536", "vlan: '65536' is no such number"),
        ("queue-pairs=", "queue-pairs: '' is no such number"),
        (
            "multicast=01:00:5e:00:00:01,",
            "multicast: '' is no MAC address",
        ),
        (
            "multicast=01:00:5e:00:00:01+x",
            "multicast: '+x' is no number of addresses",
        ),
        (
            "hash-report=ipv5",
            "hash-report: 'ipv5' is none of ipv4, tcpv4, ",
        ),
        (
            "receive-offloads=tso",
            "receive-offloads: 'tso' is none of csum, tso4, tso6, ecn, ufo, uso4, uso6; did you mean",
        ),
        (
            "rss=4,tables=8",
            "rss: 'tables=8' is no option: write rss=N[,table=ENTRIES]",
        ),
        (
            "coalescing=both",
            "coalescing: 'both' is no queue: write coalescing=receive|transmit|",
        ),
        ("vlan=1 vlan=2", "'vlan=1 vlan=2' is more than one request"),
        (
            "unicast=none vlan=2",
            "'unicast=none vlan=2' is more than one request",
        ),
    ];
    for (text, begins) in table {
        let said = said(text);
        assert!(
            said.starts_with(begins),
            "{text}\n said: {said}\n want: {begins}"
        );
    }
}

#[test]
fn texts_are_bounded() {
    let padded = |len: usize| format!("vlan=7{}", " ".repeat(len - 6));
    assert!(parse(&padded(MAX_REQUEST)).is_ok());
    assert!(said(&padded(MAX_REQUEST + 1)).contains("is longer than 8192"));
    let many = |n: usize| format!("unicast=02:00:00:00:00:00+{n}");
    assert!(parse(&many(MAX_REQUEST_MACS)).is_ok());
    assert!(said(&many(MAX_REQUEST_MACS + 1)).contains("more than 256 addresses"));
    let twice = "unicast=52:54:00:00:00:01+200 unicast=52:54:00:00:01:01+200";
    assert!(said(twice).contains("more than 256 addresses"));
    let table = |n: usize| format!("rss=1,table={n}");
    assert!(parse(&table(MAX_REQUEST_TABLE)).is_ok());
    assert!(said(&table(MAX_REQUEST_TABLE + 1)).contains("longer than 1024"));
}

#[test]
fn examples_are_requests_of_their_kind_and_described_as_typed() {
    for form in FORMS {
        let request = read(form.example);
        let described = describe(&request);
        assert_eq!(read(&described), request, "{described}");
        assert!(
            described.contains(&format!("{}=", form.name)),
            "{described}"
        );
    }
}

#[test]
fn long_lists_are_cut_in_descriptions() {
    let described = describe(&read("unicast=02:00:00:00:00:01+4"));
    assert!(
        described.ends_with("02:00:00:00:00:04 multicast=none"),
        "{described}"
    );
    let described = describe(&read("unicast=02:00:00:00:00:01+9"));
    assert!(
        described.contains("02:00:00:00:00:04,...(5 more) multicast"),
        "{described}"
    );
}
