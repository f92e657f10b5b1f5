//! Where the device's structures are (virtio 1.3 4.1.4).

use super::regs;

/// Bytes of configuration space that the list can be in.
pub(super) const CONFIG_SPACE: usize = 256;

/// `PCI_STATUS` and its bit that says that there is a list; where the list begins (PCIe 7.5.1).
const STATUS: usize = 6;
const STATUS_CAPABILITIES: u8 = 1 << 4;
const POINTER: usize = 0x34;
/// The list's entries lie behind the header.
const FIRST: usize = 0x40;
const VENDOR_SPECIFIC: u8 = 9;
/// `struct virtio_pci_cap`, and with `notify_off_multiplier`.
const CAP_LEN: u8 = 16;
const NOTIFY_CAP_LEN: u8 = 20;
/// An entry takes four bytes at least, so there cannot be more.
const MOST: usize = (CONFIG_SPACE - FIRST) / 4;
/// BARs are 0 to 5; further ones are reserved.
const BARS: u8 = 6;

/// A part of a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Structure {
    pub bar: u8,
    pub offset: u32,
    pub length: u32,
}

/// All structures that a driver of the function needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub common: Structure,
    pub notify: Structure,
    /// `notify_off_multiplier` (4.1.4.4).
    pub multiplier: u32,
    pub isr: Structure,
    pub device: Structure,
}

/// Why structures cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There is no list.
    #[error("its configuration space has no capabilities")]
    NoList,
    /// An entry is not inside of configuration space.
    #[error("its list of capabilities leads outside, to {0:#x}")]
    Outside(u8),
    /// It does not end.
    #[error("its list of capabilities is a ring")]
    Endless,
    /// None that can be used.
    #[error("it has no usable {0} structure: is it a legacy device?")]
    Missing(&'static str),
}

fn word(config: &[u8; CONFIG_SPACE], at: usize) -> u32 {
    let bytes = config.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

impl Layout {
    /// Walks the list. Of each kind the first that can be used counts; reserved kinds and BARs are passed over
    /// (4.1.4.1).
    pub(super) fn find(config: &[u8; CONFIG_SPACE]) -> Result<Self, LayoutError> {
        if config[STATUS] & STATUS_CAPABILITIES == 0 {
            return Err(LayoutError::NoList);
        }
        let (mut common, mut notify, mut isr, mut device) = (None, None, None, None);
        let mut next = config[POINTER] & !3;
        for _ in 0..=MOST {
            if next == 0 {
                let missing = LayoutError::Missing;
                let (notify, multiplier) = notify.ok_or(missing("notification"))?;
                return Ok(Self {
                    common: common.ok_or(missing("common configuration"))?,
                    notify,
                    multiplier,
                    isr: isr.ok_or(missing("ISR status"))?,
                    device: device.ok_or(missing("device configuration"))?,
                });
            }
            let at = usize::from(next);
            if at < FIRST {
                return Err(LayoutError::Outside(next));
            }
            // A multiple of four: the entry's first four bytes are inside.
            let [id, following, len, kind] = word(config, at).to_le_bytes();
            if id == VENDOR_SPECIFIC {
                if at + usize::from(len) > CONFIG_SPACE {
                    return Err(LayoutError::Outside(next));
                }
                if len >= CAP_LEN {
                    let found = Structure {
                        bar: config[at + 4],
                        offset: word(config, at + 8),
                        length: word(config, at + 12),
                    };
                    let usable = |least| found.usable(least).then_some(found);
                    match kind {
                        regs::PCI_CAP_COMMON_CFG => common = common.or(usable(regs::COMMON_LEN)),
                        regs::PCI_CAP_ISR_CFG => isr = isr.or(usable(1)),
                        regs::PCI_CAP_DEVICE_CFG => device = device.or(usable(regs::NET_LEN)),
                        regs::PCI_CAP_NOTIFY_CFG if len >= NOTIFY_CAP_LEN => {
                            let multiplier = word(config, at + 16);
                            notify = notify.or(usable(2).map(|notify| (notify, multiplier)));
                        }
                        _ => {}
                    }
                }
            }
            next = following & !3;
        }
        Err(LayoutError::Endless)
    }
}

impl Structure {
    /// In a BAR that can be, aligned, and not beyond what an offset can say.
    fn usable(&self, least: u32) -> bool {
        self.bar < BARS
            && self.length >= least
            && self.offset.is_multiple_of(4)
            && self.offset.checked_add(self.length).is_some()
    }
}

#[cfg(test)]
pub(super) mod tests;
