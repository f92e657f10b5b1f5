use std::sync::Arc;

use super::capabilities::{self, Layout, LayoutError};
use super::control::{Control, ControlError};
use super::features::Features;
use super::model::{BAR, Manners, Model};
use super::pair::{self, Pair};
use super::regs;
use super::transport::{BarView, Transport, TransportError};
use crate::dataplane::{FillLane, HardwareLine, SendLane};
use crate::mem::OwnMemory;
use crate::offload::{Accepts, FrameMeta};
use crate::pf::dma::DmaBlock;
use crate::pf::vfio::VectorEvents;
use crate::ring::{Payload, Pushed};

mod direct;
mod negotiation;
mod receive;
mod transmit;
mod uplink;
mod vanished;

/// Descriptors of the model's queues.
const SIZE: u16 = 64;
/// Where the model's doorbells begin in the function's descriptor.
const FILE_OFFSET: u64 = 0x4_0000_0000;

fn open(model: &Model) -> Result<Transport, TransportError> {
    let space = capabilities::tests::usual();
    Transport::open("test", &space, |_| {
        Ok(BarView {
            registers: Arc::new(model.clone()),
            len: BAR,
            file_offset: FILE_OFFSET,
        })
    })
}

struct Bench {
    model: Model,
    transport: Arc<Transport>,
    iova: std::cell::Cell<u64>,
}

impl Bench {
    fn new(manners: Manners) -> Self {
        let model = Model::new(manners);
        let transport = open(&model).expect("a device");
        transport
            .negotiate(Features::of_offer)
            .expect("an agreement");
        Self {
            model,
            transport: Arc::new(transport),
            iova: std::cell::Cell::new(0x1_0000_0000),
        }
    }

    fn allocate(&self, len: usize) -> Result<DmaBlock, String> {
        let memory = Arc::new(OwnMemory::new(len).map_err(|errno| errno.to_string())?);
        let iova = self.iova.get();
        self.iova.set(iova + 0x100_0000);
        self.model.add(iova, &memory);
        Ok(DmaBlock::of_model(memory, iova))
    }

    fn pair(&self, pair: u16) -> Pair {
        let allocate = |len| self.allocate(len);
        Pair::new(&self.transport, (pair, 1), &allocate).expect("a pair")
    }

    /// The first pair, in use.
    fn lanes(&self) -> (SendLane, FillLane) {
        let mut pair = self.pair(0);
        pair.send.start();
        pair.fill.start();
        pair.fill.restock();
        self.transport.drive();
        (pair.send, pair.fill)
    }

    fn control(&self) -> Control {
        let allocate = |len| self.allocate(len);
        let control = pair::control(&self.transport, &allocate);
        control.expect("a queue").expect("there is one")
    }

    fn is_content(&self) {
        assert_eq!(self.model.complaints(), (0, 0));
    }
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];
    bytes.extend((14..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)));
    bytes
}

fn push(lane: &mut SendLane, bytes: &[u8]) -> Pushed {
    let (head, tail) = bytes.split_at(bytes.len().min(14));
    lane.push_copied(&FrameMeta::default(), head, Payload::from(tail))
}
