//! The PCI function as a driver finds it: configuration space, BARs, capabilities.

use super::bus::Bus;
use super::client::RegionInfo;
use super::error::{Error, Result};
use super::limits::MAX_CAPABILITIES;

/// Region index of configuration space (VFIO).
pub const CONFIG_REGION: u32 = 7;
/// Interrupt index of INTx (VFIO).
pub const IRQ_INTX: u32 = 0;
/// Interrupt index of MSI-X (VFIO).
pub const IRQ_MSIX: u32 = 2;

const COMMAND: u64 = 0x04;
const STATUS: u64 = 0x06;
const BAR0: u64 = 0x10;
const CAPABILITIES: u64 = 0x34;
const STATUS_CAPABILITIES: u16 = 0x10;
const COMMAND_MEMORY: u16 = 2;
const COMMAND_BUS_MASTER: u16 = 4;
const COMMAND_INTX_DISABLE: u16 = 0x400;
const CAP_ID_MSIX: u8 = 0x11;
const CAP_ID_VENDOR: u8 = 0x09;
const MSIX_ENABLE: u16 = 0x8000;
/// Where this "firmware" puts the first BAR.
const BAR_BASE: u64 = 0x38_0000_0000;

/// `cfg_type` of virtio's vendor capabilities (virtio 1.3 4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CfgType {
    /// Common configuration.
    Common = 1,
    /// Notifications.
    Notify = 2,
    /// Interrupt status.
    Isr = 3,
    /// Device-specific configuration.
    Device = 4,
    /// Access to BARs through configuration space.
    Pci = 5,
}

/// One of virtio's vendor capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtioCap {
    /// Where the capability lies in configuration space.
    pub at: u8,
    /// What it points to, see [`CfgType`].
    pub cfg_type: u8,
    /// BAR, which is also the region.
    pub bar: u8,
    /// First byte within the BAR.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
    /// The doorbells' distance, of a notify capability.
    pub notify_off_multiplier: u32,
}

/// The MSI-X capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixCap {
    /// Where the capability lies in configuration space.
    pub at: u8,
    /// Entries of the table.
    pub vectors: u16,
}

/// What a walk over the function has found.
#[derive(Debug)]
pub struct PciFunction {
    /// Vendor and device.
    pub id: (u16, u16),
    /// Regions of the BARs, by index.
    pub bars: Vec<RegionInfo>,
    /// virtio's capabilities, in the list's order.
    pub virtio: Vec<VirtioCap>,
    /// MSI-X, if the function has it.
    pub msix: Option<MsixCap>,
}

impl PciFunction {
    /// Walks configuration space, gives the BARs addresses, and enables memory and bus
    /// mastering, as firmware and kernel do together.
    ///
    /// # Errors
    /// Fails when the capability list loops, or the server refuses.
    pub fn probe(bus: &mut dyn Bus) -> Result<Self> {
        let mut bars = Vec::new();
        for index in 0..6 {
            bars.push(bus.region_info(index)?);
        }
        let config = bus.region_info(CONFIG_REGION)?;
        if config.size < 256 {
            return Err(Error::Protocol(format!(
                "configuration space of {} bytes",
                config.size
            )));
        }
        // QEMU reads all of it at once.
        let mut space = vec![0; config.size.min(4096) as usize];
        bus.region_read(CONFIG_REGION, 0, &mut space)?;
        let id = (word(&space, 0), word(&space, 2));
        let mut function = PciFunction {
            id,
            bars,
            virtio: Vec::new(),
            msix: None,
        };
        if word(&space, STATUS as usize) & STATUS_CAPABILITIES != 0 {
            function.walk(&space)?;
        }
        assign_bars(bus)?;
        let command = COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE;
        write16(bus, COMMAND, command)?;
        Ok(function)
    }

    fn walk(&mut self, space: &[u8]) -> Result<()> {
        let mut at = space[CAPABILITIES as usize] & 0xfc;
        for _ in 0..MAX_CAPABILITIES {
            let here = usize::from(at);
            match (at, space[here]) {
                (0, _) => return Ok(()),
                (_, CAP_ID_VENDOR) => self.virtio.push(virtio_cap(space, at)),
                (_, CAP_ID_MSIX) => {
                    let vectors = (word(space, here + 2) & 0x7ff) + 1;
                    self.msix = Some(MsixCap { at, vectors });
                }
                _ => {}
            }
            at = space[here + 1] & 0xfc;
        }
        Err(Error::Device(
            "the list of PCI capabilities is a loop".into(),
        ))
    }

    /// The first virtio capability of a kind.
    pub fn virtio_cap(&self, kind: CfgType) -> Option<VirtioCap> {
        self.virtio
            .iter()
            .copied()
            .find(|cap| cap.cfg_type == kind as u8)
    }

    /// Switches MSI-X on or off in its capability.
    ///
    /// # Errors
    /// Fails when the function has no MSI-X, or the server refuses.
    pub fn enable_msix(&self, bus: &mut dyn Bus, on: bool) -> Result<()> {
        let msix = self
            .msix
            .ok_or_else(|| Error::Unsupported("no MSI-X capability".into()))?;
        let control = (msix.vectors - 1) | if on { MSIX_ENABLE } else { 0 };
        write16(bus, u64::from(msix.at) + 2, control)
    }

    /// Switches bus mastering on or off.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn set_bus_master(&self, bus: &mut dyn Bus, on: bool) -> Result<()> {
        let master = if on { COMMAND_BUS_MASTER } else { 0 };
        write16(bus, COMMAND, COMMAND_MEMORY | COMMAND_INTX_DISABLE | master)
    }
}

fn virtio_cap(space: &[u8], at: u8) -> VirtioCap {
    let here = usize::from(at);
    let long = |offset: usize| {
        u32::from(word(space, here + offset)) | u32::from(word(space, here + offset + 2)) << 16
    };
    VirtioCap {
        at,
        cfg_type: space[here + 3],
        bar: space[here + 4],
        offset: long(8),
        length: long(12),
        notify_off_multiplier: if space[here + 3] == CfgType::Notify as u8 {
            long(16)
        } else {
            0
        },
    }
}

/// Sizes each BAR by writing ones, as firmware does, and places it.
fn assign_bars(bus: &mut dyn Bus) -> Result<()> {
    let mut next = BAR_BASE;
    let mut index = 0;
    while index < 6 {
        let at = BAR0 + 4 * index;
        write32(bus, at, u32::MAX)?;
        let low = read32(bus, at)?;
        let wide = low & 0b111 == 0b100;
        let mut mask = u64::from(low & !0xf) | 0xffff_ffff_0000_0000;
        if wide {
            write32(bus, at + 4, u32::MAX)?;
            mask = u64::from(low & !0xf) | u64::from(read32(bus, at + 4)?) << 32;
        }
        if low & !0xf != 0 || (wide && mask >> 32 != 0) {
            let size = (!mask).wrapping_add(1);
            // A 32-bit BAR cannot lie above 4 GiB; its place does not matter to the server.
            let address = if wide {
                next.next_multiple_of(size)
            } else {
                0xc000_0000
            };
            write32(bus, at, address as u32)?;
            if wide {
                write32(bus, at + 4, (address >> 32) as u32)?;
                next = address + size;
            }
        }
        index += if wide { 2 } else { 1 };
    }
    Ok(())
}

fn word(space: &[u8], at: usize) -> u16 {
    match space.get(at..at + 2) {
        Some(bytes) => u16::from_le_bytes([bytes[0], bytes[1]]),
        None => 0,
    }
}

fn read32(bus: &mut dyn Bus, at: u64) -> Result<u32> {
    let mut bytes = [0; 4];
    bus.region_read(CONFIG_REGION, at, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn write32(bus: &mut dyn Bus, at: u64, value: u32) -> Result<()> {
    bus.region_write(CONFIG_REGION, at, &value.to_le_bytes())
}

fn write16(bus: &mut dyn Bus, at: u64, value: u16) -> Result<()> {
    bus.region_write(CONFIG_REGION, at, &value.to_le_bytes())
}
