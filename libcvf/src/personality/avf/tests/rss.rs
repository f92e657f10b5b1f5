//! Receive-side scaling.

use super::driver::*;
use super::host::denied;
use crate::control::{ControlRequest, RssSettings};
use crate::offload::HashTypes;

fn settings(d: &mut Driver) -> RssSettings {
    match d.host.requests().pop() {
        Some(ControlRequest::SetRss(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn key_and_table_are_zero_until_they_are_set() {
    let mut d = Driver::granted(2, LINUX);
    d.good(op::SET_RSS_HENA, (1u64 << 33).to_le_bytes());
    assert_eq!(d.host.requests(), [], "nothing is scaled yet");
    d.good(op::CONFIG_RSS_LUT, rss(&[1; 64]));
    let set = settings(&mut d);
    assert_eq!((set.hash.key, set.table), (vec![0; 40], vec![1; 64]));
    assert_eq!(set.hash.types, HashTypes::TCPV4);
    d.good(op::CONFIG_RSS_KEY, rss(&[9; 52]));
    let set = settings(&mut d);
    assert_eq!((set.hash.key, set.table), (vec![9; 40], vec![1; 64]));
}

#[test]
fn sizes_are_those_that_were_told() {
    let mut d = Driver::granted(2, LINUX);
    for len in [0, 1, 40, 51, 53, 64] {
        let message = rss(&vec![0; len]);
        assert_eq!(d.status(op::CONFIG_RSS_KEY, message), PARAM, "{len}");
    }
    for len in [0, 1, 63, 65, 128] {
        let message = rss(&vec![0; len]);
        assert_eq!(d.status(op::CONFIG_RSS_LUT, message), PARAM, "{len}");
    }
    // What the message says and what it has.
    let mut message = rss(&[0; 52]);
    message[2..4].copy_from_slice(&0xffffu16.to_le_bytes());
    assert_eq!(d.status(op::CONFIG_RSS_KEY, message), PARAM);
}

#[test]
fn a_table_names_queues_that_are_there() {
    let mut d = Driver::granted(2, LINUX);
    for queue in [2, 15, 255] {
        let mut table = [0; 64];
        table[63] = queue;
        assert_eq!(d.status(op::CONFIG_RSS_LUT, rss(&table)), PARAM);
    }
    assert_eq!(d.host.take(), []);
}

#[test]
fn kinds_of_packets_are_those_that_can_be_hashed() {
    let mut d = Driver::granted(2, LINUX);
    let all = d.good(op::GET_RSS_HENA_CAPS, []);
    let all = u64::from_le_bytes(all.try_into().expect("eight bytes"));
    let known = [31, 33, 35, 36, 41, 43, 45, 46];
    assert_eq!(all, known.iter().map(|bit| 1u64 << bit).sum::<u64>());
    d.good(op::CONFIG_RSS_KEY, rss(&[9; 52]));
    assert_eq!(settings(&mut d).hash.types, HashTypes(0x3f));
    for bit in 0..64u32 {
        let hena = 1u64 << bit;
        let status = d.status(op::SET_RSS_HENA, hena.to_le_bytes());
        assert_eq!(status == OK, all & hena != 0, "{bit}");
    }
    d.host.take();
    d.good(op::SET_RSS_HENA, [0; 8]);
    assert_eq!(settings(&mut d).hash.types, HashTypes(0));
}

#[test]
fn toeplitz_is_the_only_function() {
    let mut d = Driver::granted(2, LINUX);
    for algorithm in 1..5 {
        let message = vec![1, 0, algorithm, 0, 0, 0, 0, 0];
        assert_eq!(d.status(op::CONFIG_RSS_HFUNC, message), UNSUPPORTED);
    }
    d.good(op::CONFIG_RSS_HFUNC, vec![1, 0, 0, 0, 9, 9, 9, 9]);
}

#[test]
fn what_is_denied_is_not_kept() {
    let mut d = Driver::granted(2, LINUX);
    for _ in 0..2 {
        d.host.replies.push_back(denied());
        assert_eq!(d.status(op::CONFIG_RSS_KEY, rss(&[9; 52])), PARAM);
        d.host.replies.push_back(denied());
        assert_eq!(d.status(op::CONFIG_RSS_LUT, rss(&[1; 64])), PARAM);
    }
    d.host.take();
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    d.good(op::ENABLE_QUEUES, select(1, 1));
    assert_eq!(
        d.host.requests(),
        [ControlRequest::SetQueuePairs(1)],
        "the device chooses"
    );
}

#[test]
fn a_table_outlives_a_change_of_the_queues_in_use() {
    let mut d = Driver::granted(4, LINUX);
    d.good(op::CONFIG_RSS_LUT, rss(&[1; 64]));
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    d.host.take();
    d.good(op::ENABLE_QUEUES, select(3, 3));
    let set = settings(&mut d);
    assert_eq!((set.pairs, set.table), (2, vec![1; 64]));
}
