//! The adaptive virtual function (8086:1889), on which the `iavf` driver binds.
//!
//! Owns registers, the virtchnl conversation, and what follows from either. Rings are only placed here: frames,
//! guest memory, the mailbox's queues and policy are behind [`Host`].
//!
//! # Places
//! BAR0 holds the registers (`registers` has their table), BAR3 MSI-X table and pending bits. A tail register's
//! value is the driver's position. With mapped doorbells the pages of tail registers are memory of both sides, which a
//! worker looks at; intervals are in one of them, too, and those written there count when their vector is enabled next.
//!
//! # Who says what
//! Names are those of virtchnl and of the function's data sheet. The driver asks by messages; what is not granted is
//! refused, also where PFs say yes and do nothing (promiscuous modes of functions that are not trusted). Fields that
//! are reserved, or belong to capabilities that are not granted, are ignored as PFs ignore them. Lists have the
//! length of their elements, or that of one element more, which structures once had and drivers still count in.

mod admin;
mod bank;
mod capabilities;
mod filters;
mod function;
mod interrupts;
mod irq_map;
mod message;
mod ops;
mod queues;
mod refusal;
mod registers;
mod reset;
mod resources;
mod rings;
mod rss;
mod settings;
mod state;
mod vlans;
mod wire;

use std::sync::Arc;

pub use capabilities::{bits, capability_names};
pub use refusal::VirtchnlStatus;
pub use settings::{AvfConfig, MAX_AVF_MTU, SettingsError};

use super::{DoorbellArea, Doorbells, Given, Host, Interrupts, Personality, QueueRole, Status};
use crate::control::MacAddr;
use crate::mem::SharedRegisters;
use crate::pci::{AccessError, BarSpec, ConfigSpace, Effects, MsixTable};
use crate::ring::MailboxMessage;
use function::{BAR_MSIX, BAR_REGISTERS};
use registers::Register;
use state::State;

/// An adaptive virtual function as a guest sees it. Not synchronised: see [`Personality`].
#[derive(Debug)]
pub struct Avf {
    state: State,
    space: ConfigSpace,
    msix: MsixTable,
}

impl Avf {
    /// A device in its reset state.
    ///
    /// # Errors
    /// A setting is out of bounds; the sentence says which and what is allowed.
    pub fn new(config: AvfConfig) -> Result<Self, SettingsError> {
        config.check()?;
        let space = function::compose(&config)?;
        let layout = function::msix(&config);
        let shared = match config.doorbells {
            Doorbells::Trapped => None,
            Doorbells::Mapped => Some(Arc::new(SharedRegisters::new(
                function::REGISTERS_SIZE as usize,
            )?)),
        };
        let msix = MsixTable::new(
            layout.vectors,
            layout.pba_offset.into(),
            function::MSIX_SIZE,
        );
        Ok(Self {
            state: State::new(config, shared),
            space,
            msix,
        })
    }

    /// Its settings as they are now.
    pub const fn config(&self) -> &AvfConfig {
        &self.state.config
    }

    fn check(&self, bar: u8, offset: u64, len: usize) -> Result<usize, AccessError> {
        let found = self.bars().iter().find(|spec| spec.index == bar);
        let size = found.map_or(0, |spec| spec.size);
        crate::pci::check(function::bar_name(bar), size, offset, len)
    }
}

impl Personality for Avf {
    fn config_space(&self) -> &ConfigSpace {
        &self.space
    }

    fn bars(&self) -> &[BarSpec] {
        self.space.bars()
    }

    fn interrupts(&self) -> Interrupts {
        Interrupts::Msix
    }

    fn vectors(&self) -> u16 {
        self.msix.vectors()
    }

    fn msix_mut(&mut self) -> Option<&mut MsixTable> {
        Some(&mut self.msix)
    }

    fn queues(&self) -> u16 {
        2 * self.state.config.queue_pairs + 1
    }

    fn role(&self, queue: u16) -> Option<QueueRole> {
        self.state.role(queue)
    }

    fn doorbell_areas(&self) -> Vec<DoorbellArea> {
        let pages = registers::PAGES.iter().map(|offset| DoorbellArea {
            bar: BAR_REGISTERS,
            offset: *offset,
            size: registers::PAGE,
        });
        pages.filter(|_| self.state.shared.is_some()).collect()
    }

    fn doorbell_memory(&self) -> Option<&Arc<SharedRegisters>> {
        self.state.shared.as_ref()
    }

    fn doorbell_of(&self, bar: u8, offset: u64) -> Option<u16> {
        let offset = usize::try_from(offset)
            .ok()
            .filter(|_| bar == BAR_REGISTERS)?;
        let queue = match registers::at(offset)? {
            Register::QrxTail(pair) => 2 * pair,
            Register::QtxTail(pair) => 2 * pair + 1,
            _ => return None,
        };
        self.state.is_enabled(queue).then_some(queue)
    }

    fn config_read(
        &mut self,
        _: &mut dyn Host,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), AccessError> {
        self.space.read(offset, data)
    }

    fn config_write(
        &mut self,
        host: &mut dyn Host,
        offset: u64,
        data: &[u8],
    ) -> Result<Effects, AccessError> {
        let effects = self.space.write(offset, data)?;
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
        match bar {
            BAR_REGISTERS => self.state.registers_read(host, at, data),
            BAR_MSIX => self.msix.read(offset, data)?,
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
        match bar {
            BAR_REGISTERS => self.state.registers_write(host, at, data),
            BAR_MSIX => self.msix.write(offset, data)?,
            _ => {}
        }
        Ok(())
    }

    fn reset(&mut self, host: &mut dyn Host) {
        self.state.reset_function(host);
        self.space.reset();
        self.msix.reset();
    }

    /// There is no control queue: see [`Personality::message`].
    fn command(&mut self, _: &mut dyn Host, _: &[u8], _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn message(&mut self, host: &mut dyn Host, message: MailboxMessage) {
        self.state.message(host, &message);
    }

    fn set_link(&mut self, host: &mut dyn Host, up: bool) -> bool {
        self.state.set_link(host, up)
    }

    /// A driver that was told of its resources is reset, as PFs do it, so that it asks anew: before that none of
    /// this is seen.
    fn give(&mut self, host: &mut dyn Host, given: Given) -> bool {
        self.state.give(host, given)
    }

    fn ask_anew(&mut self, host: &mut dyn Host, mac: MacAddr) {
        self.state.ask_anew(host, mac);
    }

    fn restart(&mut self, host: &mut dyn Host) -> bool {
        self.state.restart(host)
    }

    /// Virtchnl has no word for it.
    fn announce(&mut self, _: &mut dyn Host) -> bool {
        false
    }

    fn status(&self) -> Status {
        self.state.describe()
    }
}

#[cfg(test)]
mod tests;
