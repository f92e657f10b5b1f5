//! The modern virtio PCI transport, as a driver uses it (virtio 1.3 4.1).

use std::time::Instant;

use super::bus::Bus;
use super::error::{Error, Result};
use super::limits::RESET_DEADLINE;
use super::pci::{CfgType, PciFunction, VirtioCap};
use super::ring::QueueLayout;

/// Bits of `device_status` (virtio 1.3 2.1).
#[allow(missing_docs)]
pub mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const NEEDS_RESET: u8 = 64;
    pub const FAILED: u8 = 128;
}

/// Offsets of the common configuration (virtio 1.3 4.1.4.3).
#[allow(missing_docs)]
pub mod common {
    pub const DEVICE_FEATURE_SELECT: u64 = 0x00;
    pub const DEVICE_FEATURE: u64 = 0x04;
    pub const DRIVER_FEATURE_SELECT: u64 = 0x08;
    pub const DRIVER_FEATURE: u64 = 0x0c;
    pub const CONFIG_MSIX_VECTOR: u64 = 0x10;
    pub const NUM_QUEUES: u64 = 0x12;
    pub const DEVICE_STATUS: u64 = 0x14;
    pub const CONFIG_GENERATION: u64 = 0x15;
    pub const QUEUE_SELECT: u64 = 0x16;
    pub const QUEUE_SIZE: u64 = 0x18;
    pub const QUEUE_MSIX_VECTOR: u64 = 0x1a;
    pub const QUEUE_ENABLE: u64 = 0x1c;
    pub const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    pub const QUEUE_DESC: u64 = 0x20;
    pub const QUEUE_DRIVER: u64 = 0x28;
    pub const QUEUE_DEVICE: u64 = 0x30;
    pub const QUEUE_NOTIF_CONFIG_DATA: u64 = 0x38;
    pub const QUEUE_RESET: u64 = 0x3a;
}

/// The vector that means "none".
pub const NO_VECTOR: u16 = 0xffff;

/// A structure of the device within one of its BARs.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Region that holds it.
    pub region: u32,
    /// First byte within the region.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl Window {
    fn new(function: &PciFunction, kind: CfgType) -> Result<(Self, VirtioCap)> {
        let missing = || Error::Device(format!("no {kind:?} capability"));
        let cap = function.virtio_cap(kind).ok_or_else(missing)?;
        let region = function.bars.get(usize::from(cap.bar));
        let end = u64::from(cap.offset) + u64::from(cap.length);
        if region.is_none_or(|region| end > region.size) {
            return Err(Error::Device(format!(
                "the {kind:?} capability leaves its BAR"
            )));
        }
        let (region, offset, len) = (cap.bar.into(), cap.offset.into(), cap.length.into());
        Ok((
            Window {
                region,
                offset,
                len,
            },
            cap,
        ))
    }

    /// Reads `N` bytes.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn read<const N: usize>(&self, bus: &mut dyn Bus, at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bus.region_read(self.region, self.offset + at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads 16 bits.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn read16(&self, bus: &mut dyn Bus, at: u64) -> Result<u16> {
        self.read(bus, at).map(u16::from_le_bytes)
    }

    /// Writes bytes, posted if the device takes posted writes.
    ///
    /// # Errors
    /// Fails when the server is gone, or refuses an answered write.
    pub fn write(&self, bus: &mut dyn Bus, posted: bool, at: u64, bytes: &[u8]) -> Result<()> {
        if posted {
            bus.region_post(self.region, self.offset + at, bytes)
        } else {
            bus.region_write(self.region, self.offset + at, bytes)
        }
    }
}

/// The structures of a virtio device.
#[derive(Debug)]
pub struct Transport {
    /// Common configuration.
    pub common: Window,
    /// Doorbells.
    pub notify: Window,
    /// Interrupt status.
    pub isr: Window,
    /// Device-specific configuration.
    pub device: Window,
    /// Distance of doorbells.
    pub notify_off_multiplier: u32,
    /// Whether writes to BARs want no reply: QEMU posts them unless a region is mappable.
    pub posted: bool,
}

impl Transport {
    /// Finds the structures.
    ///
    /// # Errors
    /// Fails when one is missing or leaves its BAR.
    pub fn new(function: &PciFunction, posted: bool) -> Result<Self> {
        let (common, _) = Window::new(function, CfgType::Common)?;
        let (notify, notify_cap) = Window::new(function, CfgType::Notify)?;
        let (isr, _) = Window::new(function, CfgType::Isr)?;
        let (device, _) = Window::new(function, CfgType::Device)?;
        let notify_off_multiplier = notify_cap.notify_off_multiplier;
        Ok(Transport {
            common,
            notify,
            isr,
            device,
            notify_off_multiplier,
            posted,
        })
    }

    /// Reads `device_status`.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn status(&self, bus: &mut dyn Bus) -> Result<u8> {
        self.common
            .read::<1>(bus, common::DEVICE_STATUS)
            .map(|byte| byte[0])
    }

    /// Writes `device_status`.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn set_status(&self, bus: &mut dyn Bus, status: u8) -> Result<()> {
        self.common
            .write(bus, self.posted, common::DEVICE_STATUS, &[status])
    }

    /// Resets the device and waits until it says so (virtio 1.3 4.1.4.3.2).
    ///
    /// # Errors
    /// Fails when the status is not 0 in time.
    pub fn reset(&self, bus: &mut dyn Bus) -> Result<()> {
        self.set_status(bus, 0)?;
        let deadline = Instant::now() + RESET_DEADLINE;
        while self.status(bus)? != 0 {
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    what: "resetting the device".into(),
                });
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// The features that the device offers.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn device_features(&self, bus: &mut dyn Bus) -> Result<u64> {
        let mut features = 0;
        for half in 0..2_u32 {
            self.write(bus, common::DEVICE_FEATURE_SELECT, &half.to_le_bytes())?;
            let bits = u32::from_le_bytes(self.common.read(bus, common::DEVICE_FEATURE)?);
            features |= u64::from(bits) << (32 * half);
        }
        Ok(features)
    }

    /// Says which features the driver wants; the status comes after.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn set_driver_features(&self, bus: &mut dyn Bus, features: u64) -> Result<()> {
        for half in 0..2_u32 {
            self.write(bus, common::DRIVER_FEATURE_SELECT, &half.to_le_bytes())?;
            let bits = (features >> (32 * half)) as u32;
            self.write(bus, common::DRIVER_FEATURE, &bits.to_le_bytes())?;
        }
        Ok(())
    }

    /// Resets, acknowledges and agrees on `features` (virtio 1.3 3.1.1, steps 1 to 6).
    ///
    /// # Errors
    /// Fails when the device does not accept them.
    pub fn negotiate(&self, bus: &mut dyn Bus, features: u64) -> Result<()> {
        let mut bits = status::ACKNOWLEDGE;
        self.reset(bus)?;
        self.set_status(bus, bits)?;
        bits |= status::DRIVER;
        self.set_status(bus, bits)?;
        self.set_driver_features(bus, features)?;
        bits |= status::FEATURES_OK;
        self.set_status(bus, bits)?;
        if self.status(bus)? & status::FEATURES_OK == 0 {
            return Err(Error::Unsupported(format!("features {features:#x}")));
        }
        Ok(())
    }

    /// How many queues the device has.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn num_queues(&self, bus: &mut dyn Bus) -> Result<u16> {
        self.common.read16(bus, common::NUM_QUEUES)
    }

    /// Selects a queue and tells its largest size; 0 if it does not exist.
    ///
    /// # Errors
    /// Fails when the server refuses.
    pub fn select_queue(&self, bus: &mut dyn Bus, queue: u16) -> Result<u16> {
        self.write(bus, common::QUEUE_SELECT, &queue.to_le_bytes())?;
        self.common.read16(bus, common::QUEUE_SIZE)
    }

    /// Describes and enables a queue. Returns its `queue_notify_off`.
    ///
    /// # Errors
    /// Fails when the queue does not exist, or the device takes another vector or size.
    pub fn enable_queue(
        &self,
        bus: &mut dyn Bus,
        queue: u16,
        layout: &QueueLayout,
        vector: u16,
    ) -> Result<u16> {
        let largest = self.select_queue(bus, queue)?;
        if largest < layout.size {
            let wanted = layout.size;
            return Err(Error::Unsupported(format!(
                "queue {queue}: {wanted} of {largest}"
            )));
        }
        self.write(bus, common::QUEUE_SIZE, &layout.size.to_le_bytes())?;
        self.write(bus, common::QUEUE_MSIX_VECTOR, &vector.to_le_bytes())?;
        if self.common.read16(bus, common::QUEUE_MSIX_VECTOR)? != vector {
            return Err(Error::Device(format!(
                "queue {queue} did not take vector {vector}"
            )));
        }
        self.write_address(bus, common::QUEUE_DESC, layout.desc)?;
        self.write_address(bus, common::QUEUE_DRIVER, layout.avail)?;
        self.write_address(bus, common::QUEUE_DEVICE, layout.used)?;
        let notify_off = self.common.read16(bus, common::QUEUE_NOTIFY_OFF)?;
        self.write(bus, common::QUEUE_ENABLE, &1_u16.to_le_bytes())?;
        Ok(notify_off)
    }

    /// Resets one queue and waits until it is disabled (virtio 1.3 2.6.1).
    ///
    /// # Errors
    /// Fails when the device does not finish in time.
    pub fn reset_queue(&self, bus: &mut dyn Bus, queue: u16) -> Result<()> {
        self.select_queue(bus, queue)?;
        self.write(bus, common::QUEUE_RESET, &1_u16.to_le_bytes())?;
        let deadline = Instant::now() + RESET_DEADLINE;
        while self.common.read16(bus, common::QUEUE_RESET)? != 0 {
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    what: format!("resetting queue {queue}"),
                });
            }
            std::thread::yield_now();
        }
        if self.common.read16(bus, common::QUEUE_ENABLE)? != 0 {
            return Err(Error::Device(format!(
                "queue {queue} is enabled after its reset"
            )));
        }
        Ok(())
    }

    /// Writes one address, in two halves as Linux does.
    fn write_address(&self, bus: &mut dyn Bus, at: u64, address: u64) -> Result<()> {
        self.write(bus, at, &(address as u32).to_le_bytes())?;
        self.write(bus, at + 4, &((address >> 32) as u32).to_le_bytes())
    }

    /// Writes to the common configuration.
    ///
    /// # Errors
    /// Fails when the server is gone, or refuses an answered write.
    pub fn write(&self, bus: &mut dyn Bus, at: u64, bytes: &[u8]) -> Result<()> {
        self.common.write(bus, self.posted, at, bytes)
    }

    /// Where queue `notify_off`'s doorbell lies within the notify region.
    pub fn doorbell(&self, notify_off: u16) -> u64 {
        self.notify.offset + u64::from(notify_off) * u64::from(self.notify_off_multiplier)
    }
}
