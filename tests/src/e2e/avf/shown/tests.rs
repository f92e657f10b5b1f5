use super::*;

const CHANNELS: &str = "\
Channel parameters for eth0:
Pre-set maximums:
RX:\t\tn/a
Combined:\t4
Current hardware settings:
RX:\t\tn/a
Combined:\t2
";

const COUNTERS: &str = "\
NIC statistics:
     rx_bytes: 70
     tx-0.packets: 5
     tx-0.bytes: 300
     tx-1.packets: 7
     tx-1.bytes: 500
     rx-0.packets: 1
";

#[test]
fn what_is_set_comes_after_what_could_be() {
    assert_eq!(value(CHANNELS, "Combined"), Some("2"));
    assert_eq!(value(CHANNELS, "TX"), None);
    expect(CHANNELS, &[("RX", "n/a"), ("Combined", "2")]).unwrap();
    expect(CHANNELS, &[("Combined", "4")]).unwrap_err();
}

#[test]
fn queues_are_summed_up() {
    assert_eq!(by_queue(COUNTERS, "tx", "packets").unwrap(), [5, 7]);
    assert_eq!(summed(COUNTERS, "tx", "bytes").unwrap(), 800);
    assert_eq!(summed(COUNTERS, "rx", "packets").unwrap(), 1);
    assert_eq!(counter(COUNTERS, "rx_bytes").unwrap(), 70);
    by_queue(COUNTERS, "rx", "bytes").unwrap_err();
}
