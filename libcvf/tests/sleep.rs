//! When workers sleep, and who is asked to ring meanwhile.

mod guest;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use guest::{Guest, compose, eventually, frame, pf, spec};
use libcvf::cvf::{CvfSpec, Doorbells};
use libcvf::dataplane::{Endpoint, QueueCounters, Uplink};
use libcvf::offload::FrameMeta;
use libcvf::pf::{PhysicalFunction, SoftPf, SoftPfConfig};
use libcvf::ring::Payload;
use libcvf::switch::PortConfig;

const EVENT_IDX: u64 = 1 << 29;

/// Turns of all workers, once all sleep.
fn asleep(pf: &SoftPf) -> Vec<u64> {
    let all = || pf.fabric().sleepers().into_iter().collect();
    eventually(all).expect("the workers fall asleep")
}

/// Devices that do nothing wake nobody: their worker makes not one turn while another one works.
#[test]
fn idle_devices_wake_nobody() {
    let config = SoftPfConfig {
        queue_pairs: 64,
        workers: 2,
        ..SoftPfConfig::new("test")
    };
    let pf = SoftPf::start(config).expect("a soft PF starts");
    let devices: Vec<_> = (1..=40).map(|n| compose(&pf, spec(n))).collect();
    let mut guests: Vec<_> = devices.iter().map(Guest::new).collect();
    for guest in &mut guests {
        guest.start(0);
    }
    let before = asleep(&pf);
    // The first and the third are the same worker's.
    let [one, _, three, ..] = guests.as_mut_slice() else {
        unreachable!("there are forty");
    };
    for _ in 0..500 {
        one.send(&frame(3, 1, 60));
        assert!(three.receive().is_some());
        three.send(&frame(1, 3, 60));
        assert!(one.receive().is_some());
    }
    let after = asleep(&pf);
    let turned: Vec<_> = before.iter().zip(&after).map(|(b, a)| b != a).collect();
    assert_eq!(
        turned.iter().filter(|turned| **turned).count(),
        1,
        "one works, the other sleeps on: {before:?}, {after:?}"
    );
}

/// An uplink that keeps the worker in the middle of a burst until it is told to go on.
struct Gate {
    entered: Sender<()>,
    go_on: Mutex<Receiver<()>>,
    counters: QueueCounters,
}

impl Uplink for Gate {
    fn send(&self, _: &FrameMeta, _: &[u8], _: Payload<'_>) {
        self.entered.send(()).expect("the test waits");
        self.go_on
            .lock()
            .expect("one worker")
            .recv()
            .expect("the test goes on");
    }

    fn counters(&self) -> &QueueCounters {
        &self.counters
    }
}

/// While a worker holds a queue its driver is asked for no doorbells; when it has let go, for one at
/// the next entry (virtio 1.3 2.7.10, with flags and with event indexes).
fn suppressed_while_held(features: u64, asks: impl Fn(&Guest) -> bool) {
    let pf = pf(4);
    let (entered, held) = channel();
    let (go_on, gate) = channel();
    let uplink = Arc::new(Gate {
        entered,
        go_on: Mutex::new(gate),
        counters: QueueCounters::default(),
    });
    pf.fabric()
        .attach(Endpoint::Uplink(uplink), PortConfig::uplink())
        .expect("a port");
    let device = compose(&pf, spec(1));
    let mut guest = Guest::new(&device);
    guest.start(features);
    for round in 0..100 {
        asleep(&pf);
        assert!(asks(&guest), "round {round}: asleep, a doorbell is wanted");
        guest.place([0; 12], &frame(9, 1, 60));
        // A doorbell may wait for the burst that it started.
        let wanted = std::thread::scope(|scope| {
            scope.spawn(|| guest.kick(1));
            held.recv().expect("the frame goes to the uplink");
            let wanted = asks(&guest);
            go_on.send(()).expect("the worker waits");
            wanted
        });
        assert!(!wanted, "round {round}: awake, none is wanted");
    }
    asleep(&pf);
    assert!(asks(&guest));
}

#[test]
fn virtio_2_7_10_flags_suppress_doorbells_while_a_worker_is_awake() {
    suppressed_while_held(0, |guest| guest.used_flags(1) & 1 == 0);
}

#[test]
fn virtio_2_7_10_event_indexes_suppress_doorbells_while_a_worker_is_awake() {
    // A doorbell is wanted when the next entry passes the event index.
    suppressed_while_held(EVENT_IDX, |guest| {
        guest.available_event(1) == guest.offered(1)
    });
}

/// With mapped doorbells nobody rings: the queue is held for as long as the driver runs.
#[test]
fn a_polled_queue_is_never_armed() {
    let pf = pf(4);
    let mapped = CvfSpec {
        doorbells: Doorbells::Mapped,
        ..spec(1)
    };
    let (one, two) = (compose(&pf, mapped), compose(&pf, spec(2)));
    let (mut one, mut two) = (Guest::new(&one), Guest::new(&two));
    two.start(0);
    one.start(0);
    assert!(eventually(|| (one.used_flags(1) == 1).then_some(())).is_some());
    for _ in 0..100 {
        one.send(&frame(2, 1, 60));
        assert!(two.receive().is_some());
        assert_eq!(one.used_flags(1), 1);
        assert_eq!(pf.fabric().sleepers(), [None]);
    }
    one.set(20, &[0]);
    asleep(&pf);
}
