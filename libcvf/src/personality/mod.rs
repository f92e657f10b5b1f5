//! Guest-visible device models.
//!
//! A personality turns register and mailbox traffic into ring configurations and
//! [`ControlRequest`]s. It owns registers, feature negotiation and config space; it never touches
//! guest memory, frames, or the physical function: all of that goes through [`Host`].

mod model;
pub mod virtio_net;

pub use model::{
    DoorbellArea, DoorbellRegister, Doorbells, DriverState, Given, Interrupts, Personality,
    RingFormats, Status,
};

use crate::control::{Coalescing, ControlReply, ControlRequest, Identity, QueueReport};
use crate::ring::RingFormat;

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
}
