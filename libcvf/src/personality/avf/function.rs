//! The PCI function: identity, BARs, capabilities.

use super::settings::AvfConfig;
use crate::pci::{
    BarKind, BarSpec, BuildError, Capability, ConfigBuilder, ConfigSpace, Identity, MsixLayout,
};

/// BAR of the registers.
pub(super) const BAR_REGISTERS: u8 = 0;
/// BAR of MSI-X table and pending bits.
pub(super) const BAR_MSIX: u8 = 3;
/// Size of [`BAR_REGISTERS`].
pub(super) const REGISTERS_SIZE: u64 = 128 << 10;
/// Size of [`BAR_MSIX`].
pub(super) const MSIX_SIZE: u64 = 16 << 10;
/// Where in it the pending bits are.
const PENDING: u32 = 8 << 10;

/// The adaptive virtual function, with the class of an Ethernet controller and a revision as an E810's has it.
const IDENTITY: Identity = Identity {
    vendor: 0x8086,
    device: 0x1889,
    revision: 2,
    class: 0x02_0000,
    subsystem_vendor: 0x8086,
    subsystem: 0,
};

/// One vector for the mailbox, one for every queue pair.
pub(super) const fn vectors(config: &AvfConfig) -> u16 {
    config.queue_pairs + 1
}

pub(super) fn msix(config: &AvfConfig) -> MsixLayout {
    MsixLayout {
        vectors: vectors(config),
        table_bar: BAR_MSIX,
        table_offset: 0,
        pba_bar: BAR_MSIX,
        pba_offset: PENDING,
    }
}

pub(super) fn compose(config: &AvfConfig) -> Result<ConfigSpace, BuildError> {
    let bar = |index, size| BarSpec {
        index,
        kind: BarKind::Mem64 { prefetchable: true },
        size,
    };
    ConfigBuilder::new(IDENTITY)
        .bar(bar(BAR_REGISTERS, REGISTERS_SIZE))
        .bar(bar(BAR_MSIX, MSIX_SIZE))
        .capability(Capability::power_management(true))
        .capability(Capability::pcie_endpoint())
        .capability(Capability::msix(msix(config)))
        .build()
}

pub(super) const fn bar_name(bar: u8) -> &'static str {
    match bar {
        BAR_REGISTERS => "BAR0 (registers)",
        BAR_MSIX => "BAR3 (MSI-X)",
        _ => "a BAR that does not exist",
    }
}
