//! A queue pair with its memory.

use std::sync::Arc;

use super::control::Control;
use super::fill::Fill;
use super::line::Line;
use super::ring::{Areas, Ring, Signal};
use super::send::Send;
use super::transport::{Transport, TransportError};
use crate::dataplane::{FillLane, SendLane, Slots};
use crate::pf::dma::DmaBlock;
use crate::pf::events::Event;

/// Descriptors of a queue at most.
const MOST: u16 = 1024;
/// Descriptors of a transmit queue at least: one of the largest frames has to fit.
const LEAST_SEND: u16 = 64;
/// Descriptors of a receive queue at least.
const LEAST_FILL: u16 = 4;
/// Bytes of a slot that is sent from.
const SEND_SLOT: u32 = 2048;
/// Bytes of a receive buffer at least, and what it has beyond the MTU: link header and two tags.
const FILL_SLOT: u32 = 2048;
const LINK: u32 = 14 + 8;
/// Slots begin at a cache line.
const LINE: usize = 64;

/// Where memory for DMA comes from.
pub(super) type Allocate<'a> = &'a dyn Fn(usize) -> Result<DmaBlock, String>;

/// Why there is no queue.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The device.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Memory.
    #[error("{0}")]
    Memory(String),
}

/// Queues `2 * pair` and `2 * pair + 1` (5.1.2), not in use yet.
pub(super) struct Pair {
    pub send: SendLane,
    pub fill: FillLane,
    received: Arc<Signal>,
}

impl Pair {
    /// The pair, whose receive queue has `vector`. That a frame was sent is seen when the next one is.
    pub(super) fn new(
        transport: &Arc<Transport>,
        (pair, vector): (u16, u16),
        allocate: Allocate<'_>,
    ) -> Result<Self, PairError> {
        let fill_size = size(transport, 2 * pair, LEAST_FILL)?;
        let mtu = transport.mtu().map_or(0, u32::from);
        let slot = (mtu + LINK).next_multiple_of(LINE as u32).max(FILL_SLOT);
        let slots = (Fill::buffers(fill_size), slot);
        let (block, slots) = place(fill_size, Fill::extra(fill_size), slots, allocate)?;
        let ring = Ring::new(Arc::clone(transport), (2 * pair, vector), block, fill_size);
        let received = Arc::clone(ring.signal());
        let fill = FillLane::new(Box::new(Fill::new(ring, slot)), slots);

        let queue = 2 * pair + 1;
        let send_size = size(transport, queue, LEAST_SEND)?;
        let slots = (u32::from(send_size), SEND_SLOT);
        let (block, slots) = place(send_size, Send::extra(send_size), slots, allocate)?;
        let ring = Ring::new(Arc::clone(transport), (queue, vector), block, send_size);
        let send = Send::new(ring, transport.features());
        Ok(Self {
            send: SendLane::new(Box::new(send), slots),
            fill,
            received,
        })
    }

    /// The interrupt of what is received, whose event this is.
    pub(super) fn line(&self, event: Event) -> Line {
        Line::new(vec![Arc::clone(&self.received)], event)
    }
}

/// The control queue, if there is one, in use.
pub(super) fn control(
    transport: &Arc<Transport>,
    allocate: Allocate<'_>,
) -> Result<Option<Control>, PairError> {
    let Some(queue) = transport.control_queue() else {
        return Ok(None);
    };
    size(transport, queue, Control::SIZE)?;
    let len = Areas::of(Control::SIZE).end + Control::EXTRA;
    let block = allocate(len).map_err(PairError::Memory)?;
    let place = (queue, super::regs::NO_VECTOR);
    let ring = Ring::new(Arc::clone(transport), place, block, Control::SIZE);
    let mut control = Control::new(ring);
    control.start()?;
    Ok(Some(control))
}

/// Descriptors that a queue is to have.
fn size(transport: &Transport, queue: u16, least: u16) -> Result<u16, TransportError> {
    let size = transport.most(queue).min(MOST);
    let why = "it has too few descriptors";
    let refused = TransportError::Queue { queue, why };
    (size >= least).then_some(size).ok_or(refused)
}

/// Memory for a queue of so many descriptors, `extra` bytes behind them, and slots.
fn place(
    size: u16,
    extra: usize,
    (count, slot): (u32, u32),
    allocate: Allocate<'_>,
) -> Result<(DmaBlock, Slots), PairError> {
    let at = (Areas::of(size).end + extra).next_multiple_of(LINE);
    let len = at + count as usize * slot as usize;
    let block = allocate(len).map_err(PairError::Memory)?;
    let iova = block.iova() + at as u64;
    let slots = Slots::new(Arc::clone(block.memory()), at, iova, (count, slot));
    Ok((block, slots))
}
