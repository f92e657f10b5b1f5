use super::*;
use crate::offload::HashTypes;

fn port() -> Port {
    Port::new(4, 10, false)
}

fn limited(pairs: u16) -> QueuePolicy {
    QueuePolicy {
        pairs: Some(pairs),
        ..QueuePolicy::default()
    }
}

fn hash() -> HashSettings {
    HashSettings {
        types: HashTypes::ALL,
        key: vec![7; 40],
    }
}

fn scaling(table: &[u16]) -> RssSettings {
    RssSettings {
        hash: hash(),
        unclassified: 3,
        table: table.to_vec(),
        pairs: 4,
    }
}

#[test]
fn what_a_driver_asked_for_is_not_what_a_limit_leaves_of_it() {
    type Ask = fn(&Port);
    let asks: [Ask; 4] = [
        |port| port.set_active_pairs(4),
        |port| {
            port.set_active_pairs(4);
            port.set_hash(hash());
        },
        |port| {
            port.set_rss(scaling(&[0, 1, 2, 3]));
            port.set_hash(hash());
        },
        |port| port.set_rss(scaling(&[0, 1, 2, 3])),
    ];
    for ask in asks {
        let port = port();
        port.set_queue_policy(limited(2));
        ask(&port);
        assert_eq!(port.active_pairs(), 2);
        port.set_queue_policy(QueuePolicy::default());
        assert_eq!(port.active_pairs(), 4);
        port.forget_wishes();
        assert_eq!(port.active_pairs(), 1);
    }
}

#[test]
fn a_drivers_table_is_folded_into_what_a_limit_leaves() {
    let port = port();
    port.set_rss(scaling(&[3, 2, 1, 0]));
    assert_eq!(port.steering().table, [3, 2, 1, 0]);
    port.set_queue_policy(limited(2));
    let state = port.steering();
    assert_eq!(
        (&state.table[..], state.unclassified),
        (&[1, 0, 1, 0][..], 1)
    );
    port.set_queue_policy(QueuePolicy::default());
    assert_eq!(port.steering().table, [3, 2, 1, 0], "as it was");
}

#[test]
fn the_operators_word_outlives_a_reset() {
    let port = port();
    let host = QueuePolicy {
        rss_table: Some(vec![2, 3]),
        ..limited(4)
    };
    port.set_queue_policy(host);
    port.set_active_pairs(4);
    assert_eq!(port.steering().table, [2, 3]);
    port.forget_wishes();
    assert!(!port.steering().rss, "one queue needs no table");
    port.set_active_pairs(3);
    assert_eq!(port.steering().table, [2, 0], "folded");
}

#[test]
fn a_ring_may_keep_what_was_set_before_it() {
    let port = port();
    let to = Coalescing {
        max_usecs: 50,
        max_packets: 7,
    };
    port.set_coalescing(CoalescingScope::ReceiveQueue(1), to);
    port.set_coalescing(CoalescingScope::TransmitQueue(1), to);
    port.keep_receive(1);
    port.keep_transmit(1);
    assert_eq!(port.receive_coalescing(1), Some(to));
    assert_eq!(port.transmit_coalescing(1), Some(to));
    // As virtio has it.
    port.renew_receive(1);
    port.renew_transmit(1);
    assert_eq!(port.receive_coalescing(1), Some(Coalescing::default()));
    assert_eq!(port.transmit_coalescing(1), Some(Coalescing::default()));
}
