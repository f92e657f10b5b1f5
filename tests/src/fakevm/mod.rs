//! The fake VM: a vfio-user client, or a program that has a function by the kernel's VFIO, with a virtio-net driver at
//! native speed.
//!
//! It stands in for QEMU and a guest in integration tests, fault injection and benchmarks. One
//! thread drives it; every wait has a deadline. The ring driver in [`ring`] and [`net`] knows
//! nothing of vfio-user and serves vhost-user guests just the same (see [`crate::vhost`]).
//!
//! ```no_run
//! # fn main() -> lab::fakevm::Result<()> {
//! use std::time::Duration;
//! use lab::fakevm::{FakeVm, FakeVmConfig};
//!
//! let mut vm = FakeVm::connect("/run/mdevd/web1.sock".as_ref(), FakeVmConfig::default())?;
//! vm.send(&[0xff; 60])?;
//! let answer = vm.recv(Duration::from_secs(1))?;
//! # Ok(())
//! # }
//! ```

mod attach;
pub mod avf;
pub mod bus;
pub mod client;
pub mod config;
pub mod control;
pub mod doorbell;
pub mod error;
pub mod frame;
pub mod guest;
pub mod hostile;
pub mod interrupts;
pub mod limits;
pub mod mem;
pub mod memory;
pub mod net;
pub mod pci;
pub mod queues;
pub mod ring;
pub mod socket;
pub mod sys;
pub mod virtio;
pub mod wire;

mod bringup;
mod traffic;

pub use self::config::{FakeVmConfig, InterruptMode};
pub use self::control::Ack;
pub use self::doorbell::DoorbellMode;
pub use self::error::{Error, Result};

use std::time::Instant;

use self::bus::Bus;
use self::client::{Client, DeviceInfo};
use self::control::ControlQueue;
use self::doorbell::Doorbell;
use self::interrupts::Interrupts;
use self::memory::GuestMemory;
use self::net::{NetGuest, NetPair, Rx, Tx, feature};
use self::pci::PciFunction;
use self::virtio::{Transport, status};

/// A VM without a processor.
#[derive(Debug)]
pub struct FakeVm<B = Client> {
    /// Whom it asks for everything that concerns its function, for commands that the fake VM has no method for.
    pub client: B,
    /// Guest memory.
    pub memory: GuestMemory,
    /// What the device says it is.
    pub info: DeviceInfo,
    /// The PCI function.
    pub pci: PciFunction,
    /// The virtio structures of the function.
    pub transport: Transport,
    /// Whom the frames of [`hostile`] scenarios are for; everybody unless set otherwise.
    pub correspondent: [u8; 6],
    config: FakeVmConfig,
    offered: u64,
    features: u64,
    pairs: Vec<NetPair>,
    control: Option<ControlQueue>,
    doorbells: Vec<(u16, Doorbell)>,
    interrupts: Option<Interrupts>,
    /// Guest memory that is in use without any queue.
    mark: Vec<u64>,
    kicks: u64,
}

impl<B: Bus> FakeVm<B> {
    /// What the VM was asked to be.
    pub fn config(&self) -> &FakeVmConfig {
        &self.config
    }

    /// Features that the device offers.
    pub fn offered_features(&self) -> u64 {
        self.offered
    }

    /// Features that were agreed on.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Queue pairs in use.
    pub fn pairs(&self) -> u16 {
        self.pairs.len() as u16
    }

    /// One of its queue pairs.
    ///
    /// # Panics
    /// Panics when there is no such pair.
    pub fn pair(&mut self, index: u16) -> &mut NetPair {
        &mut self.pairs[usize::from(index)]
    }

    /// The control queue, if it was agreed on.
    pub fn control_queue(&mut self) -> Option<&mut ControlQueue> {
        self.control.as_mut()
    }

    /// The events of the vectors, in [`InterruptMode::EventFd`].
    pub fn interrupts(&self) -> Option<&Interrupts> {
        self.interrupts.as_ref()
    }

    /// Doorbells rung so far.
    pub fn kicks(&self) -> u64 {
        self.kicks
    }

    /// Whether a queue's doorbell is a mapped page.
    pub fn doorbell_is_mapped(&self, queue: u16) -> bool {
        self.doorbells
            .iter()
            .any(|(index, bell)| *index == queue && matches!(bell, Doorbell::Page { .. }))
    }

    /// Whether the device has stopped itself (virtio 1.3 2.1.2, `DEVICE_NEEDS_RESET`).
    ///
    /// # Errors
    /// Fails when the server is gone.
    pub fn needs_reset(&mut self) -> Result<bool> {
        Ok(self.transport.status(&mut self.client)? & status::NEEDS_RESET != 0)
    }

    /// Reads `N` bytes of the device's own configuration.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn device_config<const N: usize>(&mut self, at: u64) -> Result<[u8; N]> {
        self.transport.device.read(&mut self.client, at)
    }

    /// The device's MAC address.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn mac(&mut self) -> Result<[u8; 6]> {
        // Byte by byte, as the specification wants it (virtio 1.3 4.1.3.1).
        let mut mac = [0; 6];
        for (at, byte) in mac.iter_mut().enumerate() {
            *byte = self.device_config::<1>(at as u64)?[0];
        }
        Ok(mac)
    }

    /// The `status` field of virtio-net: bit 0 link up, bit 1 announce.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn net_status(&mut self) -> Result<u16> {
        self.device_config(6).map(u16::from_le_bytes)
    }

    /// Largest number of queue pairs.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn max_queue_pairs(&mut self) -> Result<u16> {
        self.device_config(8).map(u16::from_le_bytes)
    }

    /// The MTU that the device states.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn mtu(&mut self) -> Result<u16> {
        self.device_config(10).map(u16::from_le_bytes)
    }

    /// What the doorbell of a queue has to say besides its number, if anything.
    fn notification(&mut self, queue: u16) -> Option<u16> {
        if self.features & feature::NOTIFICATION_DATA == 0 {
            return None;
        }
        let control = self.control.as_mut().filter(|own| own.index == queue);
        if let Some(control) = control {
            return Some(control.queue.notification());
        }
        let pair = self.pairs.get_mut(usize::from(queue / 2))?;
        let queue = match queue % 2 {
            0 => pair.rx.queue(),
            _ => pair.tx.queue(),
        };
        Some(queue.notification())
    }

    /// Lets the server and the machine breathe within a wait that polls: answers what the
    /// server asks, and notices that it has gone.
    pub(crate) fn breathe(&mut self) -> Result<()> {
        if self.client.serve(&self.memory, Instant::now())? == 0 {
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl<B: Bus> NetGuest for FakeVm<B> {
    fn tx(&mut self, pair: u16) -> Tx<'_> {
        Tx::Virtio(&mut self.pair(pair).tx)
    }

    fn rx(&mut self, pair: u16) -> Rx<'_> {
        Rx::Virtio(&mut self.pair(pair).rx)
    }

    fn kick(&mut self, queue: u16) -> Result<()> {
        self.kicks += 1;
        let data = self.notification(queue);
        let bell = self.doorbells.iter().find(|(index, _)| *index == queue);
        let Some((_, bell)) = bell else {
            return Err(Error::Unsupported(format!("queue {queue} is not in use")));
        };
        doorbell::ring(bell, &mut self.client, &self.transport, queue, data)
    }

    fn take_interrupts(&mut self) -> u64 {
        let Some(interrupts) = &self.interrupts else {
            return 0;
        };
        (0..interrupts.vectors())
            .map(|vector| interrupts.take(vector))
            .sum()
    }
}
