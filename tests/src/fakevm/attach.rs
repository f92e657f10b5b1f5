//! What a VMM and its firmware do with a function before any driver comes, whatever the function is.

use std::path::Path;

use super::bus::Bus;
use super::client::{Client, DeviceInfo, flags};
use super::error::{Error, Result};
use super::memory::{GuestMemory, MemoryPlan};
use super::pci::PciFunction;

/// A function that was walked, and the memory it was given.
pub(super) struct Attached<B: Bus> {
    pub(super) client: B,
    pub(super) memory: GuestMemory,
    /// Where a driver's memory begins.
    pub(super) mark: Vec<u64>,
    pub(super) info: DeviceInfo,
    pub(super) pci: PciFunction,
}

/// Connects to a device's socket.
pub(super) fn client(path: &Path, capabilities: &str) -> Result<Client> {
    let mut client = Client::connect(path)?;
    client.negotiate(capabilities)?;
    Ok(client)
}

impl<B: Bus> Attached<B> {
    /// Gives the function memory, of which the first `skew` bytes stay free, and walks it.
    pub(super) fn walk(mut client: B, plan: &MemoryPlan, skew: u64) -> Result<Self> {
        let mut memory = GuestMemory::new(plan)?;
        memory.alloc(skew, 1)?;
        client.map_memory(&memory)?;
        // The first page stays free, so that no ring lies at address 0.
        memory.alloc(4096, 4096)?;
        let mark = memory.mark();
        let info = client.device_info()?;
        if info.flags & flags::DEVICE_PCI == 0 {
            return Err(Error::Protocol("the device is no PCI device".into()));
        }
        let pci = PciFunction::probe(&mut client)?;
        Ok(Attached {
            client,
            memory,
            mark,
            info,
            pci,
        })
    }
}
