//! How a device comes up, and what is asked of it then.

use super::*;
use crate::fakevm::avf::model::Seen;
use crate::fakevm::avf::virtchnl::{cap, op};

/// Where something was seen for the first time.
fn first(vm: &AvfVm<Model>, wanted: Seen) -> usize {
    let found = vm.client.seen.iter().position(|seen| *seen == wanted);
    found.unwrap_or_else(|| panic!("{wanted:x?} was not seen"))
}

#[test]
fn operations_come_in_the_order_of_linux() {
    for mode in MODES {
        let vm = started(config(mode));
        let ops = [1, 3, 51, 7, 10, 23, 24, 54, 56, 6, 8];
        assert_eq!(vm.client.ops(), ops, "{mode:?}");
        assert_eq!(vm.client.macs, [[0x52, 0x54, 0, 0, 0, 7]]);
        assert_eq!(vm.mac(), [0x52, 0x54, 0, 0, 0, 7]);
        assert!(vm.refused.is_empty());
        let link = Link {
            up: true,
            speed: 25_000,
        };
        assert_eq!(vm.link(), Some(link));
        assert_eq!(vm.client.rss[0].len(), 52);
        assert_eq!(vm.client.rss[1], [0; 64]);
    }
}

#[test]
fn the_mailbox_is_enabled_before_its_place_is_known() {
    let vm = started(config(InterruptMode::Polling));
    let writes = vm.client.seen.iter().filter_map(|seen| match seen {
        Seen::Write(at, value) => Some((*at, *value)),
        Seen::Op(_) => None,
    });
    let writes: Vec<(u64, u32)> = writes.take(11).collect();
    let at: Vec<u64> = writes.iter().map(|(at, _)| *at).collect();
    let send = [0x6400, 0x8400, 0x6800, 0x7c00, 0x7800];
    let receive = [0x7400, 0x7000, 0x8000, 0x6c00, 0x6000, 0x7000];
    assert_eq!(at, [&send[..], &receive[..]].concat());
    assert_eq!(writes[2].1, 1 << 31 | 32);
    assert_eq!(writes[10].1, 31);
}

#[test]
fn buffers_are_posted_and_interrupts_enabled_before_queues_are() {
    let vm = started(config(InterruptMode::EventFd));
    let posted = first(&vm, Seen::Write(0x2000, 63));
    let configured = first(&vm, Seen::Op(op::CONFIG_VSI_QUEUES));
    let armed = first(&vm, Seen::Write(0x3800, 1 | 3 << 3));
    let enabled = first(&vm, Seen::Op(op::ENABLE_QUEUES));
    assert!(posted < configured && configured < armed && armed < enabled);
    let vm = started(config(InterruptMode::Polling));
    first(&vm, Seen::Write(0x3800, 1 << 30 | 2 << 5));
    let armed = vm.client.seen.iter();
    let armed = armed.filter(|seen| matches!(seen, Seen::Write(0x3800 | 0x5c00, v) if v & 1 != 0));
    assert_eq!(armed.count(), 0, "a driver that polls enables nothing");
}

#[test]
fn what_was_not_granted_is_not_asked() {
    let behaviour = Behaviour {
        offers: cap::L2,
        mac: [0; 6],
        ..Behaviour::default()
    };
    let mut vm = over(behaviour, config(InterruptMode::EventFd));
    vm.start().unwrap();
    assert_eq!(vm.client.ops(), [1, 3, 7, 10, 6, 8]);
    assert_eq!(vm.client.macs, [vm.mac()], "an address of the driver's own");
    assert!(vm.add_vlans(&[1]).is_err());
    let behaviour = Behaviour {
        offers: cap::L2 | cap::VLAN,
        ..Behaviour::default()
    };
    let mut vm = over(behaviour, config(InterruptMode::EventFd));
    vm.start().unwrap();
    assert_eq!(vm.client.ops(), [1, 3, 7, 10, 27, 6, 8]);
    assert!(vm.add_vlans(&[1, 7]).unwrap().is_ok());
    assert_eq!(vm.client.vlans, [1, 7]);
}

#[test]
fn formats_are_asked_for_where_they_were_granted() {
    let flexible = AvfVmConfig {
        flex: true,
        ..config(InterruptMode::EventFd)
    };
    // One that has them and wants the legacy one, as Linux's.
    let legacy = AvfVmConfig {
        wanted: cap::FULL | cap::RX_FLEX_DESC,
        ..config(InterruptMode::EventFd)
    };
    for (config, rxdid) in [(&flexible, 2), (&legacy, 1)] {
        let vm = started(config.clone());
        let ops = [1, 3, 51, 44, 7, 10, 23, 24, 54, 56, 6, 8];
        assert_eq!(vm.client.ops(), ops, "{rxdid}");
        assert_eq!(vm.queue_pairs()[0].rxdid, rxdid);
    }
    for (formats, offers, outcome) in [
        (0b10, u32::MAX, Some(1)),
        (0b110, !cap::RX_FLEX_DESC, Some(0)),
        (0b100, u32::MAX, None),
        (0, u32::MAX, None),
    ] {
        let behaviour = Behaviour {
            formats,
            offers: Behaviour::default().offers & offers,
            ..Behaviour::default()
        };
        let mut vm = over(behaviour, flexible.clone());
        let started = vm.start().map(|()| vm.queue_pairs()[0].rxdid);
        assert_eq!(started.ok(), outcome, "{formats:#b}");
    }
}

#[test]
fn some_refusals_end_it_and_others_do_not() {
    for (op, goes_on) in [
        (op::VERSION, false),
        (op::GET_VF_RESOURCES, false),
        (op::GET_OFFLOAD_VLAN_V2_CAPS, false),
        (op::CONFIG_IRQ_MAP, false),
        (op::ADD_ETH_ADDR, true),
        (op::CONFIG_RSS_KEY, true),
        (op::CONFIG_RSS_LUT, true),
        (op::ENABLE_VLAN_STRIPPING_V2, true),
        (op::CONFIG_VSI_QUEUES, false),
        (op::ENABLE_QUEUES, false),
    ] {
        let refuses = [(op, -5)].into();
        let behaviour = Behaviour {
            refuses,
            ..Behaviour::default()
        };
        let mut vm = over(behaviour, config(InterruptMode::EventFd));
        assert_eq!(vm.start().is_ok(), goes_on, "{op}");
        let refused = [(op, Status::ERR_PARAM)];
        assert_eq!(vm.refused, refused[usize::from(!goes_on)..], "{op}");
        // Whatever it was, the next time works.
        vm.client.behaviour.refuses.clear();
        vm.start().unwrap();
        assert!(vm.refused.is_empty());
    }
}

#[test]
fn pairs_share_vectors_when_there_are_few() {
    let behaviour = Behaviour {
        vectors: 3,
        ..Behaviour::default()
    };
    let config = AvfVmConfig {
        queue_pairs: 4,
        ..config(InterruptMode::EventFd)
    };
    let mut vm = over(behaviour, config.clone());
    vm.start().unwrap();
    let vectors: Vec<u16> = (0..4).map(|pair| vm.pair(pair).vector).collect();
    assert_eq!(vectors, [1, 2, 1, 2]);
    let more = AvfVmConfig {
        queue_pairs: 5,
        ..config
    };
    let mut vm = over(Behaviour::default(), more);
    assert!(matches!(vm.start(), Err(Error::Unsupported(_))));
}

#[test]
fn requests_are_answered_over_many_turns_of_the_mailbox() {
    for mode in MODES {
        let mut vm = started(config(mode));
        for turn in 0..100_u16 {
            let (unicast, multicast) = (turn % 2 == 1, turn % 4 > 1);
            assert!(vm.set_promiscuous(unicast, multicast).unwrap().is_ok());
            assert_eq!(vm.client.promiscuous, turn % 4);
        }
        assert_eq!(vm.statistics().unwrap().unwrap().tx_errors, 12);
    }
}

#[test]
fn what_runs_is_changed_by_requests() {
    let mut vm = started(config(InterruptMode::EventFd));
    let other = [2, 0, 0, 0, 0, 9];
    let group = [1, 0, 0x5e, 0, 0, 1];
    assert!(vm.add_macs(&[group]).unwrap().is_ok());
    assert!(vm.set_mac(other).unwrap().is_ok());
    assert_eq!(
        (vm.mac(), &vm.client.macs[..]),
        (other, &[group, other][..])
    );
    assert!(vm.delete_macs(&[group]).unwrap().is_ok());
    assert_eq!(vm.client.macs, [other]);
    vm.client.behaviour.refuses = [(op::ADD_ETH_ADDR, -5)].into();
    assert_eq!(vm.set_mac(group).unwrap(), Status::ERR_PARAM);
    assert_eq!(vm.mac(), other, "the old one stays");
    assert!(vm.add_vlans(&[5, 6]).unwrap().is_ok());
    assert!(vm.delete_vlans(&[5]).unwrap().is_ok());
    assert_eq!(vm.client.vlans, [6]);
    assert!(vm.set_rss_key(&[3; 52]).unwrap().is_ok());
    assert!(vm.set_rss_lut(&[1; 64]).unwrap().is_ok());
    assert_eq!(vm.client.rss, [vec![3; 52], vec![1; 64]]);
    assert_eq!(vm.set_hash_kinds(1).unwrap(), Status::ERR_NOT_SUPPORTED);
    assert_eq!(vm.hash_kinds().unwrap(), None);
    let answer = vm.request(99, &[1, 2, 3]).unwrap();
    assert_eq!(answer.status, Status::ERR_NOT_SUPPORTED);
}

#[test]
fn what_is_said_unasked_is_kept_and_waits_for_room() {
    for mode in MODES {
        let mut vm = started(config(mode));
        vm.take_events().unwrap();
        for turn in 0..40 {
            vm.client.say_link(turn % 2 == 0);
        }
        assert!(vm.set_promiscuous(true, true).unwrap().is_ok());
        let events = vm.take_events().unwrap();
        assert_eq!(events.len(), 40);
        let last = Event::Link {
            up: false,
            speed: 25_000,
        };
        assert_eq!(events[39], last);
        assert_eq!(vm.link().map(|link| link.up), Some(false));
        vm.client.say_link(true);
        let soon = Instant::now() + std::time::Duration::from_secs(5);
        assert!(vm.wait_link(true, soon).unwrap());
    }
}

#[test]
fn a_driver_that_leaves_says_so() {
    let mut vm = started(config(InterruptMode::EventFd));
    vm.unload().unwrap();
    assert_eq!(vm.client.ops()[11..], [op::DISABLE_QUEUES, 0]);
    assert!(vm.request(op::VERSION, &[]).is_err(), "no mailbox");
    vm.start().unwrap();
    assert_eq!(vm.pairs(), 1);
}
