//! Access to the BARs through configuration space (4.1.4.9, `VIRTIO_PCI_CAP_PCI_CFG`).

use super::super::{Host, Personality};
use super::VirtioNet;
use super::layout::{BAR_DOORBELLS, BAR_REGISTERS};

/// Offset of `pci_cfg_data` within the capability.
const DATA: usize = 16;
const DATA_LEN: usize = 4;

/// Where the window points.
struct Target {
    bar: u8,
    offset: u64,
    len: usize,
}

impl VirtioNet {
    pub(super) fn window_touched(&self, offset: u64, len: usize) -> bool {
        let start = (self.window + DATA) as u64;
        len != 0 && offset < start + DATA_LEN as u64 && offset.saturating_add(len as u64) > start
    }

    /// 4.1.4.9.1: length 1, 2 or 4, offset a multiple of it, within a structure of ours. What does
    /// not point there is not executed.
    fn target(&self) -> Option<Target> {
        let mut cap = [0; DATA];
        self.space.read(self.window as u64, &mut cap).ok()?;
        let word = |at: usize| u32::from_le_bytes([cap[at], cap[at + 1], cap[at + 2], cap[at + 3]]);
        let (bar, offset, len) = (cap[4], word(8), word(12));
        let valid = matches!(bar, BAR_REGISTERS | BAR_DOORBELLS)
            && matches!(len, 1 | 2 | 4)
            && offset.is_multiple_of(len);
        valid.then_some(Target {
            bar,
            offset: offset.into(),
            len: len as usize,
        })
    }

    pub(super) fn window_read(&mut self, host: &mut dyn Host) {
        let mut data = [0; DATA_LEN];
        if let Some(Target { bar, offset, len }) = self.target() {
            // Past the BAR's end: reads as zero.
            let _ = self.read(host, bar, offset, &mut data[..len]);
        }
        self.space.poke(self.window + DATA, &data);
    }

    pub(super) fn window_write(&mut self, host: &mut dyn Host) {
        let mut data = [0; DATA_LEN];
        let at = (self.window + DATA) as u64;
        let Some(Target { bar, offset, len }) = self.target() else {
            return;
        };
        if self.space.read(at, &mut data).is_ok() {
            // Past the BAR's end: goes nowhere.
            let _ = self.write(host, bar, offset, &data[..len]);
        }
    }
}
