//! Guest-visible device models.
//!
//! A personality turns register and mailbox traffic into ring configurations and
//! [`ControlRequest`]s. It owns registers, feature negotiation and config space; it never touches
//! guest memory, frames, or the physical function: all of that goes through [`Host`].

pub mod avf;
mod model;
pub mod virtio_net;

pub use model::{
    DoorbellArea, DoorbellRegister, Doorbells, DriverState, Given, Interrupts, Personality,
    RingFormats, Status,
};

use crate::control::{Coalescing, ControlReply, ControlRequest, Denial, Identity, QueueReport};
use crate::ring::{AvfRing, MailboxPlace, MailboxReply, MailboxSide, RingFormat};

/// Where and how a driver placed a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// How it lies there.
    pub format: RingFormat,
    /// Entries.
    pub size: u16,
    /// Guest physical address of the descriptor area (table or ring).
    pub descriptors: u64,
    /// Guest physical address of the driver area (available ring or event suppression).
    pub driver: u64,
    /// Guest physical address of the device area (used ring or event suppression).
    pub device: u64,
}

/// Role of a queue, fixed by its index at compose time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueRole {
    /// Device to driver; the pair's number.
    Receive(u16),
    /// Driver to device; the pair's number.
    Transmit(u16),
    /// Commands.
    Control,
}

/// What the device around a personality does for it. Called with the personality's lock held; never
/// calls back into the personality.
pub trait Host {
    /// Takes a ring into use; the data plane may serve it as soon as the device runs.
    ///
    /// # Errors
    /// A sentence: the ring is not (wholly) in memory that the client mapped, is misaligned, ...
    fn queue_enable(&mut self, queue: u16, ring: RingConfig) -> Result<(), String>;
    /// Takes a ring out of use. On return nobody touches it any more.
    fn queue_disable(&mut self, queue: u16);
    /// The driver rang a queue's doorbell.
    fn doorbell(&mut self, queue: u16);
    /// Vector of a queue; `None`: no interrupts.
    fn queue_vector(&mut self, queue: u16, vector: Option<u16>);
    /// Vector of configuration changes.
    fn config_vector(&mut self, vector: Option<u16>);
    /// The driver is ready: what it negotiated holds until [`Host::stop`]. Rings run from here on.
    fn start(&mut self, features: u64);
    /// The driver reset the device: all queues are disabled, filters return to their defaults.
    fn stop(&mut self);
    /// The next [`Host::stop`] is the device's own doing, and nothing that its driver or client wanted.
    fn resets_itself(&mut self) {}
    /// Signals a configuration change.
    fn config_changed(&mut self);
    /// Reads and clears the ISR byte: bit 0 queue, bit 1 configuration (virtio 1.3 4.1.4.5).
    fn take_isr(&mut self) -> u8;
    /// The ISR byte without clearing it: for the Interrupt Status bit of the PCI status register.
    fn isr(&self) -> u8 {
        0
    }
    /// True when the data plane stopped the device and wants a reset (`DEVICE_NEEDS_RESET`).
    fn needs_reset(&self) -> bool;
    /// Who the device is, for the log.
    fn identity(&self) -> Identity {
        Identity::default()
    }
    /// A control request of the guest: decided, applied, answered.
    fn control(&mut self, request: ControlRequest) -> ControlReply;
    /// A setting that follows from what was negotiated: judged and applied as a request of the guest is, but
    /// nobody asked for it, so that a refusal is nobody's fault.
    fn settle(&mut self, request: ControlRequest) -> ControlReply;
    /// How interrupts of a data queue are held back.
    fn coalescing(&self, role: QueueRole) -> Coalescing;
    /// What a data queue counted.
    fn queue_report(&self, role: QueueRole) -> QueueReport;

    // What follows is asked for by a function with a mailbox (AVF) only.

    /// The driver placed an admin queue, or took it away, and its tail is forgotten then; where the device is in it stays, see
    /// [`Host::set_mailbox_head`]. The device
    /// takes messages out of the one up to its tail when that is moved, and hands each to
    /// [`Personality::message`]; the other takes what is [`Host::post`]ed. Whether the memory is there shows when it is
    /// used: drivers say where it is after they enabled it. What is written is told by vector 0.
    fn mailbox(&mut self, which: MailboxSide, place: Option<MailboxPlace>) {
        let _ = (which, place);
    }

    /// The driver moved an admin queue's tail: messages are there, or room for some.
    fn mailbox_tail(&mut self, which: MailboxSide, tail: u16) {
        let _ = (which, tail);
    }

    /// The device's position in an admin queue is this one from here on: the driver wrote `ATQH` or `ARQH`.
    fn set_mailbox_head(&mut self, which: MailboxSide, head: u16) {
        let _ = (which, head);
    }

    /// The device's position in an admin queue: what `ATQH` or `ARQH` reads.
    fn mailbox_head(&self, which: MailboxSide) -> u16 {
        let _ = which;
        0
    }

    /// The driver asks for something by a message; before that is looked at. The first of what then goes to
    /// [`Host::control`] is no further request.
    ///
    /// # Errors
    /// It asks too often, which the operator has been told.
    fn heard(&mut self) -> Result<(), Denial> {
        Ok(())
    }

    /// True while an interrupt of this vector is kept until the driver enables the vector.
    fn keeps_interrupt(&self, vector: u16) -> bool {
        let _ = vector;
        false
    }

    /// Sends the driver a message. Messages arrive in the order of these calls.
    fn post(&mut self, message: MailboxReply) {
        let _ = message;
    }

    /// Takes an AVF ring into use; the data plane may serve it as soon as the device runs.
    /// [`Host::queue_disable`] takes it out of use.
    ///
    /// # Errors
    /// A sentence: the ring is not (wholly) in memory that the client mapped, ...
    fn avf_enable(&mut self, queue: u16, ring: AvfRing) -> Result<(), String> {
        let _ = (queue, ring);
        Err("there is no data plane for AVF rings".into())
    }

    /// The driver moved the tail of a ring in use; [`AvfRing::tail`] has the value already.
    fn tail(&mut self, queue: u16, value: u32) {
        let _ = (queue, value);
    }

    /// What the driver wrote about a ring in use cannot be: the device stops as for what is found in the ring. Who looks
    /// at the ring may not see it soon.
    fn torn(&mut self, why: String) {
        let _ = why;
    }

    /// Lets a vector's next interrupt through, one that is pending at once, or holds them back. A vector holds
    /// itself back when it fires: each call with `on` is good for one interrupt. At first all are held back.
    fn vector_enable(&mut self, vector: u16, on: bool) {
        let _ = (vector, on);
    }

    /// The driver wants an interrupt of this vector, as far as it is enabled, else when it is.
    fn vector_trigger(&mut self, vector: u16) {
        let _ = vector;
    }

    /// Least time between two interrupts for this queue, in microseconds; 0: none.
    fn throttle(&mut self, queue: u16, usecs: u16) {
        let _ = (queue, usecs);
    }

    /// The driver was refused what it sent, for a reason that nobody but the personality knows: for the operator.
    /// A guest can bring about as many as it likes.
    fn refused(&mut self, what: String) {
        let _ = what;
    }
}
