use std::sync::Arc;

use super::*;
use crate::dataplane::{Endpoint, Neighbours, PortRates, Route, Scratch, Uplink};
use crate::offload::{FrameMeta, PackedMac, PackedMeta};
use crate::ring::{BurstBuffers, Payload};
use crate::switch::PortConfig;

/// Counts what comes.
#[derive(Default)]
struct Sink(QueueCounters);

impl Uplink for Sink {
    fn send(&self, _meta: &FrameMeta, head: &[u8], tail: Payload<'_>) {
        self.0.frames.add_shared(1);
        self.0.bytes.add_shared((head.len() + tail.len()) as u64);
    }

    fn counters(&self) -> &QueueCounters {
        &self.0
    }
}

/// A device beside an uplink, and a clock that moves when it is told to.
struct House {
    fabric: Arc<Fabric>,
    port: Arc<Port>,
    sink: Arc<Sink>,
    buffers: BurstBuffers,
    scratch: Scratch,
    route: Route,
    now: Duration,
}

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0, 9];
const MILLI: Duration = Duration::from_millis(1);

fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut frame = [to, OWN].concat();
    frame.extend([0x88, 0xb5]);
    frame.resize(len, 7);
    frame
}

impl House {
    fn new(rates: &PortRates) -> Self {
        let fabric = Fabric::start("house", 1).expect("a fabric");
        let sink = Arc::new(Sink::default());
        let mut uplink = PortConfig::uplink();
        uplink.filter.unicast = vec![PackedMac::new(GATEWAY)];
        let endpoint = Endpoint::Uplink(Arc::clone(&sink) as _);
        fabric.attach(endpoint, uplink).expect("an uplink");
        let port = Arc::new(Port::new(1, 0, false));
        port.police(rates, Neighbours::default());
        let endpoint = Endpoint::Device(Arc::clone(&port));
        let config = PortConfig::cvf(PackedMac::new(OWN));
        fabric.attach(endpoint, config).expect("a port");
        Self {
            fabric,
            port,
            sink,
            buffers: BurstBuffers::default(),
            scratch: Scratch::default(),
            route: Route::default(),
            now: Duration::from_secs(1),
        }
    }

    /// Sends a burst; how many of it came out, and how many bytes.
    fn send(&mut self, frames: &[Vec<u8>]) -> (u64, u64) {
        let counts = |sink: &Sink| (sink.0.frames.get(), sink.0.bytes.get());
        let before = counts(&self.sink);
        let mut burst = self.buffers.lend();
        for frame in frames {
            assert!(burst.push(PackedMeta::PLAIN, frame));
        }
        self.scratch.stand_still(self.now);
        let counters = &self.port.transmit[0].counters;
        let (route, scratch) = (&mut self.route, &mut self.scratch);
        self.fabric
            .forward_from((&self.port, None), &mut burst, counters, route, scratch);
        let after = counts(&self.sink);
        (after.0 - before.0, after.1 - before.1)
    }

    fn set(&self, rates: &PortRates) {
        self.port.police(rates, Neighbours::default());
    }

    fn dropped(&self, reason: Drop) -> u64 {
        self.port.transmit[0].counters.dropped(reason)
    }
}

#[test]
fn frames_above_their_rate_are_dropped_and_counted() {
    let mut house = House::new(&PortRates {
        transmit_frames: Some(1000),
        burst: 10 * MILLI,
        ..PortRates::default()
    });
    let frames = vec![frame(GATEWAY, 60); 32];
    assert_eq!(house.send(&frames), (10, 600), "what a pause is worth");
    assert_eq!(house.send(&frames).0, 0);
    assert_eq!(house.dropped(Drop::OverRate), 54);
    house.now += 5 * MILLI;
    assert_eq!(house.send(&frames).0, 5);
    let mut passed = 0;
    for _ in 0..1000 {
        house.now += MILLI;
        passed += house.send(&frames[..3]).0;
    }
    assert_eq!(passed, 1000, "in a second, whatever was asked for");
    house.now += Duration::from_secs(3600);
    assert_eq!(house.send(&frames).0, 10, "an hour is worth no more");
    // Those that passed are the first of their burst, and counters show them alone.
    assert_eq!(house.port.transmit[0].counters.frames.get(), 1025);
}

#[test]
fn bytes_above_their_rate_are_dropped_and_small_frames_fit_where_large_ones_do_not() {
    let mut house = House::new(&PortRates {
        transmit_bits: Some(8_000_000_000),
        burst: MILLI,
        ..PortRates::default()
    });
    // A million bytes.
    let mut frames = vec![frame(GATEWAY, 60_000); 16];
    assert_eq!(house.send(&frames), (16, 960_000));
    frames.truncate(2);
    frames.push(frame(GATEWAY, 20_000));
    frames.push(frame(GATEWAY, 19_000));
    assert_eq!(house.send(&frames), (2, 39_000));
    assert_eq!(house.send(&frames), (0, 0));
    assert_eq!(house.dropped(Drop::OverRate), 6);
    house.now += Duration::from_micros(60);
    assert_eq!(house.send(&frames[..1]), (1, 60_000));
}

#[test]
fn what_goes_to_many_has_a_rate_of_its_own() {
    let mut house = House::new(&PortRates {
        flood_frames: Some(100),
        burst: 50 * MILLI,
        ..PortRates::default()
    });
    let flood = [[0xff; 6], [1, 0, 0x5e, 0, 0, 5], [2, 0, 0, 0, 0, 77]];
    let mut frames: Vec<_> = flood
        .iter()
        .cycle()
        .take(30)
        .map(|to| frame(*to, 60))
        .collect();
    frames.push(frame(GATEWAY, 60));
    frames.push(frame(GATEWAY, 60));
    assert_eq!(
        house.send(&frames).0,
        5 + 2,
        "the uplink's own address is none"
    );
    assert_eq!(house.dropped(Drop::FloodRate), 25);
    house.now += 10 * MILLI;
    assert_eq!(house.send(&frames[..3]).0, 1);
    // Known by now: its frames do not go to many.
    house.route = Route::default();
    for _ in 0..40 {
        assert_eq!(house.send(&frames[30..]).0, 2);
    }
    assert_eq!(house.dropped(Drop::OverRate), 0);
}

#[test]
fn rates_change_under_way() {
    let slow = PortRates {
        transmit_frames: Some(1000),
        burst: 10 * MILLI,
        ..PortRates::default()
    };
    let mut house = House::new(&slow);
    let frames = vec![frame(GATEWAY, 60); 32];
    assert_eq!(house.send(&frames).0, 10);
    for _ in 0..5 {
        house.set(&slow);
        assert_eq!(house.send(&frames).0, 0, "set again, granted nothing");
        let quick = PortRates {
            transmit_frames: Some(1_000_000),
            burst: Duration::from_secs(1),
            ..slow
        };
        house.set(&quick);
        assert_eq!(house.send(&frames).0, 0, "nor by another rate");
    }
    house.set(&PortRates::default());
    assert_eq!(house.send(&frames).0, 32);
    house.set(&slow);
    assert_eq!(house.send(&frames).0, 0);
}
