//! The trait every personality implements, and what it says about itself.

use std::fmt;
use std::sync::Arc;

use super::{Host, QueueRole};
use crate::control::MacAddr;
use crate::mem::SharedRegisters;
use crate::pci::{AccessError, BarSpec, ConfigSpace, Effects, MsixTable};
use crate::ring::MailboxMessage;

/// How a driver's doorbell writes reach the device; fixed for the device's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doorbells {
    /// Every write is a message; no mappable region.
    #[default]
    Trapped,
    /// Doorbell pages are shared memory that a worker polls.
    Mapped,
}

/// How the device interrupts; fixed for the device's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interrupts {
    /// MSI-X.
    #[default]
    Msix,
    /// One legacy interrupt; implies that nothing is mappable.
    Intx,
}

/// Which ring formats a driver may choose; fixed for the device's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RingFormats {
    /// Split rings only: what every driver can do.
    #[default]
    Split,
    /// Packed rings only: a driver that cannot is refused.
    Packed,
    /// What the driver takes; one that can do packed rings takes those.
    Any,
}

/// A doorbell page that a client may map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorbellArea {
    /// BAR of the page.
    pub bar: u8,
    /// Offset of the page within the BAR, in bytes.
    pub offset: u64,
    /// Size in bytes: one page.
    pub size: u64,
}

/// The register that rings a queue by being written, whatever the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorbellRegister {
    /// BAR of the register.
    pub bar: u8,
    /// Its offset within the BAR, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The queue.
    pub queue: u16,
}

/// How far the guest's driver has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverState {
    /// Reset, or never seen.
    #[default]
    Absent,
    /// A driver noticed the device.
    Acknowledged,
    /// Features are agreed.
    Negotiated,
    /// The driver is ready; rings run.
    Running,
    /// The driver gave up.
    Failed,
    /// The device cannot go on without a reset.
    NeedsReset,
}

impl DriverState {
    /// As shown to the operator.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "no driver",
            Self::Acknowledged => "acknowledged",
            Self::Negotiated => "features agreed",
            Self::Running => "running",
            Self::Failed => "driver gave up",
            Self::NeedsReset => "needs reset",
        }
    }
}

impl fmt::Display for DriverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a personality knows about its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How far the driver has come. What the data plane knows (`Host::needs_reset`) is not in it.
    pub state: DriverState,
    /// Why the device needs a reset, where the personality itself found out.
    pub reason: Option<String>,
    /// The status register as the driver reads it, without what the data plane adds.
    pub driver_status: u8,
    /// Negotiated features; zero before they are agreed.
    pub features: u64,
    /// Their names.
    pub feature_names: Vec<&'static str>,
    /// The device's current address.
    pub mac: MacAddr,
    /// Queue pairs the driver uses.
    pub active_pairs: u16,
    /// MTU that the driver sees, in bytes.
    pub mtu: u16,
    /// Link state as the driver sees it.
    pub link_up: bool,
}

/// What the operator gives a device and may change while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its own address.
    pub mac: MacAddr,
    /// MTU in bytes.
    pub mtu: u16,
    /// Queue pairs that the driver is told of, at most what there are.
    pub pairs: u16,
    /// Features that may be offered; what depends on a masked one is not offered either.
    pub features: u64,
}

/// A guest-visible device model.
///
/// One session thread calls all of it under one lock. No method blocks by itself; what the
/// [`Host`] does inside a call may.
pub trait Personality: Send {
    /// Configuration space as it stands; reading through it has no side effects.
    fn config_space(&self) -> &ConfigSpace;

    /// The BARs.
    fn bars(&self) -> &[BarSpec];

    /// Legacy or MSI-X interrupts.
    fn interrupts(&self) -> Interrupts;

    /// MSI-X vectors; 0 with legacy interrupts.
    fn vectors(&self) -> u16;

    /// MSI-X table and pending bits; `None` with legacy interrupts.
    fn msix_mut(&mut self) -> Option<&mut MsixTable>;

    /// Queues the device has at most, control queue included.
    fn queues(&self) -> u16;

    /// Role of a queue with the negotiated features (before negotiation: with all offered ones).
    /// `None`: no such queue.
    fn role(&self, queue: u16) -> Option<QueueRole>;

    /// Doorbell pages a client may map, all of one BAR; empty with trapped doorbells and with legacy interrupts.
    fn doorbell_areas(&self) -> Vec<DoorbellArea>;

    /// The memory of that BAR, if what a driver writes there is looked at. `None`: it is all the same.
    fn doorbell_memory(&self) -> Option<&Arc<SharedRegisters>> {
        None
    }

    /// Doorbell registers of data queues, for clients that signal an event instead of sending a
    /// write. Empty where no write ever comes.
    fn doorbell_registers(&self) -> Vec<DoorbellRegister> {
        Vec::new()
    }

    /// The queue that a write at this place rings right now, if any: the device runs, the queue
    /// exists and is enabled. The same decision as [`Personality::write`] makes, for a quick path.
    fn doorbell_of(&self, bar: u8, offset: u64) -> Option<u16>;

    /// Reads configuration space, with the side effects that a driver's read has.
    ///
    /// # Errors
    /// The access reaches past its end.
    fn config_read(
        &mut self,
        host: &mut dyn Host,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError>;

    /// Writes configuration space. A write that resets the function ([`Effects::resets`]) has done
    /// so on return: device and configuration space are as after [`Personality::reset`], and the
    /// caller's own interrupt state follows.
    ///
    /// # Errors
    /// The access reaches past its end; nothing is written.
    fn config_write(
        &mut self,
        host: &mut dyn Host,
        offset: u64,
        data: &[u8],
    ) -> Result<Effects, AccessError>;

    /// Reads a BAR.
    ///
    /// # Errors
    /// The BAR does not exist or the access reaches past its end.
    fn read(
        &mut self,
        host: &mut dyn Host,
        bar: u8,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError>;

    /// Writes a BAR.
    ///
    /// # Errors
    /// The BAR does not exist or the access reaches past its end; nothing is written.
    fn write(
        &mut self,
        host: &mut dyn Host,
        bar: u8,
        offset: u64,
        data: &[u8],
    ) -> Result<(), AccessError>;

    /// Resets the whole function: device state and configuration space. Always ends in
    /// [`Host::stop`].
    fn reset(&mut self, host: &mut dyn Host);

    /// Executes a command that the driver put into the control queue: `bytes` is the readable part
    /// of the chain, copied, any length, untrusted; `room` the bytes of the writable part. Returns what
    /// the driver is to read there; what is longer than `room` is cut off.
    fn command(&mut self, host: &mut dyn Host, bytes: &[u8], room: usize) -> Vec<u8>;

    /// Carries out a message that the driver put into its mailbox; the answer, and whatever follows from it, goes
    /// to [`Host::post`]. Nothing happens where there is no mailbox.
    fn message(&mut self, host: &mut dyn Host, message: MailboxMessage) {
        let _ = (host, message);
    }

    /// Sets the link state that the driver sees. True if it changed.
    fn set_link(&mut self, host: &mut dyn Host, up: bool) -> bool;

    /// Takes up what the operator gives now. An address is shown at once, and a running driver is told;
    /// MTU, queue pairs and features are what they were until the device is reset, for a driver has read them
    /// (5.1.4.1 of virtio 1.3 forbids another MTU). True if something is shown or will be.
    fn give(&mut self, host: &mut dyn Host, given: Given) -> bool;

    /// What its driver was allowed was taken back, and its address is this one now. A driver that can be made to ask
    /// anew is.
    fn ask_anew(&mut self, host: &mut dyn Host, mac: MacAddr) {
        let _ = (host, mac);
    }

    /// The device was stopped for what its driver did. Makes a driver that can be made to start anew do so; true if it will.
    fn restart(&mut self, host: &mut dyn Host) -> bool {
        let _ = host;
        false
    }

    /// Asks the driver to announce its addresses to the network. True if the driver will be asked:
    /// it runs and agreed to be.
    fn announce(&mut self, host: &mut dyn Host) -> bool;

    /// What it knows about its driver.
    fn status(&self) -> Status;
}
