//! What one thread needs to forward frames, allocated once.

use crate::limits::{BURST, HEADER_COPY, MAX_SEGMENT_HEADERS};
use crate::offload::{FrameMeta, Gso, SEGMENT_SCRATCH};
use crate::ring::Payload;
use crate::switch::PortId;

/// A frame that comes in, wherever its bytes are.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// What travels beside it.
    pub meta: FrameMeta,
    /// Its bytes.
    pub payload: Payload<'a>,
}

/// A frame whose start was copied, checked, and given a destination.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planned {
    /// Where it goes; `None`: nowhere (any more).
    pub to: Option<PortId>,
    /// Its metadata, checked.
    pub meta: FrameMeta,
    /// Bytes of its start that were copied.
    pub head: u16,
    /// Receive queue chosen at the destination.
    pub queue: u16,
}

/// Buffers of a forwarding thread.
pub struct Scratch {
    pub(super) heads: Box<[[u8; MAX_SEGMENT_HEADERS]; BURST]>,
    pub(super) plan: [Planned; BURST],
    pub(super) edit: Box<[u8; SEGMENT_SCRATCH]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            heads: Box::new([[0; MAX_SEGMENT_HEADERS]; BURST]),
            plan: [Planned::default(); BURST],
            edit: Box::new([0; SEGMENT_SCRATCH]),
        }
    }
}

/// How much of a frame's start is copied before it is looked at.
pub(super) fn head_len(frame: &Incoming<'_>) -> usize {
    let most = if frame.meta.gso == Gso::None {
        HEADER_COPY
    } else {
        MAX_SEGMENT_HEADERS
    };
    frame.payload.len().min(most)
}
