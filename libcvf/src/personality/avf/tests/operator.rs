//! What the operator changes while the device lives.

use super::super::{AvfConfig, MAX_AVF_MTU, SettingsError};
use super::driver::*;
use super::host::Call;
use crate::control::{ControlRequest, MacAddr};
use crate::personality::{Given, Personality};

fn given() -> Given {
    Given {
        mac: MAC,
        mtu: 1500,
        pairs: 2,
        features: u64::MAX,
    }
}

#[test]
fn what_is_given_before_the_driver_asks_is_what_it_is_told() {
    for mailbox in [false, true] {
        let mut d = Driver::new(settings(2));
        if mailbox {
            d.init_mailbox();
        }
        d.host.take();
        assert!(!d.device.give(&mut d.host, given()), "nothing new");
        let mac = MacAddr([0x52, 0x54, 0, 7, 7, 7]);
        let new = Given {
            mac,
            mtu: 9000,
            pairs: 1,
            features: !(1 << 15),
        };
        assert!(d.device.give(&mut d.host, new));
        assert_eq!(d.host.take(), []);
        assert_eq!(d.next(), None);
        assert_eq!(d.device.status().mac, mac);
        d.init_mailbox();
        let bytes = d.resources(LINUX);
        assert_eq!(bytes[2], 1);
        assert_eq!(bytes[6..8], 9026u16.to_le_bytes());
        assert_eq!(bytes[8..12], (GRANTED ^ (1 << 15 | 1 << 16)).to_le_bytes());
        assert_eq!(bytes[30..], mac.0);
        d.good(op::ADD_ETH_ADDR, addresses(&[(mac, 1)]));
        assert_eq!(d.host.requests(), []);
    }
}

#[test]
fn what_is_given_to_a_running_driver_resets_it_once() {
    let mut d = Driver::running(2);
    let mac = MacAddr([0x52, 0x54, 0, 7, 7, 7]);
    let new = Given { mac, ..given() };
    assert!(d.device.give(&mut d.host, new));
    assert_eq!(d.host.take().first(), Some(&Call::Stop));
    assert!(!d.device.give(&mut d.host, new));
    assert_eq!(d.host.take(), []);
    assert_eq!(d.host.posted.len(), 1);
    assert_eq!(d.device.status().mac, mac);
}

#[test]
fn an_mtu_beyond_what_the_function_can_do_is_what_it_can_do() {
    let mut d = Driver::new(settings(2));
    let new = Given {
        mtu: u16::MAX,
        ..given()
    };
    assert!(d.device.give(&mut d.host, new));
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[6..8], 9728u16.to_le_bytes());
    assert_eq!(MAX_AVF_MTU, 9702);
}

#[test]
fn a_link_that_goes_is_told_to_any_driver_and_one_that_comes_to_who_has_queues() {
    let up = [1, 0, 0, 0, 0xa8, 0x61, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let down = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut d = Driver::mailbox(1);
    assert!(d.device.set_link(&mut d.host, false));
    assert_eq!(d.next(), None, "nobody is there");
    d.send(op::GET_VF_RESOURCES, LINUX.to_le_bytes());
    d.next().expect("the answer");
    assert_eq!(d.next(), None);
    assert!(d.device.set_link(&mut d.host, true));
    assert_eq!(d.next(), None, "a driver that sends would do so in vain");
    assert!(d.device.set_link(&mut d.host, false));
    assert_eq!(d.next().expect("the link").bytes, down);
    assert!(d.device.set_link(&mut d.host, true));

    d.good(op::CONFIG_IRQ_MAP, irq_map(1));
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    d.send(op::ENABLE_QUEUES, select(1, 1));
    d.next().expect("the answer");
    assert_eq!(d.next().expect("the link").bytes, up);
    assert!(!d.device.set_link(&mut d.host, true), "it is");
    assert!(d.device.set_link(&mut d.host, false));
    assert_eq!(d.next().expect("the link").bytes, down);
    assert!(d.device.set_link(&mut d.host, true));
    assert_eq!(d.next().expect("the link").bytes, up);

    d.good(op::DISABLE_QUEUES, select(1, 1));
    assert!(d.device.set_link(&mut d.host, false));
    assert_eq!(d.next().expect("the link").bytes, down);
    assert!(d.device.set_link(&mut d.host, true));
    assert_eq!(d.next(), None, "its queues are disabled");
    d.send(op::RESET_VF, []);
    assert!(d.device.set_link(&mut d.host, false));
    assert_eq!(d.next(), None);
    assert!(!d.device.status().link_up);
}

#[test]
fn a_driver_cannot_be_asked_to_announce_itself() {
    let mut d = Driver::running(1);
    assert!(!d.device.announce(&mut d.host));
    assert_eq!((d.host.take(), d.next()), (vec![], None));
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut AvfConfig)| {
        let mut config = settings(1);
        change(&mut config);
        super::super::Avf::new(config).expect_err("a refusal")
    };
    assert_eq!(
        refused(|config| config.mac = MacAddr::BROADCAST),
        SettingsError::Mac(MacAddr::BROADCAST)
    );
    assert_eq!(refused(|config| config.mtu = 67), SettingsError::Mtu(67));
    assert_eq!(
        refused(|config| config.mtu = 9703),
        SettingsError::Mtu(9703)
    );
    for pairs in [0, 17] {
        let mut config = settings(1);
        config.queue_pairs = pairs;
        let error = super::super::Avf::new(config).expect_err("a refusal");
        assert_eq!(error, SettingsError::QueuePairs(pairs));
    }
    assert_eq!(
        refused(|config| config.vlan_filters = 4095),
        SettingsError::VlanFilters(4095)
    );
    let mut config = settings(16);
    (config.mtu, config.vlan_filters) = (9702, 0);
    Driver::new(config);
}

#[test]
fn what_the_operator_brings_about_is_no_reset_of_the_drivers() {
    let mut d = Driver::running(2);
    let mac = MacAddr([0x52, 0x54, 0, 7, 7, 7]);
    assert!(d.device.give(&mut d.host, Given { mac, ..given() }));
    assert_eq!(d.host.own_resets, 1);
    d.host.posted.clear();
    d.init_mailbox();
    d.resources(LINUX);
    // What was allowed is not any more.
    d.device.ask_anew(&mut d.host, MAC);
    assert_eq!((d.host.own_resets, d.host.posted.len()), (2, 1));
    d.device.ask_anew(&mut d.host, MAC);
    assert_eq!(d.host.own_resets, 2, "it has nothing yet");
    d.host.posted.clear();
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[30..], MAC.0);
    d.good(op::VERSION, [1, 0, 0, 0, 1, 0, 0, 0]);
    d.send(op::REQUEST_QUEUES, [1, 0]);
    d.send(op::RESET_VF, []);
    assert_eq!(d.host.own_resets, 2, "those are the driver's");
}

/// Linux skips `VIRTCHNL_OP_VERSION` after a reset, brings up as many pairs as before, and gives up where they are
/// refused.
#[test]
fn a_driver_is_told_of_fewer_pairs_when_it_starts_anew_and_frames_go_to_them_at_once() {
    let mut d = Driver::running(4);
    assert!(d.device.give(&mut d.host, given()));
    d.host.posted.clear();
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[2..4], 4u16.to_le_bytes());
    d.good(op::CONFIG_IRQ_MAP, irq_map(4));
    d.good(op::CONFIG_VSI_QUEUES, queue_config(4));
    d.good(op::ENABLE_QUEUES, select(ones(4), ones(4)));
    assert_eq!(d.device.status().active_pairs, 2);
    d.host.take();
    let table: Vec<u8> = (0..64).map(|entry| entry % 4).collect();
    d.good(op::CONFIG_RSS_LUT, rss(&table));
    let [ControlRequest::SetRss(settings)] = &d.host.requests()[..] else {
        panic!("no table");
    };
    let folded: Vec<u16> = (0..64).map(|entry| entry % 2).collect();
    assert_eq!((settings.pairs, &settings.table), (2, &folded));

    // A driver that asks whether somebody is there does not start anew.
    d.good(op::VERSION, [1, 0, 0, 0, 1, 0, 0, 0]);
    d.send(op::RESET_VF, []);
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[2..4], 4u16.to_le_bytes());
    d.send(op::RESET_VF, []);
    d.init_mailbox();
    d.good(op::VERSION, [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(d.resources(LINUX)[2..4], 2u16.to_le_bytes());
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, queue_config(4)), PARAM);
}

#[test]
fn a_driver_whose_pairs_are_not_allowed_any_more_goes_on_with_one_in_use() {
    let mut d = Driver::running(2);
    d.host.unsettled = vec![ControlRequest::SetQueuePairs(2)];
    d.device.ask_anew(&mut d.host, MAC);
    d.host.posted.clear();
    d.init_mailbox();
    assert_eq!(d.resources(LINUX)[2..4], 2u16.to_le_bytes());
    d.good(op::CONFIG_VSI_QUEUES, queue_config(2));
    d.host.take();
    d.good(op::ENABLE_QUEUES, select(ones(2), ones(2)));
    assert_eq!(d.host.requests(), [], "one pair is in use and stays so");
    assert_eq!(d.device.status().active_pairs, 1);
}
