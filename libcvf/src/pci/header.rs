//! The type 0 header as a table.

use super::bar::BarSpec;
use super::regs::RegTable;

/// Who the function says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Revision id.
    pub revision: u8,
    /// Class code: base class, sub-class, programming interface, 24 bits.
    pub class: u32,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
}

/// Legacy interrupt pin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterruptPin {
    /// The function has no legacy interrupt.
    #[default]
    None,
    /// INTA.
    IntA,
}

/// Registers of the type 0 header (PCIe base specification 7.5.1.1 and 7.5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    VendorId,
    DeviceId,
    Command,
    Status,
    RevisionId,
    ProgrammingInterface,
    SubClass,
    BaseClass,
    CacheLineSize,
    LatencyTimer,
    Layout,
    Bist,
    Bar(u8),
    CardbusCis,
    SubsystemVendorId,
    SubsystemId,
    ExpansionRom,
    CapabilitiesPointer,
    ReservedByte,
    ReservedWord,
    ReservedDword,
    InterruptLine,
    InterruptPin,
    MinGrant,
    MaxLatency,
}

pub(super) const HEADER: RegTable<Header, 30> = RegTable::new(
    0x40,
    [
        (Header::VendorId, 0x00, 2),
        (Header::DeviceId, 0x02, 2),
        (Header::Command, 0x04, 2),
        (Header::Status, 0x06, 2),
        (Header::RevisionId, 0x08, 1),
        (Header::ProgrammingInterface, 0x09, 1),
        (Header::SubClass, 0x0a, 1),
        (Header::BaseClass, 0x0b, 1),
        (Header::CacheLineSize, 0x0c, 1),
        (Header::LatencyTimer, 0x0d, 1),
        (Header::Layout, 0x0e, 1),
        (Header::Bist, 0x0f, 1),
        (Header::Bar(0), 0x10, 4),
        (Header::Bar(1), 0x14, 4),
        (Header::Bar(2), 0x18, 4),
        (Header::Bar(3), 0x1c, 4),
        (Header::Bar(4), 0x20, 4),
        (Header::Bar(5), 0x24, 4),
        (Header::CardbusCis, 0x28, 4),
        (Header::SubsystemVendorId, 0x2c, 2),
        (Header::SubsystemId, 0x2e, 2),
        (Header::ExpansionRom, 0x30, 4),
        (Header::CapabilitiesPointer, 0x34, 1),
        (Header::ReservedByte, 0x35, 1),
        (Header::ReservedWord, 0x36, 2),
        (Header::ReservedDword, 0x38, 4),
        (Header::InterruptLine, 0x3c, 1),
        (Header::InterruptPin, 0x3d, 1),
        (Header::MinGrant, 0x3e, 1),
        (Header::MaxLatency, 0x3f, 1),
    ],
);

/// Offset of the command register.
pub(super) const COMMAND: usize = 0x04;
/// Offset of the status register.
pub(super) const STATUS: usize = 0x06;
/// Offset of BAR 0.
pub(super) const BAR0: usize = 0x10;
/// Command: Memory Space Enable.
pub(super) const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: Bus Master Enable.
pub(super) const COMMAND_MASTER: u16 = 1 << 2;
/// Command: Interrupt Disable.
pub(super) const COMMAND_INTX_DISABLE: u16 = 1 << 10;
/// Command: Parity Error Response and SERR# Enable.
const COMMAND_ERRORS: u16 = 1 << 6 | 1 << 8;
/// Status: Interrupt Status.
pub(super) const STATUS_INTERRUPT: u16 = 1 << 3;
/// Status: Capabilities List.
const STATUS_CAPABILITIES: u16 = 1 << 4;
/// Status: error bits, cleared by writing one.
const STATUS_ERRORS: u16 = 0xf900;

/// Initial value, bits the driver may write, bits it clears by writing one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field {
    pub value: u32,
    pub writable: u32,
    pub write_1_to_clear: u32,
}

impl Field {
    const fn read_only(value: u32) -> Self {
        Self {
            value,
            writable: 0,
            write_1_to_clear: 0,
        }
    }
}

pub(super) struct HeaderSpec<'a> {
    pub identity: Identity,
    pub pin: InterruptPin,
    pub bars: &'a [BarSpec],
    pub first_capability: u8,
}

impl HeaderSpec<'_> {
    pub(super) fn field(&self, reg: Header) -> Field {
        let id = &self.identity;
        match reg {
            Header::VendorId => Field::read_only(id.vendor.into()),
            Header::DeviceId => Field::read_only(id.device.into()),
            Header::Command => Field {
                writable: self.command_bits().into(),
                ..Field::default()
            },
            Header::Status => Field {
                value: if self.first_capability == 0 {
                    0
                } else {
                    STATUS_CAPABILITIES.into()
                },
                writable: 0,
                write_1_to_clear: STATUS_ERRORS.into(),
            },
            Header::RevisionId => Field::read_only(id.revision.into()),
            Header::ProgrammingInterface => Field::read_only(id.class & 0xff),
            Header::SubClass => Field::read_only(id.class >> 8 & 0xff),
            Header::BaseClass => Field::read_only(id.class >> 16 & 0xff),
            // PCIe base specification 7.5.1.1.7: writable for legacy software, without effect.
            Header::CacheLineSize => Field {
                writable: 0xff,
                ..Field::default()
            },
            Header::Bar(index) => self.bar(index),
            Header::SubsystemVendorId => Field::read_only(id.subsystem_vendor.into()),
            Header::SubsystemId => Field::read_only(id.subsystem.into()),
            Header::CapabilitiesPointer => Field::read_only(self.first_capability.into()),
            Header::InterruptLine => Field {
                writable: 0xff,
                ..Field::default()
            },
            Header::InterruptPin => Field::read_only(match self.pin {
                InterruptPin::None => 0,
                InterruptPin::IntA => 1,
            }),
            Header::LatencyTimer
            | Header::Layout
            | Header::Bist
            | Header::CardbusCis
            | Header::ExpansionRom
            | Header::ReservedByte
            | Header::ReservedWord
            | Header::ReservedDword
            | Header::MinGrant
            | Header::MaxLatency => Field::default(),
        }
    }

    /// I/O Space Enable is absent because no BAR is an I/O BAR.
    fn command_bits(&self) -> u16 {
        let memory = if self.bars.is_empty() {
            0
        } else {
            COMMAND_MEMORY
        };
        memory | COMMAND_MASTER | COMMAND_ERRORS | COMMAND_INTX_DISABLE
    }

    /// Address bits below the size are read-only zero: that is how a driver learns the size.
    fn bar(&self, index: u8) -> Field {
        for bar in self.bars {
            let mask = !(bar.size - 1);
            if bar.index == index {
                let writable = mask as u32 & !0xf;
                return Field {
                    value: bar.kind.type_bits(),
                    writable,
                    write_1_to_clear: 0,
                };
            }
            if bar.kind.registers() == 2 && bar.index + 1 == index {
                return Field {
                    writable: (mask >> 32) as u32,
                    ..Field::default()
                };
            }
        }
        Field::default()
    }
}
