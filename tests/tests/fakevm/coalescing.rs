//! Interrupts held back.

use std::time::{Duration, Instant};

use lab::fakevm::control::ctrl;
use lab::fakevm::frame;
use lab::fakevm::net::{feature, rx_queue, tx_queue};
use lab::fakevm::{Ack, FakeVm, FakeVmConfig};

use crate::common::{Host, SOON, introduce};

/// The longest that may be asked for: what has not come by then never comes.
const LONGEST: u32 = 100_000;

fn vm(host: &Host, name: &str, features: u64) -> FakeVm {
    let config = FakeVmConfig {
        features,
        ..FakeVmConfig::default()
    };
    host.vm_with(name, &["--queue-pairs", "2"], config)
}

/// Two acquainted VMs; the features are the second's.
fn pair(host: &Host, features: u64) -> (FakeVm, FakeVm) {
    let mut one = vm(host, "one", feature::FULL);
    let mut two = vm(host, "two", features);
    introduce(&mut [&mut one, &mut two]);
    (one, two)
}

const ALL: u64 = feature::FULL | feature::QUEUES;

/// Arms the receive queue's interrupt and forgets those that have come.
fn arm(vm: &mut FakeVm) {
    vm.take_frames(0).unwrap();
    assert!(!vm.pair(0).rx.queue().arm());
    vm.take_interrupts(rx_queue(0));
}

fn send(one: &mut FakeVm, two: &mut FakeVm, count: u64) {
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    for number in 0..count {
        one.send(&frame::numbered(target, source, number, 80))
            .unwrap();
        one.drain_tx(0).unwrap();
    }
}

fn wait(vm: &FakeVm, queue: u16) -> bool {
    let vector = vm.vector_of(queue).unwrap();
    vm.interrupts()
        .unwrap()
        .wait(vector, Instant::now() + SOON)
        .unwrap()
}

/// Below the count, an interrupt comes when the time is over, and not before.
#[test]
fn time_releases_what_is_held_back() {
    let host = Host::new();
    for (name, features) in [("index", ALL), ("flags", ALL & !feature::EVENT_IDX)] {
        let mut one = vm(&host, &format!("from-{name}"), feature::FULL);
        let mut two = vm(&host, name, features);
        introduce(&mut [&mut one, &mut two]);
        assert_eq!(two.set_coalescing(true, 100, LONGEST).unwrap(), Ack::Ok);
        for _ in 0..3 {
            arm(&mut two);
            let start = Instant::now();
            send(&mut one, &mut two, 5);
            assert!(wait(&two, rx_queue(0)), "{name}: the interrupt never came");
            assert!(
                start.elapsed() >= Duration::from_micros(LONGEST.into()),
                "{name}"
            );
            assert_eq!(two.take_frames(0).unwrap().len(), 5);
        }
    }
}

/// With the count reached nobody waits for the time.
#[test]
fn the_count_releases_what_is_held_back() {
    let host = Host::new();
    let (mut one, mut two) = pair(&host, ALL);
    assert_eq!(two.set_coalescing(true, 8, LONGEST).unwrap(), Ack::Ok);
    let before = interrupts(&mut two);
    for round in 0..20 {
        arm(&mut two);
        send(&mut one, &mut two, 8);
        assert!(wait(&two, rx_queue(0)), "round {round}");
        assert_eq!(two.take_frames(0).unwrap().len(), 8, "round {round}");
    }
    // 160 frames that were waited for one by one: without limits, 160 interrupts.
    let count = interrupts(&mut two) - before;
    assert!((20..=40).contains(&count), "{count} interrupts");
}

/// Interrupts of the first receive queue, as the device counted them.
fn interrupts(vm: &mut FakeVm) -> u64 {
    let stats = vm.statistics(&[(rx_queue(0), 1)]).unwrap().unwrap();
    stats[0].numbers[3]
}

/// A driver that looked on its own is not interrupted when the time is over.
#[test]
fn a_driver_that_has_seen_all_is_left_alone() {
    let host = Host::new();
    let (mut one, mut two) = pair(&host, ALL);
    assert_eq!(two.set_coalescing(true, 100, LONGEST).unwrap(), Ack::Ok);
    // On a machine that is slow enough the time is over before the driver has looked: once more then.
    let quiet = (0..20).any(|_| {
        arm(&mut two);
        let before = interrupts(&mut two);
        send(&mut one, &mut two, 5);
        let mut seen = 0;
        while seen < 5 {
            seen += two.take_frames(0).unwrap().len();
        }
        arm(&mut two);
        if interrupts(&mut two) != before {
            return false;
        }
        // A change of limits decides at once what the deadline would decide.
        assert_eq!(two.set_coalescing(true, 100, LONGEST).unwrap(), Ack::Ok);
        interrupts(&mut two) == before
    });
    assert!(quiet, "interrupted although everything was seen");
    send(&mut one, &mut two, 1);
    assert!(wait(&two, rx_queue(0)), "now it waits");
}

/// virtio 1.3 5.1.6.5.9.4: new limits are applied to what is held back.
#[test]
fn a_change_releases_what_is_held_back() {
    let host = Host::new();
    let (mut one, mut two) = pair(&host, ALL);
    for usecs in [0, 10, LONGEST] {
        assert_eq!(two.set_coalescing(true, 100, LONGEST).unwrap(), Ack::Ok);
        arm(&mut two);
        send(&mut one, &mut two, 3);
        assert_eq!(two.set_coalescing(true, 2, usecs).unwrap(), Ack::Ok);
        // Either it was sent by now, or the first limit's time was over before.
        assert!(two.take_interrupts(rx_queue(0)) > 0, "{usecs}");
        two.take_frames(0).unwrap();
    }
}

/// A driver out of buffers is told of what it has, however long it asked to be left alone.
#[test]
fn an_empty_ring_is_told_of_at_once() {
    let host = Host::new();
    let (mut one, mut two) = pair(&host, ALL);
    assert_eq!(
        two.set_coalescing(true, u32::MAX, LONGEST).unwrap(),
        Ack::Ok
    );
    arm(&mut two);
    send(&mut one, &mut two, 300);
    // The sender has everything back, so the receiver's worker is done with all of it.
    assert!(two.take_interrupts(rx_queue(0)) > 0);
    assert_eq!(
        two.take_frames(0).unwrap().len(),
        256,
        "what the ring holds"
    );
}

#[test]
fn transmit_completions_are_held_back_and_none_is_lost() {
    let host = Host::new();
    let (mut two, mut one) = pair(&host, ALL);
    assert_eq!(one.set_coalescing(false, 64, LONGEST).unwrap(), Ack::Ok);
    let (source, target) = (one.mac().unwrap(), two.mac().unwrap());
    one.drain_tx(0).unwrap();
    for _ in 0..3 {
        let tx = one.pair(0).tx.queue();
        assert!(!tx.arm());
        one.take_interrupts(tx_queue(0));
        let start = Instant::now();
        one.send(&frame::numbered(target, source, 1, 80)).unwrap();
        assert!(wait(&one, tx_queue(0)), "the completion never came");
        assert!(start.elapsed() >= Duration::from_micros(LONGEST.into()));
        one.drain_tx(0).unwrap();
        two.take_frames(0).unwrap();
    }
}

#[test]
fn limits_are_read_back_and_reset() {
    let host = Host::new();
    let config = FakeVmConfig {
        queue_pairs: 2,
        features: ALL,
        ..FakeVmConfig::default()
    };
    let mut vm = host.vm_with("one", &["--queue-pairs", "4"], config);
    assert_eq!(vm.queue_coalescing(0).unwrap(), Some((0, 0)));
    assert_eq!(vm.set_coalescing(true, 15, 10).unwrap(), Ack::Ok);
    assert_eq!(vm.set_coalescing(false, 20, 30).unwrap(), Ack::Ok);
    assert_eq!(vm.set_queue_coalescing(2, 7, 8).unwrap(), Ack::Ok);
    assert_eq!(
        vm.set_queue_coalescing(3, u32::MAX, LONGEST).unwrap(),
        Ack::Ok
    );
    let all = |vm: &mut FakeVm| [0, 1, 2, 3].map(|queue| vm.queue_coalescing(queue).unwrap());
    let expected = [(15, 10), (20, 30), (7, 8), (u32::MAX, LONGEST)];
    assert_eq!(all(&mut vm), expected.map(Some));
    // 5.1.6.5.9.5: a queue that is enabled anew takes up what was set for all.
    vm.restart_rx(1).unwrap();
    vm.restart_tx(1).unwrap();
    assert_eq!(
        all(&mut vm),
        [(15, 10), (20, 30), (15, 10), (20, 30)].map(Some)
    );
    vm.start().unwrap();
    assert_eq!(all(&mut vm), [Some((0, 0)); 4]);
}

#[test]
fn wrong_limits_are_refused_and_change_nothing() {
    let host = Host::new();
    let mut vm = vm(&host, "one", ALL);
    assert_eq!(vm.set_coalescing(true, 15, 10).unwrap(), Ack::Ok);
    for usecs in [LONGEST + 1, u32::MAX] {
        assert_eq!(vm.set_coalescing(true, 1, usecs).unwrap(), Ack::Err);
        assert_eq!(vm.set_coalescing(false, 1, usecs).unwrap(), Ack::Err);
        assert_eq!(vm.set_queue_coalescing(0, 1, usecs).unwrap(), Ack::Err);
    }
    // The control queue, queues that are not there.
    for queue in [2, 3, 64, 0xffff] {
        assert_eq!(vm.set_queue_coalescing(queue, 1, 1).unwrap(), Ack::Err);
        assert_eq!(vm.queue_coalescing(queue).unwrap(), None);
    }
    for len in [0, 1, 7, 9, 4000] {
        let ack = vm.control(ctrl::NOTF_COAL, ctrl::NOTF_COAL_RX_SET, &vec![1; len]);
        assert_eq!(ack.unwrap(), Ack::Err, "{len}");
    }
    assert_eq!(vm.queue_coalescing(0).unwrap(), Some((15, 10)));
    assert_eq!(vm.queue_coalescing(1).unwrap(), Some((0, 0)));
    assert!(!vm.needs_reset().unwrap());
}

/// A ring that goes away while its interrupt is held back takes it along; the next one works.
#[test]
fn a_reset_forgets_what_is_held_back() {
    let host = Host::new();
    let (mut one, mut two) = pair(&host, ALL);
    for _ in 0..3 {
        assert_eq!(two.set_coalescing(true, 100, LONGEST).unwrap(), Ack::Ok);
        arm(&mut two);
        send(&mut one, &mut two, 3);
        two.start().unwrap();
        arm(&mut two);
        send(&mut one, &mut two, 1);
        assert!(wait(&two, rx_queue(0)), "without limits at once");
        two.take_frames(0).unwrap();
    }
}
