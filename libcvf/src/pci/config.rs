//! Configuration space: bytes, masks, and what writes mean.

use super::access::{AccessError, check};
use super::bar::{BarKind, BarSpec};
use super::capability::{
    DEVICE_CONTROL, DEVICE_CONTROL_FLR_HIGH, MSIX_CONTROL, PMCSR, PMCSR_NO_SOFT_RESET,
    PlacedCapability, cap_id,
};
use super::effects::{Effects, MsixControl, PowerChange, PowerState};
use super::header::{
    BAR0, COMMAND, COMMAND_INTX_DISABLE, COMMAND_MASTER, COMMAND_MEMORY, STATUS, STATUS_INTERRUPT,
};

/// Bytes of a PCIe function's configuration space.
const CONFIG_SIZE: usize = 4096;
/// Bytes that tables describe: header and capabilities. Nothing is kept of the others, of which
/// each of many devices would have 15 KiB.
pub(super) const DESCRIBED: usize = 256;

type Bytes = Box<[u8; DESCRIBED]>;

/// The 4096 bytes of a PCIe function's configuration space, made by
/// [`ConfigBuilder`](super::ConfigBuilder).
///
/// Owns register contents; never acts on them: [`ConfigSpace::write`] reports what happened. Bytes
/// that no table describes read as zero and ignore writes.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    pub(super) init: Bytes,
    pub(super) writable: Bytes,
    pub(super) write_1_to_clear: Bytes,
    now: Bytes,
    bars: Vec<BarSpec>,
    capabilities: Vec<PlacedCapability>,
    pcie: Option<usize>,
    power: Option<usize>,
    msix: Option<usize>,
}

/// Everything a write can change that somebody must act on.
#[derive(Clone, Copy)]
struct Watched {
    command: u16,
    power: PowerState,
    msix: MsixControl,
}

impl ConfigSpace {
    pub(super) fn zeroed(bars: Vec<BarSpec>, capabilities: Vec<PlacedCapability>) -> Self {
        let zero = || Box::new([0; DESCRIBED]);
        let find = |id| {
            let cap = capabilities.iter().find(|cap| cap.id == id);
            cap.map(|cap| usize::from(cap.offset))
        };
        Self {
            init: zero(),
            writable: zero(),
            write_1_to_clear: zero(),
            now: zero(),
            pcie: find(cap_id::PCI_EXPRESS),
            power: find(cap_id::POWER_MANAGEMENT),
            msix: find(cap_id::MSIX),
            bars,
            capabilities,
        }
    }

    /// Size in bytes, always 4096.
    pub const fn size(&self) -> u64 {
        CONFIG_SIZE as u64
    }

    /// The BARs it was built with.
    pub fn bars(&self) -> &[BarSpec] {
        &self.bars
    }

    /// Capabilities in list order.
    pub fn capabilities(&self) -> &[PlacedCapability] {
        &self.capabilities
    }

    /// Reads any length at any offset.
    ///
    /// # Errors
    /// The access reaches past 4096 bytes.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), AccessError> {
        let at = check("configuration space", self.size(), offset, data.len())?;
        let described = self.now.get(at..).unwrap_or_default();
        let (known, beyond) = data.split_at_mut(data.len().min(described.len()));
        known.copy_from_slice(&described[..known.len()]);
        beyond.fill(0);
        Ok(())
    }

    /// Writes any length at any offset, each bit as its register allows.
    ///
    /// # Errors
    /// The access reaches past 4096 bytes; nothing is written.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<Effects, AccessError> {
        let at = check("configuration space", self.size(), offset, data.len())?;
        let before = self.watched();
        for (i, &new) in (at..DESCRIBED).zip(data) {
            let (old, mask) = (self.now[i], self.writable[i]);
            self.now[i] = ((old & !mask) | (new & mask)) & !(new & self.write_1_to_clear[i]);
        }
        self.settle_power(before.power);
        let after = self.watched();

        let flipped = |bit: u16| {
            ((before.command ^ after.command) & bit != 0).then_some(after.command & bit != 0)
        };
        Ok(Effects {
            flr: self.initiates_flr(at, data),
            bus_master: flipped(COMMAND_MASTER),
            memory_enable: flipped(COMMAND_MEMORY),
            intx_disable: flipped(COMMAND_INTX_DISABLE),
            power: (before.power != after.power).then(|| PowerChange {
                from: before.power,
                to: after.power,
                soft_reset: after.power == PowerState::D0 && !self.keeps_state(),
            }),
            msix: (before.msix != after.msix).then_some(after.msix),
        })
    }

    /// Everything as built: what conventional and function level reset do.
    pub fn reset(&mut self) {
        self.now.copy_from_slice(&self.init[..]);
    }

    /// Bus Master Enable: without it the function must not touch guest memory.
    pub fn bus_master(&self) -> bool {
        self.watched().command & COMMAND_MASTER != 0
    }

    /// Memory Space Enable.
    pub fn memory_enabled(&self) -> bool {
        self.watched().command & COMMAND_MEMORY != 0
    }

    /// Interrupt Disable: legacy interrupts must not be asserted.
    pub fn intx_disabled(&self) -> bool {
        self.watched().command & COMMAND_INTX_DISABLE != 0
    }

    /// MSI-X message control; all off without the capability.
    pub fn msix(&self) -> MsixControl {
        self.watched().msix
    }

    /// Power state; D0 without the capability.
    pub fn power(&self) -> PowerState {
        self.watched().power
    }

    /// Shows the legacy interrupt as asserted in the status register (PCIe base specification
    /// 7.5.1.1.4, Interrupt Status), where drivers that share the line look.
    pub fn set_interrupt_status(&mut self, asserted: bool) {
        let status = self.word(STATUS) & !STATUS_INTERRUPT;
        let status = status | if asserted { STATUS_INTERRUPT } else { 0 };
        self.now[STATUS..STATUS + 2].copy_from_slice(&status.to_le_bytes());
    }

    /// The address a driver programmed into a BAR; `None` if the BAR does not exist.
    pub fn bar_address(&self, index: u8) -> Option<u64> {
        let bar = self.bars.iter().find(|bar| bar.index == index)?;
        let at = BAR0 + 4 * usize::from(index);
        let low = u64::from(self.dword(at) & !0xf);
        Some(match bar.kind {
            BarKind::Mem32 { .. } => low,
            BarKind::Mem64 { .. } => u64::from(self.dword(at + 4)) << 32 | low,
        })
    }

    /// Replaces bytes regardless of masks: for registers that the device itself fills.
    ///
    /// # Panics
    /// When the range leaves configuration space: the offset is the device's own, never a guest's.
    pub fn poke(&mut self, offset: usize, data: &[u8]) {
        self.now[offset..offset + data.len()].copy_from_slice(data);
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.now[at], self.now[at + 1]])
    }

    fn dword(&self, at: usize) -> u32 {
        u32::from(self.word(at + 2)) << 16 | u32::from(self.word(at))
    }

    fn watched(&self) -> Watched {
        let power = match self.power.map(|at| self.now[at + PMCSR] & 0b11) {
            Some(3) => PowerState::D3hot,
            _ => PowerState::D0,
        };
        let control = self.msix.map_or(0, |at| self.word(at + MSIX_CONTROL));
        let msix = MsixControl {
            enabled: control >> 15 != 0,
            masked: control >> 14 & 1 != 0,
        };
        Watched {
            command: self.word(COMMAND),
            power,
            msix,
        }
    }

    /// PCI power management 1.2, 3.2.4: a write of an unsupported state (D1, D2) completes and is
    /// discarded.
    fn settle_power(&mut self, before: PowerState) {
        let Some(at) = self.power else { return };
        let pmcsr = &mut self.now[at + PMCSR];
        if matches!(*pmcsr & 0b11, 1 | 2) {
            *pmcsr = *pmcsr & !0b11 | if before == PowerState::D3hot { 3 } else { 0 };
        }
    }

    fn keeps_state(&self) -> bool {
        self.power
            .is_some_and(|at| self.now[at + PMCSR] & PMCSR_NO_SOFT_RESET != 0)
    }

    /// The bit reads as zero always (PCIe base specification 7.5.3.4), so only the data shows it.
    fn initiates_flr(&self, at: usize, data: &[u8]) -> bool {
        let Some(pcie) = self.pcie else { return false };
        let byte = (pcie + DEVICE_CONTROL + 1)
            .checked_sub(at)
            .and_then(|i| data.get(i));
        byte.is_some_and(|byte| byte & DEVICE_CONTROL_FLR_HIGH != 0)
    }
}

#[cfg(test)]
mod tests;
