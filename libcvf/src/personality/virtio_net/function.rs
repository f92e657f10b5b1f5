//! The PCI function (4.1): identity, BARs, capabilities.

use super::super::Interrupts;
use super::layout::{
    self, BAR_DOORBELLS, BAR_MSIX, BAR_REGISTERS, PAGE, REGISTERS_SIZE, Structure,
};
use super::settings::VirtioNetConfig;
use crate::pci::{
    BarKind, BarSpec, BuildError, Capability, ConfigBuilder, ConfigSpace, Identity, InterruptPin,
    cap_id,
};

/// 4.1.2: vendor 0x1af4, device 0x1040 + 1, revision at least 1, subsystem at least 0x40.
const IDENTITY: Identity = Identity {
    vendor: 0x1af4,
    device: 0x1041,
    revision: 1,
    class: 0x02_0000,
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
};

/// `cfg_type` of the vendor capabilities (4.1.4).
const COMMON_CFG: u8 = 1;
const NOTIFY_CFG: u8 = 2;
const ISR_CFG: u8 = 3;
const DEVICE_CFG: u8 = 4;
const PCI_CFG: u8 = 5;

/// Configuration space, and where in it the PCI_CFG capability lies.
pub(super) fn compose(config: &VirtioNetConfig) -> Result<(ConfigSpace, usize), BuildError> {
    // Reading the ISR has a side effect, so its BAR is not prefetchable; the others are.
    let bar = |index, size, prefetchable| BarSpec {
        index,
        kind: BarKind::Mem64 { prefetchable },
        size,
    };
    let doorbells = layout::doorbells_size(config);
    let mut builder = ConfigBuilder::new(IDENTITY)
        .bar(bar(BAR_REGISTERS, REGISTERS_SIZE, false))
        .bar(bar(BAR_DOORBELLS, doorbells, true))
        .capability(Capability::power_management(true))
        .capability(Capability::pcie_endpoint());
    if let Some(msix) = layout::msix(config) {
        builder = builder
            .bar(bar(BAR_MSIX, layout::msix_bar_size(&msix), true))
            .capability(Capability::msix(msix));
    }
    if config.interrupts == Interrupts::Intx {
        builder = builder.interrupt_pin(InterruptPin::IntA);
    }
    let pages = u32::from(layout::num_queues(config)) * PAGE as u32;
    let space = builder
        .capability(structure(COMMON_CFG, Structure::Common))
        .capability(vendor(
            NOTIFY_CFG,
            BAR_DOORBELLS,
            0,
            pages,
            &(PAGE as u32).to_le_bytes(),
        ))
        .capability(structure(ISR_CFG, Structure::Isr))
        .capability(structure(DEVICE_CFG, Structure::Device))
        // 4.1.4.9: bar, offset, length and the data window are the driver's to write.
        .capability(
            vendor(PCI_CFG, 0, 0, 0, &[0; 4])
                .writable(4, 1)
                .writable(8, 12),
        )
        .build()?;
    let window = space
        .capabilities()
        .iter()
        .rfind(|cap| cap.id == cap_id::VENDOR);
    let window = window.map_or(0, |cap| cap.offset.into());
    Ok((space, window))
}

fn structure(cfg_type: u8, structure: Structure) -> Capability {
    vendor(
        cfg_type,
        BAR_REGISTERS,
        structure.offset(),
        structure.len(),
        &[],
    )
}

/// `struct virtio_pci_cap` behind its first three bytes.
fn vendor(cfg_type: u8, bar: u8, offset: u32, length: u32, extra: &[u8]) -> Capability {
    let mut body = vec![cfg_type, bar, 0, 0, 0];
    body.extend_from_slice(&offset.to_le_bytes());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(extra);
    Capability::vendor(&body)
}
