//! Hardware queues that a port has for itself: its lane to the outside.
//!
//! Owns what is under way there: slots of our memory, frames that hardware has not sent yet, buffers that it has not
//! filled yet. Never knows what hardware it is; a PF's back end implements [`HardwareSend`], [`HardwareFill`] and
//! [`HardwareLine`].

mod fill;
mod reach;
mod send;
mod slots;

pub(crate) use fill::Buffer;
pub use fill::FillLane;
pub(crate) use reach::Entry;
pub use reach::{Hold, Reach, Reaching};
pub use send::SendLane;
pub use slots::Slots;

use std::sync::Arc;

use parking_lot::Mutex;

use super::claim::Claim;
use super::counters::{Counter, QueueCounters};
use super::forward::Route;
use crate::kept::Kept;
use crate::limits::BURST;
use crate::mem::Regions;
use crate::offload::{Accepts, Headers};
use crate::ring::Borrowed;
use crate::switch::PortId;
use crate::sync::atomic::{AtomicBool, AtomicU16};

/// What a PF gives a port for one of its queue pairs.
pub struct LaneParts {
    /// The way out.
    pub send: SendLane,
    /// The way in.
    pub fill: FillLane,
    /// The interrupt of both.
    pub line: Arc<dyn HardwareLine>,
    /// What is at the switch for all that is outside.
    pub outside: PortId,
    /// Brings memory of the device within reach of the hardware; `None`: all is copied.
    pub reaching: Option<Arc<dyn Reaching>>,
    /// Hardware gives the device no frame of a VLAN that is not its own; else what comes in is looked at before its guest
    /// sees it.
    pub exact: Arc<std::sync::atomic::AtomicBool>,
}

/// The way in, under its lock.
pub(super) struct Inward {
    pub fill: FillLane,
    /// Where frames of the last flow went.
    pub route: Route,
    /// An interrupt was asked for.
    pub armed: bool,
    /// What hardware reaches, kept until the lock is passed after a change.
    pub reach: Kept<Reach>,
    /// The driver's memory, kept likewise.
    pub memory: Kept<Regions>,
    /// The driver's buffers are not of the kind that can be lent.
    pub copies: bool,
    /// Buffers of the driver's whose frames were not for it: to be posted once more.
    pub again: Vec<Borrowed>,
}

/// A lane of a port; its way out is with the transmit queue.
pub(super) struct Lane {
    /// Locked before any ring.
    pub inward: Mutex<Inward>,
    pub line: Arc<dyn HardwareLine>,
    pub outside: PortId,
    /// The worker that serves it.
    pub home: AtomicU16,
    /// Taken while it is in a worker's hands.
    pub claim: Claim,
    /// What came in; the lock's holder writes.
    pub counters: QueueCounters,
    /// Bytes of payload that were copied on their way out, and in; the respective lock's holder writes.
    pub copied_out: Counter,
    pub copied_in: Counter,
    /// Its transmit queue waits to hear that hardware has sent.
    pub sending: AtomicBool,
    pub exact: Arc<std::sync::atomic::AtomicBool>,
}

impl Lane {
    pub(super) fn new(
        fill: FillLane,
        line: Arc<dyn HardwareLine>,
        outside: PortId,
        exact: Arc<std::sync::atomic::AtomicBool>,
    ) -> Self {
        Self {
            inward: Mutex::new(Inward {
                fill,
                route: Route::default(),
                armed: false,
                reach: Kept::default(),
                memory: Kept::default(),
                copies: false,
                again: Vec::with_capacity(BURST),
            }),
            line,
            outside,
            copied_out: Counter::default(),
            copied_in: Counter::default(),
            sending: AtomicBool::new(false),
            exact,
            home: AtomicU16::default(),
            claim: Claim::default(),
            counters: QueueCounters::default(),
        }
    }
}

/// A part of a frame, as hardware reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte for the function's DMA.
    pub iova: u64,
    /// Its bytes.
    pub len: u32,
}

/// What hardware does to a frame that it sends.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// The checksum of TCP or UDP is finished: its field holds that of the pseudo header.
    Checksum(Headers),
    /// It is cut into segments of so many bytes of payload.
    Cut(Headers, u16),
}

/// A transmit queue of hardware, worked by one thread at a time. It sends in order.
pub trait HardwareSend: Send {
    /// Descriptors that are free. A frame takes one for each of its pieces, and one more where something is asked.
    fn room(&self) -> usize;

    /// Offloads that it does.
    fn accepts(&self) -> Accepts;

    /// Queues a frame, for which there is room. It is seen with the next [`Self::kick`].
    fn put(&mut self, pieces: &[Piece], ask: &Ask);

    /// Shows hardware what was queued.
    fn kick(&mut self);

    /// Frames that were sent since the last call: their pieces are no longer read.
    fn reap(&mut self) -> usize;

    /// Ends it: on return nothing of what was queued is read any more, and the queue is empty.
    fn stop(&mut self);

    /// Takes it into use, empty.
    fn start(&mut self);
}

/// A buffer that hardware has filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Its bytes.
    pub len: u32,
    /// It holds a whole frame without an error: else it is only given back.
    pub good: bool,
    /// Hardware has verified the checksum of TCP or UDP.
    pub checksum: bool,
}

/// A receive queue of hardware, worked by one thread at a time. It fills buffers in the order in which they are posted,
/// each with one frame.
pub trait HardwareFill: Send {
    /// Buffers that can be posted.
    fn room(&self) -> usize;

    /// Bytes that hardware may write into a buffer.
    fn buffer(&self) -> u32;

    /// Posts a buffer, for which there is room: its first byte for the function's DMA. It is seen with the next
    /// [`Self::kick`].
    fn post(&mut self, iova: u64);

    /// Shows hardware what was posted.
    fn kick(&mut self);

    /// True when [`Self::next`] would find something.
    fn pending(&self) -> bool;

    /// The next buffer that is filled.
    fn next(&mut self) -> Option<Filled>;

    /// Ends it: on return no buffer is written any more, and none is posted.
    fn stop(&mut self);

    /// Takes it into use, without a buffer.
    fn start(&mut self);
}

/// The interrupt of a lane.
pub trait HardwareLine: Send + Sync {
    /// Asks for one when a buffer is filled or a frame sent, and for one now if that has happened since the last.
    fn arm(&self);

    /// Asks for none.
    fn disarm(&self);
}
