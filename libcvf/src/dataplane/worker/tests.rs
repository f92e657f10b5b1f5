use super::*;
use crate::dataplane::fabric::Endpoint;
use crate::dataplane::port::Port;
use crate::dataplane::seat::Work;
use crate::offload::PackedMac;
use crate::switch::PortConfig;

/// Ports of one queue each, all of the first worker.
fn ports(fabric: &Fabric, count: u8) -> Vec<Arc<Port>> {
    let port = |last| {
        let port = Arc::new(Port::new(1, 0, false));
        let config = PortConfig::cvf(PackedMac::new([2, 0, 0, 0, 0, last]));
        let endpoint = Endpoint::Device(Arc::clone(&port));
        let id = fabric.attach(endpoint, config).expect("a place");
        assert!(fabric.move_queue(id, 0, 0));
        port
    };
    (0..count).map(port).collect()
}

#[test]
fn a_worker_without_time_gives_one_queue_to_one_that_has() {
    let fabric = Fabric::start("balance", 3).expect("workers");
    let ports = ports(&fabric, 3);
    let worker = &fabric.workers()[0];
    let mut list: Vec<_> = ports
        .iter()
        .map(|port| Seat::from(Active::new(port, Work::Transmit(0))))
        .collect();
    let homes = |list: &[Seat]| {
        let home = |seat: &Seat| seat.active.home(&fabric);
        list.iter().map(home).collect::<Vec<_>>()
    };
    let work = |list: &mut [Seat]| {
        for (seat, micros) in list.iter_mut().zip([1000, 600, 400]) {
            seat.active.took(Duration::from_micros(micros));
        }
    };
    let now = Instant::now();
    work(&mut list);
    balance(worker, &mut list, 500, now, &fabric);
    assert_eq!(homes(&list), [0, 0, 0], "there is time left");
    work(&mut list);
    balance(worker, &mut list, 1000, now, &fabric);
    assert_eq!(homes(&list), [1, 0, 0], "half of the work goes");
    assert_eq!(fabric.workers()[1].load(now), 500, "and is expected there");
    // As long as it was not handed over it is one of the list.
    let first = list.remove(0);
    work(&mut list);
    balance(worker, &mut list, 1000, now, &fabric);
    assert_eq!(homes(&list), [0, 2], "the other has less to do");
    assert_eq!(first.active.home(&fabric), 1);
    let later = now + 4 * BALANCE_PERIOD;
    assert_eq!(
        fabric.workers()[1].load(later),
        0,
        "who does not look sleeps"
    );
}

#[test]
fn queues_are_spread_over_the_workers() {
    let fabric = Fabric::start("spread", 2).expect("workers");
    let mut last = 0;
    let mut homes = |pairs, polled| {
        let port = Arc::new(Port::new(pairs, 0, polled));
        last += 1;
        let config = PortConfig::cvf(PackedMac::new([2, 0, 0, 0, 0, last]));
        let endpoint = Endpoint::Device(Arc::clone(&port));
        fabric.attach(endpoint, config).expect("a place");
        let homes = port.transmit.iter().map(|queue| fabric.home(&queue.home));
        homes.collect::<Vec<_>>()
    };
    assert_eq!(homes(3, false), [0, 1, 0]);
    assert_eq!(homes(2, false), [1, 0], "first queues are spread, too");
    assert_eq!(homes(2, false), [0, 1]);
    assert_eq!(homes(3, true), [1, 1, 1], "who polls takes one core");
}
