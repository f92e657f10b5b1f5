//! A fake VM with an AVF function (Intel adaptive virtual function): what Linux's `iavf` does, at native speed.
//!
//! Registers and the mailbox go by whoever has the function, see [`Bus`]; frames go through rings in guest memory.
//! Everything is in the order in which Linux's driver does it. The device is trusted with nothing.
//!
//! ```no_run
//! # fn main() -> lab::fakevm::Result<()> {
//! use std::time::Duration;
//! use lab::fakevm::avf::{AvfVm, AvfVmConfig};
//!
//! let mut vm = AvfVm::connect("/run/mdevd/web1.sock".as_ref(), AvfVmConfig::default())?;
//! vm.send(&[0xff; 60])?;
//! let answer = vm.recv(Duration::from_secs(1))?;
//! # Ok(())
//! # }
//! ```

pub mod config;
pub mod control;
pub mod desc;
pub mod flex;
pub mod hostile;
pub mod mailbox;
pub mod messages;
pub mod offload;
pub mod registers;
pub mod virtchnl;

mod bringup;
mod check_sequence;
mod interrupts;
#[cfg(test)]
mod model;
mod request;
mod reset;
mod rx;
#[cfg(test)]
mod tests;
mod traffic;
mod tx;

pub use self::config::{AvfRingConfig, AvfVmConfig};
pub use self::control::QueueAnswer;
pub use self::messages::{EthStats, Event, Resources, VlanCaps};
pub use self::offload::Offload;
pub use self::request::Answer;
pub use self::rx::{AvfRx, Checksum, Received, RxFormat};
pub use self::tx::AvfTx;
pub use self::virtchnl::Status;

use std::collections::VecDeque;
use std::time::Instant;

use self::mailbox::Mailbox;
use self::registers::Registers;
use super::bus::Bus;
use super::client::{Client, DeviceInfo};
use super::doorbell::Doorbell;
use super::error::{Error, Result};
use super::interrupts::Interrupts;
use super::memory::GuestMemory;
use super::net::{NetGuest, Rx, Tx};
use super::pci::PciFunction;

/// A link as the device says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// It is up.
    pub up: bool,
    /// Mb/s with ADV_LINK_SPEED, else a bit.
    pub speed: u32,
}

/// One queue pair.
#[derive(Debug)]
pub struct AvfPair {
    /// Frames to the device.
    pub tx: AvfTx,
    /// Frames from the device.
    pub rx: AvfRx,
    /// How the tails are written: of receive, of transmit.
    bells: [Doorbell; 2],
    /// The vector of both.
    vector: u16,
}

/// A VM without a processor, with an AVF function.
#[derive(Debug)]
pub struct AvfVm<B = Client> {
    /// Whom it asks for everything that concerns its function.
    pub client: B,
    /// Guest memory.
    pub memory: GuestMemory,
    /// What the device says it is.
    pub info: DeviceInfo,
    /// The PCI function.
    pub pci: PciFunction,
    /// Its registers.
    pub registers: Registers,
    /// What the device refused while it was brought up, and could.
    pub refused: Vec<(u32, Status)>,
    /// Whom the frames of [`hostile`] scenarios are for; everybody unless set otherwise.
    pub correspondent: [u8; 6],
    config: AvfVmConfig,
    mailbox: Option<Mailbox>,
    resources: Resources,
    vlan_caps: Option<VlanCaps>,
    /// Formats of receive descriptors that the device has, as bits; none without the capability.
    rxdids: u64,
    mac: [u8; 6],
    link: Option<Link>,
    events: VecDeque<Event>,
    /// The device has said that it is going to be reset.
    impending: bool,
    pairs: Vec<AvfPair>,
    interrupts: Option<Interrupts>,
    /// Vectors whose interrupt is enabled and has not been seen to fire.
    armed: Vec<bool>,
    /// Interrupts that were taken and not yet told.
    fired: u64,
    /// Guest memory that is in use without mailbox and rings.
    mark: Vec<u64>,
    kicks: u64,
}

impl<B: Bus> AvfVm<B> {
    /// What the VM was asked to be.
    pub fn config(&self) -> &AvfVmConfig {
        &self.config
    }

    /// What the device has given it.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Capabilities that were granted.
    pub fn capabilities(&self) -> u32 {
        self.resources.capabilities
    }

    /// What it can do with VLAN tags, if VLAN_V2 was granted.
    pub fn vlan_caps(&self) -> Option<&VlanCaps> {
        self.vlan_caps.as_ref()
    }

    /// The address that the driver uses.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The link, as far as the device has said.
    pub fn link(&self) -> Option<Link> {
        self.link
    }

    /// Queue pairs in use.
    pub fn pairs(&self) -> u16 {
        self.pairs.len() as u16
    }

    /// One of its queue pairs.
    ///
    /// # Panics
    /// Panics when there is no such pair.
    pub fn pair(&mut self, index: u16) -> &mut AvfPair {
        &mut self.pairs[usize::from(index)]
    }

    /// The events of the vectors, unless the driver polls.
    pub fn interrupts(&self) -> Option<&Interrupts> {
        self.interrupts.as_ref()
    }

    /// The mailbox and whoever has the function, for messages that no driver should send.
    ///
    /// # Errors
    /// Fails when there is no mailbox now.
    pub fn mailbox(&mut self) -> Result<(&mut Mailbox, &mut B)> {
        let mailbox = self.mailbox.as_mut();
        let mailbox = mailbox.ok_or_else(|| Error::Unsupported("no mailbox".into()))?;
        Ok((mailbox, &mut self.client))
    }

    /// Tails written so far.
    pub fn kicks(&self) -> u64 {
        self.kicks
    }

    /// Whether the tail of a queue is a mapped page.
    pub fn doorbell_is_mapped(&self, queue: u16) -> bool {
        let pair = self.pairs.get(usize::from(queue / 2));
        let bell = pair.map(|pair| &pair.bells[usize::from(queue % 2)]);
        matches!(bell, Some(Doorbell::Page { .. }))
    }

    /// Reads a register.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn read_register(&mut self, at: u64) -> Result<u32> {
        self.registers.read(&mut self.client, at)
    }

    /// Writes a register.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn write_register(&mut self, at: u64, value: u32) -> Result<()> {
        self.registers.write(&mut self.client, at, value)
    }

    /// Writes the tail of a queue as it is.
    ///
    /// # Errors
    /// Fails when there is no such queue, or the device's side is gone.
    pub fn write_tail(&mut self, queue: u16, value: u32) -> Result<()> {
        self.kicks += 1;
        let pair = self.pairs.get(usize::from(queue / 2));
        let Some(pair) = pair else {
            return Err(Error::Unsupported(format!("queue {queue} is not in use")));
        };
        match &pair.bells[usize::from(queue % 2)] {
            Doorbell::Message { offset } => self.registers.write(&mut self.client, *offset, value),
            Doorbell::Page { page, at } => {
                page.release32(*at, value);
                Ok(())
            }
            Doorbell::Event(_) => Err(Error::Unsupported("a tail by an event".into())),
        }
    }

    /// Lets the server and the machine breathe within a wait that polls.
    fn breathe(&mut self) -> Result<()> {
        if self.client.serve(&self.memory, Instant::now())? == 0 {
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl<B: Bus> NetGuest for AvfVm<B> {
    fn tx(&mut self, pair: u16) -> Tx<'_> {
        Tx::Avf(&mut self.pair(pair).tx)
    }

    fn rx(&mut self, pair: u16) -> Rx<'_> {
        Rx::Avf(&mut self.pair(pair).rx)
    }

    fn kick(&mut self, queue: u16) -> Result<()> {
        let pair = self.pairs.get(usize::from(queue / 2));
        let tail = pair.map_or(0, |pair| match queue % 2 {
            0 => pair.rx.tail(),
            _ => pair.tx.tail(),
        });
        self.write_tail(queue, tail.into())
    }

    fn arm_rx(&mut self, pair: u16) -> Result<()> {
        let vector = self.pair(pair).vector;
        self.collect(vector);
        self.arm(vector)
    }

    /// Vectors of AVF switch themselves off when they fire.
    fn disarm_rx(&mut self, _pair: u16) -> Result<()> {
        Ok(())
    }

    fn take_interrupts(&mut self) -> u64 {
        for pair in 0..self.pairs() {
            let vector = self.pair(pair).vector;
            self.collect(vector);
        }
        std::mem::take(&mut self.fired)
    }
}
