//! The function in the hands of a device, against the model.

use std::os::fd::{BorrowedFd, OwnedFd};

use nix::sys::eventfd::EventFd;
use parking_lot::Mutex;

use super::super::direct::{Direct, Wires};
use super::*;
use crate::dataplane::{Hold, Reaching};
use crate::mem::RingPlace;
use crate::pf::carrier::LinkState;
use crate::pf::direct::{DirectQueues, DirectRing};
use crate::pf::vfio::{FaultLog, VfioError};

/// Vectors as they were wired: true to an event.
#[derive(Default)]
struct Wired(Mutex<Vec<(u16, bool)>>);

impl Wires for Wired {
    fn wire(&self, vector: u16, event: Option<BorrowedFd<'_>>) -> Result<(), VfioError> {
        self.0.lock().push((vector, event.is_some()));
        Ok(())
    }

    fn share(&self) -> Result<OwnedFd, VfioError> {
        Ok(EventFd::new().expect("an event").into())
    }
}

struct Nothing;

impl Reaching for Nothing {
    fn reach(
        &self,
        guest: u64,
        _: (usize, u64),
        _: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String> {
        Ok((guest, memory))
    }
}

/// Where the driver of these tests has its memory: a guest address, which is what DMA uses.
const GUEST: u64 = 0x4000;
const USED: u64 = GUEST + 0x2000;

struct Driver {
    model: Model,
    wired: Arc<Wired>,
    direct: Direct,
    memory: Arc<OwnMemory>,
}

fn driver(change: impl FnOnce(&mut Manners)) -> Driver {
    let mut manners = Manners {
        offered: Features::WANTED.with(Features::RINGS),
        ..Manners::default()
    };
    change(&mut manners);
    let model = Model::new(manners);
    let transport = open(&model).expect("a device");
    let wired = Arc::new(Wired::default());
    let faults = FaultLog::open(
        "/nonexistent".as_ref(),
        "0000:00:03.0".parse().expect("one"),
    );
    let link = Arc::new(LinkState::new("test", false));
    let parts = (transport, Arc::clone(&wired) as _);
    let direct = Direct::of(parts, Arc::new(Nothing), (faults, link)).expect("a device");
    let memory = Arc::new(OwnMemory::new(0x8000).expect("memory"));
    model.add(GUEST, &memory);
    Driver {
        model,
        wired,
        direct,
        memory,
    }
}

impl Driver {
    fn transmit(&self) -> DirectRing {
        let place = RingPlace {
            size: 16,
            descriptors: GUEST,
            available: GUEST + 0x1000,
            used: USED,
        };
        DirectRing { queue: 1, place }
    }

    /// Makes one frame available, without a doorbell.
    fn make_available(&self, bytes: &[u8]) {
        let at = 0x3000;
        let mut frame = vec![0; 12];
        frame.extend(bytes);
        self.memory.write(at, frame.len()).write(&frame);
        self.memory.store64(0, GUEST + at as u64);
        self.memory.store64(8, frame.len() as u64);
        self.memory.store16(0x1000 + 4, 0);
        self.memory.store16(0x1000 + 2, 1);
    }

    fn used(&self) -> u16 {
        self.memory.load16((USED - GUEST) as usize + 2)
    }
}

#[test]
fn the_drivers_rings_are_hardwares_from_start_to_stop() {
    let driver = driver(|_| {});
    let features = (Features::MRG_RXBUF.0 | Features::CSUM.0 | Features::IN_ORDER.0)
        | (Features::CTRL_VQ.0 | Features::MAC.0 | Features::VERSION_1.0);
    // What was made available before is seen.
    let frame = frame(80, 1);
    driver.make_available(&frame);
    driver
        .direct
        .start(features, &[driver.transmit()])
        .expect("it begins");
    let sent = driver.model.sent();
    assert_eq!((sent.len(), &sent[0].bytes), (1, &frame));
    assert_eq!(driver.used(), 1);
    let taken = Features::REQUIRED
        .with(Features::MRG_RXBUF)
        .with(Features::CSUM)
        .with(Features::IN_ORDER)
        .with(Features::STATUS);
    assert_eq!(
        driver.model.accepted(),
        taken,
        "what is between driver and us is not hardware's"
    );
    assert_eq!(driver.model.queue(1), (true, 16, 2));
    assert_eq!(driver.model.interrupts(), [2]);
    assert!(!driver.model.queue(4).0, "nothing of ours is within reach");

    driver.direct.stop();
    assert_eq!(driver.model.status(), 0);
    assert!(driver.wired.0.lock().ends_with(&[(1, false), (2, false)]));
    assert_eq!(driver.model.complaints(), (0, 0));
}

#[test]
fn a_ring_alone_is_taken_away_and_given_anew() {
    let driver = driver(|_| {});
    driver
        .direct
        .start(Features::VERSION_1.0, &[driver.transmit()])
        .expect("it begins");
    driver.direct.disable(1).expect("it ends");
    assert!(!driver.model.queue(1).0);
    driver.make_available(&frame(60, 2));
    driver.direct.ring(1);
    assert_eq!(driver.model.sent().len(), 0, "it is not hardware's");
    driver
        .direct
        .enable(&driver.transmit())
        .expect("it begins anew");
    assert_eq!(driver.model.sent().len(), 1, "what was waiting is seen");
}

#[test]
fn a_queue_that_does_not_end_ends_everything() {
    let driver = driver(|manners| manners.ends_queues = false);
    driver
        .direct
        .start(Features::VERSION_1.0, &[driver.transmit()])
        .expect("it begins");
    assert!(driver.direct.disable(1).is_err());
    assert_eq!(driver.model.status(), 0);
}

#[test]
fn hardware_that_refuses_is_left_alone() {
    let driver = driver(|manners| manners.offered = Features::WANTED);
    let why = driver
        .direct
        .start(Features::IN_ORDER.0, &[driver.transmit()]);
    assert!(why.is_err_and(|why| why.contains("IN_ORDER")));
    assert_eq!(driver.model.status(), 0);
    assert!(
        driver.direct.features() & Features::IN_ORDER.0 == 0,
        "it was not offered either"
    );
    let driver = self::driver(|_| {});
    let mut large = driver.transmit();
    large.place.size = 128;
    assert!(
        driver
            .direct
            .start(Features::VERSION_1.0, &[large])
            .is_err()
    );
    assert_eq!(driver.model.status(), 0);
}

#[test]
fn doorbells_are_a_page_each_or_there_is_none() {
    let driver = driver(|_| {});
    let pages = driver.direct.doorbells().expect("pages");
    assert_eq!(pages.offset, FILE_OFFSET + 0x3000);
    let crowded = self::driver(|manners| manners.far = Some(0));
    assert!(
        crowded
            .direct
            .doorbells()
            .is_err_and(|why| why.contains("page-per-vq"))
    );
}

#[test]
fn nothing_is_done_once_the_device_has_left() {
    let driver = driver(|_| {});
    driver
        .direct
        .start(Features::VERSION_1.0, &[driver.transmit()])
        .expect("it begins");
    driver.direct.close();
    assert_eq!(driver.model.status(), 0);
    assert!(
        driver
            .direct
            .start(Features::VERSION_1.0, &[driver.transmit()])
            .is_err()
    );
    assert!(driver.direct.doorbells().is_err());
    assert_eq!(driver.model.status(), 0);
}
