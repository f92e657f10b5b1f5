//! Nobody at all: a bare copy from ring to ring in the driver's own thread, without validation,
//! look-up or hand-over between cores.
//!
//! Shows what the driver can do when the forwarder costs next to nothing, which has to be well
//! above what any forwarder does.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::Result;

use super::{Contender, Peer, Rig, Shape};
use crate::fakevm;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::{Backing, GuestMemory, MemoryPlan};
use crate::fakevm::net::{NetGuest, NetHeader, NetPair, Rx, Tx, tx_queue};
use crate::fakevm::ring::Segment;
use crate::fakevm::ring::model::ModelDevice;

/// The contender that does next to nothing.
#[derive(Debug)]
pub struct Model;

impl Contender for Model {
    fn id(&self) -> Peer {
        Peer::Model
    }

    fn describe(&self) -> String {
        "a bare copy from ring to ring in the driver's own thread".into()
    }

    fn start(&self, shape: Shape) -> Result<Rig> {
        let (first, first_ends) = guest(shape)?;
        let (second, second_ends) = guest(shape)?;
        let (first_ends, second_ends) = (Rc::new(first_ends), Rc::new(second_ends));
        let first = ModelGuest {
            pair: first,
            from: Rc::clone(&first_ends),
            to: Rc::clone(&second_ends),
        };
        let second = ModelGuest {
            pair: second,
            from: second_ends,
            to: first_ends,
        };
        let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        Ok(Rig {
            first: Box::new(first),
            second: Box::new(second),
            macs,
            pid: None,
            stop: Box::new(|| Ok(())),
        })
    }
}

/// The device's ends of a guest's rings.
struct Ends {
    tx: RefCell<ModelDevice>,
    rx: RefCell<ModelDevice>,
    high: Shared,
    base: u64,
    /// Keeps the maps alive.
    _memory: GuestMemory,
}

impl Ends {
    /// Where a buffer lies in `high`.
    #[inline]
    fn at(&self, segment: &Segment) -> usize {
        (segment.gpa - self.base) as usize
    }
}

struct ModelGuest {
    pair: NetPair,
    from: Rc<Ends>,
    to: Rc<Ends>,
}

fn guest(shape: Shape) -> Result<(NetPair, Ends)> {
    let config = shape.guest();
    let size = config.memory_size();
    let single = MemoryPlan::single(size, Backing::Memfd);
    let plan = config.memory.clone().unwrap_or(single);
    let mut memory = GuestMemory::new(&plan)?;
    let mut pair = NetPair::new(&mut memory, &config.rings, config.features)?;
    let tx = ModelDevice::new(&memory, *pair.tx.queue().layout(), false)?;
    let rx = ModelDevice::new(&memory, *pair.rx.queue().layout(), false)?;
    pair.rx.publish();
    let high = memory.view(0, size as usize)?;
    let (tx, rx) = (RefCell::new(tx), RefCell::new(rx));
    Ok((
        pair,
        Ends {
            tx,
            rx,
            high,
            base: 0,
            _memory: memory,
        },
    ))
}

impl NetGuest for ModelGuest {
    fn tx(&mut self, _pair: u16) -> Tx<'_> {
        Tx::Virtio(&mut self.pair.tx)
    }

    fn rx(&mut self, _pair: u16) -> Rx<'_> {
        Rx::Virtio(&mut self.pair.rx)
    }

    /// The doorbell is where the copy happens: the rings never suppress it.
    fn kick(&mut self, queue: u16) -> fakevm::Result<()> {
        if queue != tx_queue(0) {
            return Ok(());
        }
        let (mut tx, mut rx) = (self.from.tx.borrow_mut(), self.to.rx.borrow_mut());
        let header = NetHeader {
            num_buffers: 1,
            ..NetHeader::default()
        }
        .encode();
        while let Some(head) = tx.pop() {
            let Some(buffer) = rx.pop() else {
                tx.give(head, 0);
                continue;
            };
            let (source, _) = tx.descriptor(head);
            let (target, _) = rx.descriptor(buffer);
            let len = source.len.min(target.len) as usize;
            let (from, to) = (&self.from.high, &self.to.high);
            from.copy_to(self.from.at(&source), to, self.to.at(&target), len);
            to.write(self.to.at(&target), &header);
            tx.give(head, 0);
            rx.give(buffer, len as u32);
        }
        tx.publish();
        rx.publish();
        Ok(())
    }
}
