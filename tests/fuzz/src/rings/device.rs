//! What a worker does with a ring.

use libcvf::limits::{BURST, FLOW_COPY, MAX_CONTROL_COMMAND, MAX_FRAME};
use libcvf::mem::{GuestMemory, RingPlace};
use libcvf::offload::{FrameMeta, PackedMeta};
use libcvf::ring::{
    AvfReceive, AvfRing, AvfTransmit, Borrowed, BurstBuffers, ControlRing, Frames, Lone, Payload,
    Pushed, ReceiveRing, RingFeatures, RingFormat, Token, TransmitRing, receive_ring,
    transmit_ring,
};

use crate::input::Input;

enum Ring {
    Transmit(Box<dyn TransmitRing>),
    Receive(Box<dyn ReceiveRing>),
    Control(ControlRing),
}

/// Descriptors that a device holds at most at a time.
const MOST_AWAY: usize = 40;

pub struct Device {
    ring: Ring,
    /// Transmitted frames that are kept for later.
    kept: Vec<Token>,
    /// Receive buffers that are to be filled.
    lent: Vec<Borrowed>,
    buffers: BurstBuffers,
    size: u16,
}

impl Device {
    /// `None` when the ring cannot be where it is said to be.
    pub fn new(
        role: usize,
        format: RingFormat,
        place: RingPlace,
        features: RingFeatures,
        memory: &GuestMemory,
    ) -> Option<Self> {
        let regions = memory.load();
        let ring = match role {
            0 => Ring::Transmit(transmit_ring(format, place, features, &regions).ok()?),
            1 => Ring::Receive(receive_ring(format, place, features, &regions).ok()?),
            _ => Ring::Control(ControlRing::new(format, place, features, &regions).ok()?),
        };
        Some(Self {
            ring,
            kept: Vec::new(),
            lent: Vec::new(),
            buffers: BurstBuffers::default(),
            size: place.size,
        })
    }

    /// The same for a ring of an AVF driver.
    pub fn avf(role: usize, place: &AvfRing, memory: &GuestMemory) -> Option<Self> {
        let regions = memory.load();
        let ring = match role {
            0 => Ring::Transmit(Box::new(AvfTransmit::new(place, &regions).ok()?)),
            _ => Ring::Receive(Box::new(AvfReceive::new(place, &regions).ok()?)),
        };
        Some(Self {
            ring,
            kept: Vec::new(),
            lent: Vec::new(),
            buffers: BurstBuffers::default(),
            size: place.size,
        })
    }

    /// One round; false when the ring is given up.
    pub fn serve(&mut self, memory: &GuestMemory, input: &mut Input<'_>) -> bool {
        let size = usize::from(self.size);
        match &mut self.ring {
            Ring::Transmit(ring) => {
                let (ring, buffers) = (ring.as_mut(), &mut self.buffers);
                transmit(ring, buffers, memory, size, &mut self.kept, input)
            }
            Ring::Receive(ring) => {
                receive(ring.as_mut(), &mut self.buffers, memory, input)
                    && lend(ring.as_mut(), memory, &mut self.lent, input)
            }
            Ring::Control(ring) => control(ring, memory, size),
        }
    }
}

fn transmit(
    ring: &mut dyn TransmitRing,
    buffers: &mut BurstBuffers,
    memory: &GuestMemory,
    size: usize,
    kept: &mut Vec<Token>,
    input: &mut Input<'_>,
) -> bool {
    let regions = memory.load();
    ring.looks_untouched(&regions);
    ring.suppress(&regions);
    if let Some(unread) = ring.lone(&regions)
        && let Some(lone) = unread.look()
    {
        assert!((FLOW_COPY..=MAX_FRAME).contains(&lone.size()));
        let taken = lone.size() % 2 == 0;
        if taken && ring.give_lone(&regions, &unread).is_err() {
            return false;
        }
    }
    let mut burst = buffers.lend();
    if ring.take(&regions, &mut burst).is_err() {
        return false;
    }
    assert!(burst.len() <= BURST.min(size));
    let mut bytes = vec![0; MAX_FRAME];
    let mut keep = Frames::default();
    for (index, frame) in burst.frames().enumerate() {
        if frame.fault.is_some() {
            continue;
        }
        let len = frame.len();
        assert!(len <= MAX_FRAME);
        let (head, tail) = burst.parts(index);
        assert_eq!(head.len() + tail.read(&mut bytes), len);
        if kept.len() < MOST_AWAY
            && input.flag()
            && let Some(token) = ring.token(&burst, index)
        {
            keep.add(Frames::one(index));
            kept.push(token);
        }
    }
    if ring.give_back(&regions, &burst, keep).is_err() {
        return false;
    }
    drop(burst);
    let done = take_out(kept, input);
    if !done.is_empty() && ring.complete(&regions, &done).is_err() {
        return false;
    }
    ring.arm(&regions).is_ok()
}

/// Takes some out, in any order.
fn take_out<T>(from: &mut Vec<T>, input: &mut Input<'_>) -> Vec<T> {
    let count = input.below(from.len() + 1);
    (0..count)
        .map(|_| from.swap_remove(input.below(from.len())))
        .collect()
}

fn lend(
    ring: &mut dyn ReceiveRing,
    memory: &GuestMemory,
    lent: &mut Vec<Borrowed>,
    input: &mut Input<'_>,
) -> bool {
    let Some(lender) = ring.lender() else {
        return true;
    };
    let regions = memory.load();
    for _ in 0..input.below(4).min(MOST_AWAY - lent.len()) {
        let wanted = input.flag();
        match lender.borrow(&regions, input.number() as u32, &|_| wanted) {
            Ok(Some(borrowed)) => {
                assert!(wanted, "a buffer that was not wanted");
                lent.push(borrowed);
            }
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    if lender.waiting(&regions).is_err() || lender.await_buffers(&regions, input.flag()).is_err() {
        return false;
    }
    for borrowed in take_out(lent, input) {
        let len = input.number() as u32;
        if lender
            .fill(&regions, &FrameMeta::default(), &borrowed, len)
            .is_err()
        {
            return false;
        }
    }
    ring.publish(&regions).is_ok()
}

fn receive(
    ring: &mut dyn ReceiveRing,
    buffers: &mut BurstBuffers,
    memory: &GuestMemory,
    input: &mut Input<'_>,
) -> bool {
    let regions = memory.load();
    ring.looks_untouched(&regions);
    let frame = [0x5a; 3000];
    for _ in 0..input.below(4) {
        let len = 14 + usize::from(input.byte()) * 11;
        let mut burst = buffers.lend();
        let mut frames = Frames::default();
        for index in 0..1 + input.below(6) {
            burst.push(PackedMeta::PLAIN, &frame[..len]);
            frames.add(Frames::one(index));
        }
        let Ok((done, bytes)) = ring.push_plain(&regions, &burst, frames) else {
            return false;
        };
        assert!(done.without(frames).is_empty());
        assert_eq!(bytes, (done.count() * len) as u64);
        if let Some(lone) = Lone::of(&frame[..len])
            && ring.push_lone(&regions, &lone).is_err()
        {
            return false;
        }
        let (head, tail) = frame[..len].split_at(len.min(128));
        match ring.push(&regions, &FrameMeta::default(), head, Payload::from(tail)) {
            Ok(Pushed::Done) => {}
            Ok(Pushed::NoBuffer | Pushed::TooSmall) => break,
            Err(_) => return false,
        }
    }
    ring.publish(&regions).is_ok()
}

fn control(ring: &mut ControlRing, memory: &GuestMemory, size: usize) -> bool {
    let regions = memory.load();
    // As many as a ring holds, as the device does: answers may be commands again.
    for _ in 0..size {
        let command = match ring.take(&regions) {
            Ok(Some(command)) => command,
            Ok(None) => return true,
            Err(_) => return false,
        };
        assert!(command.bytes.len() <= MAX_CONTROL_COMMAND);
        if ring.answer(&regions, &command, &[0; 9]).is_err() {
            return false;
        }
    }
    true
}
