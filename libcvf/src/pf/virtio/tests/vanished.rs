//! Every register of a function that has gone reads as all ones, for whoever waits for a bit to be set or cleared, too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::pf::vfio::Registers;

/// The model, until it vanishes.
#[derive(Clone)]
struct Vanishing(Model, Arc<AtomicBool>);

impl Vanishing {
    fn there(&self) -> Option<&Model> {
        (!self.1.load(Ordering::Relaxed)).then_some(&self.0)
    }
}

impl Registers for Vanishing {
    fn read8(&self, offset: u32) -> u8 {
        self.there().map_or(u8::MAX, |model| model.read8(offset))
    }

    fn read16(&self, offset: u32) -> u16 {
        self.there().map_or(u16::MAX, |model| model.read16(offset))
    }

    fn read32(&self, offset: u32) -> u32 {
        self.there().map_or(u32::MAX, |model| model.read32(offset))
    }

    fn write8(&self, offset: u32, value: u8) {
        let _ = self.there().map(|model| model.write8(offset, value));
    }

    fn write16(&self, offset: u32, value: u16) {
        let _ = self.there().map(|model| model.write16(offset, value));
    }

    fn write32(&self, offset: u32, value: u32) {
        let _ = self.there().map(|model| model.write32(offset, value));
    }
}

/// A bench whose device can vanish, and what has it vanish.
fn bench() -> (Bench, Arc<AtomicBool>) {
    let gone = Arc::new(AtomicBool::new(false));
    let model = Model::new(Manners::default());
    let registers = Arc::new(Vanishing(model.clone(), Arc::clone(&gone)));
    let space = capabilities::tests::usual();
    let opened = Transport::open("test", &space, |_| {
        Ok(BarView {
            registers: Arc::clone(&registers) as _,
            len: BAR,
            file_offset: FILE_OFFSET,
        })
    });
    let transport = opened.expect("a device");
    transport
        .negotiate(Features::of_offer)
        .expect("an agreement");
    let bench = Bench {
        model,
        transport: Arc::new(transport),
        iova: std::cell::Cell::new(0x1_0000_0000),
    };
    (bench, gone)
}

#[test]
fn nobody_waits_for_a_device_that_has_gone() {
    let (bench, gone) = bench();
    let (mut send, mut fill) = bench.lanes();
    assert!(!bench.transport.is_gone() && bench.transport.link());
    gone.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert!(bench.transport.is_gone());
    push(&mut send, &frame(100, 1));
    send.kick();
    for _ in 0..100 {
        send.stop();
        fill.stop();
        // It is not to be had again.
        send.start();
        fill.start();
        fill.restock();
        assert!(fill.take_slot().is_none());
    }
    assert_eq!(bench.transport.reset(), Err(TransportError::Gone));
    assert!(begun.elapsed() < Duration::from_millis(400), "{begun:?}");
    bench.is_content();
}

#[test]
fn no_terms_are_come_to_with_a_device_that_has_gone() {
    let gone = Arc::new(AtomicBool::new(true));
    let registers = Arc::new(Vanishing(Model::new(Manners::default()), gone));
    let space = capabilities::tests::usual();
    let opened = Transport::open("test", &space, |_| {
        Ok(BarView {
            registers: Arc::clone(&registers) as _,
            len: BAR,
            file_offset: FILE_OFFSET,
        })
    });
    let transport = opened.expect("its structures are in its configuration space");
    assert_eq!(
        transport.negotiate(Features::of_offer).err(),
        Some(TransportError::Gone)
    );
}
