use super::*;

#[test]
fn both_kinds_of_ping_are_understood() {
    let busybox = "PING 1 (1): 56 data bytes\n\n--- 1 ping statistics ---\n\
                   5 packets transmitted, 4 packets received, 20% packet loss\n";
    assert_eq!(answers(busybox), Some(4));
    let iputils = "3 packets transmitted, 3 received, 0% packet loss, time 2ms\n";
    assert_eq!(answers(iputils), Some(3));
    assert_eq!(answers("nothing"), None);
}

#[test]
fn a_flow_is_perfect_only_with_its_end_mark() {
    let send = SendReport {
        sent: 3,
        ..Default::default()
    };
    let receive = ReceiveReport {
        received: 3,
        announced: Some(3),
        ..Default::default()
    };
    let good = FlowReport { send, receive };
    assert!(good.is_perfect());
    let mut unmarked = good.clone();
    unmarked.receive.announced = None;
    assert!(!unmarked.is_perfect());
    let mut twice = good;
    twice.receive.duplicate = 1;
    assert!(!twice.is_perfect());
}
