//! Common configuration (4.1.4.3).

use super::super::Host;
use super::features::bits;
use super::queue::Queue;
use super::state::{State, status};
use crate::pci::{RegTable, Registers};
use crate::ring::RingFormat;

/// Registers of `struct virtio_pci_common_cfg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Common {
    DeviceFeatureSelect,
    DeviceFeature,
    DriverFeatureSelect,
    DriverFeature,
    ConfigMsixVector,
    NumQueues,
    DeviceStatus,
    ConfigGeneration,
    QueueSelect,
    QueueSize,
    QueueMsixVector,
    QueueEnable,
    QueueNotifyOff,
    QueueDesc,
    QueueDriver,
    QueueDevice,
    QueueNotifConfigData,
    QueueReset,
    AdminQueueIndex,
    AdminQueueNum,
}

pub(super) const COMMON: RegTable<Common, 20> = RegTable::new(
    64,
    [
        (Common::DeviceFeatureSelect, 0x00, 4),
        (Common::DeviceFeature, 0x04, 4),
        (Common::DriverFeatureSelect, 0x08, 4),
        (Common::DriverFeature, 0x0c, 4),
        (Common::ConfigMsixVector, 0x10, 2),
        (Common::NumQueues, 0x12, 2),
        (Common::DeviceStatus, 0x14, 1),
        (Common::ConfigGeneration, 0x15, 1),
        (Common::QueueSelect, 0x16, 2),
        (Common::QueueSize, 0x18, 2),
        (Common::QueueMsixVector, 0x1a, 2),
        (Common::QueueEnable, 0x1c, 2),
        (Common::QueueNotifyOff, 0x1e, 2),
        (Common::QueueDesc, 0x20, 8),
        (Common::QueueDriver, 0x28, 8),
        (Common::QueueDevice, 0x30, 8),
        (Common::QueueNotifConfigData, 0x38, 2),
        (Common::QueueReset, 0x3a, 2),
        (Common::AdminQueueIndex, 0x3c, 2),
        (Common::AdminQueueNum, 0x3e, 2),
    ],
);

struct Access<'a> {
    state: &'a mut State,
    host: &'a mut dyn Host,
}

impl State {
    pub(super) fn common_read(&mut self, host: &mut dyn Host, at: usize, data: &mut [u8]) {
        COMMON.read(at, data, &mut Access { state: self, host });
    }

    pub(super) fn common_write(&mut self, host: &mut dyn Host, at: usize, data: &[u8]) {
        COMMON.write(at, data, &mut Access { state: self, host });
    }

    /// The selected queue; `None` when the driver selected one that does not exist.
    fn selected(&self) -> Option<&Queue> {
        self.role(self.queue_select)?;
        self.queues.get(usize::from(self.queue_select))
    }

    fn selected_mut(&mut self) -> Option<&mut Queue> {
        self.role(self.queue_select)?;
        self.queues.get_mut(usize::from(self.queue_select))
    }

    /// The selected queue while the driver may still place it (4.1.4.3.2: not once enabled).
    fn placeable(&mut self) -> Option<&mut Queue> {
        self.selected_mut().filter(|queue| !queue.enabled)
    }

    fn offered_word(&self, select: u32) -> u32 {
        match select {
            0 => self.offered as u32,
            1 => (self.offered >> 32) as u32,
            _ => 0,
        }
    }

    fn write_driver_feature(&mut self, value: u32) {
        let agreed = self.has(status::FEATURES_OK);
        let word = self
            .driver_features
            .get_mut(self.driver_feature_select as usize);
        if let Some(word) = word.filter(|_| !agreed) {
            *word = value;
        }
    }

    fn write_config_vector(&mut self, host: &mut dyn Host, wanted: u16) {
        let vector = self.vector(wanted);
        if vector != self.config_vector {
            self.config_vector = vector;
            host.config_vector((vector == wanted && vector < self.vectors).then_some(vector));
        }
    }

    fn write_queue_vector(&mut self, host: &mut dyn Host, wanted: u16) {
        let (index, vector) = (self.queue_select, self.vector(wanted));
        let Some(queue) = self.selected_mut().filter(|queue| queue.vector != vector) else {
            return;
        };
        queue.vector = vector;
        host.queue_vector(index, queue.vector());
    }

    /// 4.1.4.3.2: a power of two unless the ring is packed; 0 would say that the queue does not
    /// exist, which is the device's to say.
    fn write_queue_size(&mut self, size: u16) {
        let max = self.config.max_ring_size;
        let fits = match self.ring_format() {
            RingFormat::Split => size.is_power_of_two(),
            RingFormat::Packed => size > 0,
        };
        let valid = fits && size <= max;
        if let Some(queue) = self.placeable().filter(|_| valid) {
            queue.size = size;
        }
    }

    /// 4.1.4.3.2: a driver must not write 0; disabling is `queue_reset`. Before FEATURES_OK the
    /// queue's role is not settled, so enabling does not count.
    fn write_queue_enable(&mut self, host: &mut dyn Host, value: u16) {
        let (index, agreed) = (self.queue_select, self.has(status::FEATURES_OK));
        if value != 1 || !agreed || self.has(status::NEEDS_RESET) {
            return;
        }
        let format = self.ring_format();
        let Some(queue) = self.placeable() else {
            return;
        };
        match queue
            .ring(format)
            .and_then(|ring| host.queue_enable(index, ring))
        {
            Ok(()) => queue.enabled = true,
            Err(why) => self.needs_reset(host, format!("queue {index} cannot be used: {why}")),
        }
    }

    /// 2.6.1: done when this returns, so `queue_reset` reads 0 again at once.
    fn write_queue_reset(&mut self, host: &mut dyn Host, value: u16) {
        let (index, max) = (self.queue_select, self.config.max_ring_size);
        if value != 1 || !self.negotiated(bits::RING_RESET) {
            return;
        }
        let Some(queue) = self.selected_mut() else {
            return;
        };
        let old = std::mem::replace(queue, Queue::new(max));
        if old.enabled {
            host.queue_disable(index);
        }
        if old.vector().is_some() {
            host.queue_vector(index, None);
        }
    }
}

impl Registers<Common> for Access<'_> {
    fn get(&mut self, reg: Common) -> u64 {
        let state = &*self.state;
        let queue = |field: fn(&Queue) -> u64| state.selected().map_or(0, field);
        match reg {
            Common::DeviceFeatureSelect => state.device_feature_select.into(),
            Common::DeviceFeature => state.offered_word(state.device_feature_select).into(),
            Common::DriverFeatureSelect => state.driver_feature_select.into(),
            Common::DriverFeature => {
                let word = state
                    .driver_features
                    .get(state.driver_feature_select as usize);
                word.copied().unwrap_or(0).into()
            }
            Common::ConfigMsixVector => state.config_vector.into(),
            Common::NumQueues => state.num_queues().into(),
            Common::DeviceStatus => state.read_status(self.host).into(),
            Common::ConfigGeneration => state.generation.into(),
            Common::QueueSelect => state.queue_select.into(),
            Common::QueueSize => queue(|q| q.size.into()),
            Common::QueueMsixVector => state
                .selected()
                .map_or(super::queue::NO_VECTOR, |q| q.vector)
                .into(),
            Common::QueueEnable => queue(|q| q.enabled.into()),
            Common::QueueNotifyOff => match state.selected() {
                Some(_) => state.page_of_queue(state.queue_select).into(),
                None => 0,
            },
            Common::QueueDesc => queue(|q| q.descriptors),
            Common::QueueDriver => queue(|q| q.driver),
            Common::QueueDevice => queue(|q| q.device),
            // Exist only with NOTIF_CONFIG_DATA and ADMIN_VQ, which are not offered; a finished
            // queue reset reads 0.
            Common::QueueNotifConfigData
            | Common::QueueReset
            | Common::AdminQueueIndex
            | Common::AdminQueueNum => 0,
        }
    }

    fn set(&mut self, reg: Common, value: u64) {
        let state = &mut *self.state;
        match reg {
            Common::DeviceFeatureSelect => state.device_feature_select = value as u32,
            Common::DriverFeatureSelect => state.driver_feature_select = value as u32,
            Common::DriverFeature => state.write_driver_feature(value as u32),
            Common::ConfigMsixVector => state.write_config_vector(self.host, value as u16),
            Common::DeviceStatus => state.write_status(self.host, value as u8),
            Common::QueueSelect => state.queue_select = value as u16,
            Common::QueueSize => state.write_queue_size(value as u16),
            Common::QueueMsixVector => state.write_queue_vector(self.host, value as u16),
            Common::QueueEnable => state.write_queue_enable(self.host, value as u16),
            Common::QueueDesc => {
                if let Some(queue) = state.placeable() {
                    queue.descriptors = value;
                }
            }
            Common::QueueDriver => {
                if let Some(queue) = state.placeable() {
                    queue.driver = value;
                }
            }
            Common::QueueDevice => {
                if let Some(queue) = state.placeable() {
                    queue.device = value;
                }
            }
            Common::QueueReset => state.write_queue_reset(self.host, value as u16),
            Common::DeviceFeature
            | Common::NumQueues
            | Common::ConfigGeneration
            | Common::QueueNotifyOff
            | Common::QueueNotifConfigData
            | Common::AdminQueueIndex
            | Common::AdminQueueNum => {}
        }
    }
}
