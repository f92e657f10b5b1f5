//! A driver that knows the device only by its configuration space, as Linux does.

use super::super::bits;
use super::super::{VirtioNet, VirtioNetConfig};
use super::host::FakeHost;
use crate::control::MacAddr;
use crate::pci::Effects;
use crate::personality::Personality;

pub const MAC: MacAddr = MacAddr([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);

pub const ACKNOWLEDGE: u8 = 1;
pub const DRIVER: u8 = 2;
pub const DRIVER_OK: u8 = 4;
pub const FEATURES_OK: u8 = 8;
pub const NEEDS_RESET: u8 = 64;
pub const FAILED: u8 = 128;

/// Offsets in common configuration.
pub mod reg {
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
    pub const ADMIN_QUEUE_NUM: u64 = 0x3e;
}

/// A structure as its vendor capability describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub at: u64,
    pub cap_len: u8,
    pub bar: u8,
    pub offset: u64,
    pub length: u64,
    pub multiplier: u64,
}

pub struct Driver {
    pub device: VirtioNet,
    pub host: FakeHost,
    pub common: Place,
    pub notify: Place,
    pub isr: Place,
    pub config: Place,
    pub window: Place,
}

pub fn settings(pairs: u16) -> VirtioNetConfig {
    VirtioNetConfig {
        queue_pairs: pairs,
        ..VirtioNetConfig::new(MAC)
    }
}

/// Walks the capability list for a vendor capability.
fn find(device: &mut VirtioNet, host: &mut FakeHost, cfg_type: u8) -> Place {
    let mut read = |at: u64, n: usize| {
        let mut data = [0; 8];
        device
            .config_read(host, at, &mut data[..n])
            .expect("within configuration space");
        u64::from_le_bytes(data)
    };
    let mut at = read(0x34, 1);
    for _ in 0..48 {
        assert!(at >= 0x40, "no capability of type {cfg_type}");
        if read(at, 1) == 0x09 && read(at + 3, 1) == u64::from(cfg_type) {
            return Place {
                at,
                cap_len: read(at + 2, 1) as u8,
                bar: read(at + 4, 1) as u8,
                offset: read(at + 8, 4),
                length: read(at + 12, 4),
                multiplier: read(at + 16, 4),
            };
        }
        at = read(at + 1, 1);
    }
    panic!("the capability list does not end");
}

impl Driver {
    pub fn new(config: VirtioNetConfig) -> Self {
        let mut device = VirtioNet::new(config).expect("valid settings");
        let mut host = FakeHost::default();
        let [common, notify, isr, config, window] =
            [1, 2, 3, 4, 5].map(|cfg_type| find(&mut device, &mut host, cfg_type));
        Self {
            device,
            host,
            common,
            notify,
            isr,
            config,
            window,
        }
    }

    /// A device with this many pairs.
    pub fn pairs(pairs: u16) -> Self {
        Self::new(settings(pairs))
    }

    /// Agreed on everything [`Self::plain`].
    pub fn agreed(pairs: u16) -> Self {
        let mut driver = Self::pairs(pairs);
        let plain = driver.plain();
        driver.negotiate(plain);
        driver
    }

    /// Everything that is offered, with split rings and plain doorbells.
    pub fn plain(&mut self) -> u64 {
        self.offered() & !(bits::RING_PACKED | bits::NOTIFICATION_DATA)
    }

    /// Running, with everything [`Self::plain`] and every queue.
    pub fn running(pairs: u16) -> Self {
        let mut driver = Self::pairs(pairs);
        let plain = driver.plain();
        driver.bring_up(plain);
        driver.host.take();
        driver
    }

    /// Running with these features.
    pub fn running_with(pairs: u16, features: u64) -> Self {
        let mut driver = Self::pairs(pairs);
        driver.bring_up(features | bits::VERSION_1);
        driver.host.take();
        driver
    }

    pub fn read_at(&mut self, place: Place, offset: u64, n: usize) -> u64 {
        let mut data = [0; 8];
        self.device
            .read(
                &mut self.host,
                place.bar,
                place.offset + offset,
                &mut data[..n],
            )
            .expect("within the BAR");
        u64::from_le_bytes(data)
    }

    pub fn write_at(&mut self, place: Place, offset: u64, value: u64, n: usize) {
        self.device
            .write(
                &mut self.host,
                place.bar,
                place.offset + offset,
                &value.to_le_bytes()[..n],
            )
            .expect("within the BAR");
    }

    pub fn read8(&mut self, reg: u64) -> u8 {
        self.read_at(self.common, reg, 1) as u8
    }

    pub fn read16(&mut self, reg: u64) -> u16 {
        self.read_at(self.common, reg, 2) as u16
    }

    pub fn read32(&mut self, reg: u64) -> u32 {
        self.read_at(self.common, reg, 4) as u32
    }

    pub fn read64(&mut self, reg: u64) -> u64 {
        self.read_at(self.common, reg, 8)
    }

    pub fn write8(&mut self, reg: u64, value: u8) {
        self.write_at(self.common, reg, value.into(), 1);
    }

    pub fn write16(&mut self, reg: u64, value: u16) {
        self.write_at(self.common, reg, value.into(), 2);
    }

    pub fn write32(&mut self, reg: u64, value: u32) {
        self.write_at(self.common, reg, value.into(), 4);
    }

    /// As Linux does: low half, then high half.
    pub fn write64_twice(&mut self, reg: u64, value: u64) {
        self.write32(reg, value as u32);
        self.write32(reg + 4, (value >> 32) as u32);
    }

    pub fn status(&mut self) -> u8 {
        self.read8(reg::DEVICE_STATUS)
    }

    pub fn add_status(&mut self, bit: u8) {
        let status = self.status();
        self.write8(reg::DEVICE_STATUS, status | bit);
    }

    pub fn offered(&mut self) -> u64 {
        let mut word = |select| {
            self.write32(reg::DEVICE_FEATURE_SELECT, select);
            u64::from(self.read32(reg::DEVICE_FEATURE))
        };
        word(0) | word(1) << 32
    }

    pub fn accept(&mut self, features: u64) {
        for (select, word) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.write32(reg::DRIVER_FEATURE_SELECT, select);
            self.write32(reg::DRIVER_FEATURE, word);
        }
    }

    /// 3.1.1 up to step 6: true if the features were agreed.
    pub fn negotiate(&mut self, features: u64) -> bool {
        self.write8(reg::DEVICE_STATUS, 0);
        assert_eq!(self.status(), 0);
        self.add_status(ACKNOWLEDGE);
        self.add_status(DRIVER);
        self.accept(features);
        self.add_status(FEATURES_OK);
        self.status() & FEATURES_OK != 0
    }

    pub fn select(&mut self, queue: u16) {
        self.write16(reg::QUEUE_SELECT, queue);
    }

    /// Places and enables a queue in memory of its own; gives its addresses.
    pub fn set_up(&mut self, queue: u16, size: u16, vector: u16) -> [u64; 3] {
        let base = 0x1_0000_0000 + u64::from(queue) * 0x10_0000;
        let rings = [base, base + 0x4000, base + 0x8000];
        self.select(queue);
        assert_ne!(
            self.read16(reg::QUEUE_SIZE),
            0,
            "queue {queue} does not exist"
        );
        assert_eq!(
            self.read16(reg::QUEUE_ENABLE),
            0,
            "queue {queue} is enabled already"
        );
        self.write16(reg::QUEUE_SIZE, size);
        for (reg, at) in [reg::QUEUE_DESC, reg::QUEUE_DRIVER, reg::QUEUE_DEVICE]
            .into_iter()
            .zip(rings)
        {
            self.write64_twice(reg, at);
        }
        self.write16(reg::QUEUE_MSIX_VECTOR, vector);
        self.write16(reg::QUEUE_ENABLE, 1);
        rings
    }

    /// Everything up to DRIVER_OK: the queues that these features give.
    pub fn bring_up(&mut self, features: u64) {
        assert!(self.negotiate(features), "features refused");
        let pairs = if features & (bits::MQ | bits::RSS) != 0 {
            self.read_at(self.config, 8, 2) as u16
        } else {
            1
        };
        let queues = 2 * pairs + u16::from(features & bits::CTRL_VQ != 0);
        self.write16(reg::CONFIG_MSIX_VECTOR, 0);
        for queue in 0..queues {
            self.set_up(queue, 256, queue + 1);
        }
        self.add_status(DRIVER_OK);
        assert_ne!(self.status() & DRIVER_OK, 0);
    }

    /// Writes the queue's index where `queue_notify_off` says.
    pub fn notify(&mut self, queue: u16) {
        self.select(queue);
        let page = u64::from(self.read16(reg::QUEUE_NOTIFY_OFF));
        // 4.1.5.2: 32 bits with NOTIFICATION_DATA; where the driver is does not matter here.
        let data = self.device.status().features & bits::NOTIFICATION_DATA != 0;
        let len = if data { 4 } else { 2 };
        let at = page * self.notify.multiplier;
        self.write_at(self.notify, at, queue.into(), len);
    }

    /// Sends a command with room for one byte of answer.
    pub fn command(&mut self, bytes: &[u8]) -> u8 {
        self.ask(bytes, 1)[0]
    }

    /// Sends a command with this much room for the answer.
    pub fn ask(&mut self, bytes: &[u8], room: usize) -> Vec<u8> {
        self.device.command(&mut self.host, bytes, room)
    }

    pub fn config_read(&mut self, at: u64, n: usize) -> u64 {
        let mut data = [0; 8];
        self.device
            .config_read(&mut self.host, at, &mut data[..n])
            .expect("within configuration space");
        u64::from_le_bytes(data)
    }

    pub fn config_write(&mut self, at: u64, data: &[u8]) -> Effects {
        self.device
            .config_write(&mut self.host, at, data)
            .expect("within configuration space")
    }

    /// Offset of a capability in configuration space.
    pub fn capability(&self, id: u8) -> Option<u64> {
        let caps = self.device.config_space().capabilities();
        caps.iter()
            .find(|cap| cap.id == id)
            .map(|cap| cap.offset.into())
    }

    /// Function level reset, as a client that forwards it raw.
    pub fn flr(&mut self) -> Effects {
        let pcie = self.capability(0x10).expect("a PCI Express function");
        let control = self.config_read(pcie + 8, 2) as u16 | 0x8000;
        self.config_write(pcie + 8, &control.to_le_bytes())
    }
}
