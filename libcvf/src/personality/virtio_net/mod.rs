//! The network device of virtio 1.3 section 5.1 over modern PCI (4.1).
//!
//! Owns registers, feature negotiation, configuration and the control queue's commands. Rings are
//! only placed here: frames, guest memory and policy are behind [`Host`].
//!
//! # Places
//! BAR0 holds common configuration, ISR and device configuration; BAR2 one doorbell page per queue;
//! BAR4 MSI-X table and pending bits (absent with legacy interrupts).
//!
//! The page of data queue `i` is page `i`. The control queue's page is always the last one, whatever
//! its index: 2 without `VIRTIO_NET_F_MQ` and `_RSS`, 2 x pairs with one of them (5.1.2). Drivers read
//! `queue_notify_off` of each queue after negotiation, so they follow; and what may be mapped is
//! thereby fixed for the device's life while the control queue always stays trapped.
//!
//! A doorbell write counts when it starts in the first two bytes of a page. The page alone says which
//! queue is meant: the written value, which the specification wants to be the queue's index
//! (4.1.5.2), is not looked at, because a mapped page shows nothing else either. With
//! `VIRTIO_F_NOTIFICATION_DATA` a write that is trapped has to be a notification for its page's queue.

mod coalescing;
mod commands;
mod common;
mod device;
mod doorbell;
mod features;
mod function;
mod layout;
mod multiqueue;
mod negotiate;
mod queue;
mod settings;
mod state;
mod statistics;
mod window;

pub use features::{bits, feature_names, receive_offloads};
pub use layout::{PAGE, common_cfg_size};
pub use settings::{SettingsError, VirtioNetConfig};

use super::{
    DoorbellArea, DoorbellRegister, Doorbells, Given, Host, Interrupts, Personality, QueueRole,
    Status,
};
use crate::pci::{AccessError, BarSpec, ConfigSpace, Effects, MsixTable};
use layout::{BAR_DOORBELLS, BAR_MSIX, BAR_REGISTERS, Structure};
use state::State;

/// `VIRTIO_NET_OK` (5.1.6.5).
pub const CONTROL_OK: u8 = 0;
/// `VIRTIO_NET_ERR`.
pub const CONTROL_ERR: u8 = 1;

/// A virtio network device as a guest sees it. Not synchronised: see [`Personality`].
#[derive(Debug)]
pub struct VirtioNet {
    state: State,
    space: ConfigSpace,
    msix: Option<MsixTable>,
    /// Offset of the `VIRTIO_PCI_CAP_PCI_CFG` capability.
    window: usize,
}

impl VirtioNet {
    /// A device in its reset state.
    ///
    /// # Errors
    /// A setting is out of bounds; the sentence says which and what is allowed.
    pub fn new(config: VirtioNetConfig) -> Result<Self, SettingsError> {
        config.check()?;
        let (space, window) = function::compose(&config)?;
        let msix = layout::msix(&config)
            .map(|m| MsixTable::new(m.vectors, m.pba_offset.into(), layout::msix_bar_size(&m)));
        Ok(Self {
            state: State::new(config),
            space,
            msix,
            window,
        })
    }

    /// The features it offers.
    pub fn offered(&self) -> u64 {
        self.state.offered
    }

    /// The settings it was made with.
    pub fn config(&self) -> &VirtioNetConfig {
        &self.state.config
    }

    fn check(&self, bar: u8, offset: u64, len: usize) -> Result<usize, AccessError> {
        let size = self
            .bars()
            .iter()
            .find(|b| b.index == bar)
            .map_or(0, |b| b.size);
        crate::pci::check(layout::bar_name(bar), size, offset, len)
    }
}

impl Personality for VirtioNet {
    fn config_space(&self) -> &ConfigSpace {
        &self.space
    }

    fn bars(&self) -> &[BarSpec] {
        self.space.bars()
    }

    fn interrupts(&self) -> Interrupts {
        self.state.config.interrupts
    }

    fn vectors(&self) -> u16 {
        self.state.vectors
    }

    fn msix_mut(&mut self) -> Option<&mut MsixTable> {
        self.msix.as_mut()
    }

    fn queues(&self) -> u16 {
        self.state.num_queues()
    }

    fn role(&self, queue: u16) -> Option<QueueRole> {
        self.state.role(queue)
    }

    fn doorbell_areas(&self) -> Vec<DoorbellArea> {
        let config = &self.state.config;
        if config.doorbells == Doorbells::Trapped || config.interrupts == Interrupts::Intx {
            return Vec::new();
        }
        (0..2 * config.queue_pairs)
            .map(|queue| DoorbellArea {
                bar: BAR_DOORBELLS,
                offset: u64::from(queue) * PAGE,
                size: PAGE,
            })
            .collect()
    }

    /// Without `VIRTIO_F_NOTIFICATION_DATA` a notification is a 16-bit write (4.1.5.2); its page alone
    /// says which queue it is for.
    fn doorbell_registers(&self) -> Vec<DoorbellRegister> {
        if !self.doorbell_areas().is_empty() {
            return Vec::new();
        }
        (0..2 * self.state.config.queue_pairs)
            .map(|queue| DoorbellRegister {
                bar: BAR_DOORBELLS,
                offset: u64::from(queue) * PAGE,
                size: 2,
                queue,
            })
            .collect()
    }

    fn doorbell_of(&self, bar: u8, offset: u64) -> Option<u16> {
        if bar != BAR_DOORBELLS || offset % PAGE > 1 {
            return None;
        }
        let queue = self.state.queue_of_page(offset / PAGE)?;
        self.state.rings(queue).then_some(queue)
    }

    fn config_read(
        &mut self,
        host: &mut dyn Host,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError> {
        crate::pci::check("configuration space", self.space.size(), offset, data.len())?;
        if self.window_touched(offset, data.len()) {
            self.window_read(host);
        }
        // 4.1.4.5.1: shown while MSI-X is off.
        let asserted = !self.space.msix().enabled && host.isr() != 0;
        self.space.set_interrupt_status(asserted);
        self.space.read(offset, data)
    }

    fn config_write(
        &mut self,
        host: &mut dyn Host,
        offset: u64,
        data: &[u8],
    ) -> Result<Effects, AccessError> {
        let effects = self.space.write(offset, data)?;
        if self.window_touched(offset, data.len()) {
            self.window_write(host);
        }
        if effects.resets() {
            self.reset(host);
        }
        Ok(effects)
    }

    fn read(
        &mut self,
        host: &mut dyn Host,
        bar: u8,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError> {
        let at = self.check(bar, offset, data.len())?;
        match (bar, &self.msix) {
            (BAR_REGISTERS, _) => self.registers_read(host, at, data),
            (BAR_MSIX, Some(msix)) => msix.read(offset, data)?,
            _ => data.fill(0),
        }
        Ok(())
    }

    fn write(
        &mut self,
        host: &mut dyn Host,
        bar: u8,
        offset: u64,
        data: &[u8],
    ) -> Result<(), AccessError> {
        let at = self.check(bar, offset, data.len())?;
        match (bar, &mut self.msix) {
            (BAR_REGISTERS, _) => self.registers_write(host, at, data),
            (BAR_DOORBELLS, _) => {
                let page_queue = self.doorbell_of(bar, offset);
                if let Some(queue) = self.rung(page_queue, offset, data) {
                    host.doorbell(queue);
                }
            }
            (BAR_MSIX, Some(msix)) => msix.write(offset, data)?,
            _ => {}
        }
        Ok(())
    }

    fn reset(&mut self, host: &mut dyn Host) {
        self.state.reset(host);
        self.space.reset();
        if let Some(msix) = &mut self.msix {
            msix.reset();
        }
    }

    fn command(&mut self, host: &mut dyn Host, bytes: &[u8], room: usize) -> Vec<u8> {
        self.state.command(host, bytes, room)
    }

    fn set_link(&mut self, host: &mut dyn Host, up: bool) -> bool {
        self.state.set_link(host, up)
    }

    fn give(&mut self, host: &mut dyn Host, given: Given) -> bool {
        self.state.give(host, given)
    }

    fn announce(&mut self, host: &mut dyn Host) -> bool {
        self.state.announce(host)
    }

    fn status(&self) -> Status {
        self.state.describe()
    }
}

impl VirtioNet {
    fn registers_read(&mut self, host: &mut dyn Host, at: usize, data: &mut [u8]) {
        data.fill(0);
        for (structure, within, range) in layout::structures(at, data.len()) {
            let part = &mut data[range];
            match structure {
                Structure::Common => self.state.common_read(host, within, part),
                Structure::Isr => part[0] = host.take_isr(),
                Structure::Device => self.state.device_read(within, part),
            }
        }
    }

    /// ISR and device configuration are read-only to a driver (4.1.4.5, 5.1.4).
    fn registers_write(&mut self, host: &mut dyn Host, at: usize, data: &[u8]) {
        for (structure, within, range) in layout::structures(at, data.len()) {
            if structure == Structure::Common {
                self.state.common_write(host, within, &data[range]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
