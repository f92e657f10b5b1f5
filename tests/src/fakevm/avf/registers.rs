//! The registers of an AVF function: all of 32 bits, all in BAR 0.

use crate::fakevm::bus::Bus;
use crate::fakevm::client::flags;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::pci::PciFunction;

/// The BAR that holds them.
pub const BAR: u32 = 0;
/// Bytes that BAR 0 has at least.
pub const BAR_SIZE: u64 = 64 << 10;

/// Where registers are.
#[allow(missing_docs)]
pub mod reg {
    pub const QTX_TAIL: u64 = 0x0000;
    pub const QRX_TAIL: u64 = 0x2000;
    pub const VFINT_ITRN: u64 = 0x2800;
    pub const VFINT_DYN_CTLN: u64 = 0x3800;
    pub const VFINT_ICR0: u64 = 0x4800;
    pub const VFINT_ICR0_ENA: u64 = 0x5000;
    pub const VFINT_DYN_CTL0: u64 = 0x5c00;
    pub const ARQBAH: u64 = 0x6000;
    pub const ATQH: u64 = 0x6400;
    pub const ATQLEN: u64 = 0x6800;
    pub const ARQBAL: u64 = 0x6c00;
    pub const ARQT: u64 = 0x7000;
    pub const ARQH: u64 = 0x7400;
    pub const ATQBAH: u64 = 0x7800;
    pub const ATQBAL: u64 = 0x7c00;
    pub const ARQLEN: u64 = 0x8000;
    pub const ATQT: u64 = 0x8400;
    pub const VFGEN_RSTAT: u64 = 0x8800;

    /// The transmit tail of a queue pair.
    pub const fn tx_tail(pair: u16) -> u64 {
        QTX_TAIL + 4 * pair as u64
    }

    /// The receive tail of a queue pair.
    pub const fn rx_tail(pair: u16) -> u64 {
        QRX_TAIL + 4 * pair as u64
    }

    /// The control register of a vector of queues; vector 0 has one of its own.
    pub const fn dyn_ctl(vector: u16) -> u64 {
        match vector {
            0 => VFINT_DYN_CTL0,
            _ => VFINT_DYN_CTLN + 4 * (vector as u64 - 1),
        }
    }

    /// The interval register `itr` of a vector of queues, which are counted from 1.
    pub const fn itr(itr: u64, vector: u16) -> u64 {
        VFINT_ITRN + 64 * itr + 4 * (vector as u64 - 1)
    }
}

/// Bits of ATQLEN and ARQLEN.
#[allow(missing_docs)]
pub mod len {
    pub const VFE: u32 = 1 << 28;
    pub const OVFL: u32 = 1 << 29;
    pub const CRIT: u32 = 1 << 30;
    pub const ENABLE: u32 = 1 << 31;
}

/// Bits of VFINT_DYN_CTL0 and VFINT_DYN_CTLN.
#[allow(missing_docs)]
pub mod dyn_ctl {
    pub const INTENA: u32 = 1 << 0;
    pub const SWINT_TRIG: u32 = 1 << 2;
    /// No interval register is changed by this write.
    pub const ITR_NONE: u32 = 3 << 3;
    pub const INTERVAL_SHIFT: u32 = 5;
    pub const SW_ITR_INDX_ENA: u32 = 1 << 24;
    pub const WB_ON_ITR: u32 = 1 << 30;
}

/// Bit of VFINT_ICR0 and VFINT_ICR0_ENA: the mailbox.
pub const ICR0_ADMINQ: u32 = 1 << 30;

/// How far a reset is (VFGEN_RSTAT bits 1 and 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetState {
    /// Under way.
    InProgress,
    /// Over; the device is not there yet.
    Completed,
    /// Over, and the device is there.
    Active,
    /// No state at all.
    Invalid,
}

impl ResetState {
    /// What the register says.
    pub fn of(rstat: u32) -> Self {
        match rstat & 3 {
            0 => ResetState::InProgress,
            1 => ResetState::Completed,
            2 => ResetState::Active,
            _ => ResetState::Invalid,
        }
    }
}

/// Access to the registers of one function.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Whether writes want no reply: QEMU posts them unless a region is mappable.
    pub posted: bool,
}

impl Registers {
    /// The registers of a function.
    ///
    /// # Errors
    /// Fails when its BAR 0 is too small for them.
    pub fn new(function: &PciFunction) -> Result<Self> {
        let size = function.bars.first().map_or(0, |bar| bar.size);
        if size < BAR_SIZE {
            return Err(Error::Device(format!("BAR 0 of {size:#x} bytes")));
        }
        let mappable = |bars: &[crate::fakevm::client::RegionInfo]| {
            bars.iter().any(|bar| bar.flags & flags::REGION_MMAP != 0)
        };
        Ok(Registers {
            posted: !mappable(&function.bars),
        })
    }

    /// Reads a register.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn read(self, bus: &mut dyn Bus, at: u64) -> Result<u32> {
        let mut bytes = [0; 4];
        bus.region_read(BAR, at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes a register.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn write(self, bus: &mut dyn Bus, at: u64, value: u32) -> Result<()> {
        let bytes = value.to_le_bytes();
        if self.posted {
            bus.region_post(BAR, at, &bytes)
        } else {
            bus.region_write(BAR, at, &bytes)
        }
    }

    /// How far a reset is.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn reset_state(self, bus: &mut dyn Bus) -> Result<ResetState> {
        self.read(bus, reg::VFGEN_RSTAT).map(ResetState::of)
    }
}
