use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::uplink::{Outside, Reader, VECTOR_CONFIG, VECTOR_RECEIVE, VECTORS};
use super::*;
use crate::dataplane::{Endpoint, Fabric, QueueCounters, Route, Scratch, Uplink};
use crate::pf::carrier::LinkState;
use crate::pf::events::Listener;
use crate::ring::BurstBuffers;
use crate::switch::PortConfig;

const PATIENCE: Duration = Duration::from_secs(10);

/// Who is at the switch's other port.
struct Other {
    got: Mutex<mpsc::Sender<Vec<u8>>>,
    counters: QueueCounters,
}

impl Uplink for Other {
    fn send(&self, _: &FrameMeta, head: &[u8], tail: Payload<'_>) {
        let mut bytes = vec![0; head.len() + tail.len()];
        bytes[..head.len()].copy_from_slice(head);
        tail.read(&mut bytes[head.len()..]);
        let _ = self.got.lock().send(bytes);
    }

    fn counters(&self) -> &QueueCounters {
        &self.counters
    }
}

#[test]
fn frames_pass_between_the_switch_and_the_device_both_ways() {
    let bench = Bench::new(Manners::default());
    let vectors = VectorEvents::ours(VECTORS).expect("events");
    let event = |vector| Arc::clone(vectors.get(vector).expect("an event"));
    let mut pair = bench.pair(0);
    pair.send.start();
    pair.fill.start();
    pair.fill.restock();
    bench.transport.drive();
    let line = pair.line(event(VECTOR_RECEIVE));
    let fabric = Fabric::start("test", 1).expect("a fabric");
    let attach = |endpoint| {
        fabric
            .attach(endpoint, PortConfig::uplink())
            .expect("a port")
    };
    let outside = Arc::new(Outside::default());
    outside.lead(Some(pair.send));
    let port = attach(Endpoint::Uplink(Arc::clone(&outside) as _));
    let (got, frames) = mpsc::channel();
    let other = Arc::new(Other {
        got: Mutex::new(got),
        counters: QueueCounters::default(),
    });
    let there = attach(Endpoint::Uplink(other));
    let link = Arc::new(LinkState::new("test", true));
    let (news, changes) = mpsc::channel();
    let news = Mutex::new(news);
    link.watch(Box::new(move |up| {
        let _ = news.lock().send(up);
    }));
    let received = Arc::new(QueueCounters::default());
    let reader = {
        let way = (Arc::clone(&bench.transport), Arc::clone(&link));
        let (fabric, received) = (Arc::downgrade(&fabric), Arc::clone(&received));
        let make = move || Reader::new((pair.fill, line), way, (fabric, port), received);
        Listener::start("test", &vectors, VECTORS, make).expect("a thread")
    };
    for round in 0..100 {
        let sent: Vec<_> = (0..10).map(|n| frame(60 + round + n, n as u8)).collect();
        assert_eq!(bench.model.receive(0, &sent, 2), 10);
        for vector in bench.model.interrupts() {
            let _ = event(vector).write(1);
        }
        for bytes in &sent {
            assert_eq!(frames.recv_timeout(PATIENCE).as_ref(), Ok(bytes));
        }
    }
    let (mut scratch, mut lent) = (Scratch::default(), BurstBuffers::default());
    let (mut route, counters) = (Route::default(), QueueCounters::default());
    for round in 0..100u8 {
        let mut bytes = frame(100, round);
        // From somebody else to nobody in particular.
        (bytes[5], bytes[11]) = (9, 8);
        let mut burst = lent.lend();
        assert!(burst.push(FrameMeta::default().into(), &bytes));
        fabric.forward(there, &mut burst, &counters, &mut route, &mut scratch);
        let sent = bench.model.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].bytes, bytes);
    }
    assert_eq!(outside.counters().frames.get(), 100);
    bench.model.set_link(0);
    let _ = event(VECTOR_CONFIG).write(1);
    assert_eq!(changes.recv_timeout(PATIENCE), Ok(false));
    drop(reader);
    assert!(!bench.model.queue(0).0, "its queue has ended");
    assert_eq!(received.frames.get(), 1000);
    bench.is_content();
}
