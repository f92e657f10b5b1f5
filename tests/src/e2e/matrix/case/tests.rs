use super::super::cover;
use super::*;

#[test]
fn every_case_has_a_name_from_which_it_can_be_had() {
    for row in cover::rows(&LEVELS, 2) {
        let case = Case::of(&row).unwrap();
        assert_eq!(Case::named(&case.to_string()).unwrap(), case);
    }
    assert!(Case::named("default/default/tcp4").is_err());
    let error = Case::named("default/default/sctp").unwrap_err().to_string();
    assert!(error.contains("tcp4"), "{error}");
}

#[test]
fn formats_and_protocols_follow_from_their_positions() {
    let case = Case::named("default/xdp/gso6/mtu1280/tx-least/rx-least/ps").unwrap();
    assert_eq!((case.protocol(), case.v6()), (Protocol::Gso, true));
    assert_eq!(case.packed(), (true, false));
    assert_eq!((case.tx_ring(), case.rx_ring()), (20, 32));
    assert!(case.xdp() && case.cut());
    let case = Case::named("default/gro-off/udp4/mtu1280/tx-least/rx256/sp").unwrap();
    assert_eq!((case.protocol(), case.v6()), (Protocol::Udp, false));
    assert_eq!((case.tx_ring(), case.rx_ring()), (32, 256));
    assert!(!case.xdp() && !case.cut());
}
