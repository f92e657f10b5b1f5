//! Has a NIC read memory that nobody has mapped for it: what the IOMMU is there for.

use super::vfio::{Opened, VfioArgs};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// The address that is read.
pub const ADDRESS: u32 = 0x5757_0000;

/// Registers of the 82576 (datasheet 8.10, 8.12).
const TCTL: u64 = 0x400;
const TCTL_EN: u32 = 1 << 1;
const TDBAL: u64 = 0xe000;
const TDBAH: u64 = 0xe004;
const TDLEN: u64 = 0xe008;
const TDT: u64 = 0xe018;
const TXDCTL: u64 = 0xe028;
const TXDCTL_ENABLE: u32 = 1 << 25;

/// Bytes of the smallest ring: eight descriptors.
const RING: u32 = 128;

/// Gives the function a transmit ring at [`ADDRESS`] with one descriptor in it. The function must be an 82576.
///
/// # Errors
/// If it cannot be opened through VFIO, or does not keep what is written into its registers.
pub fn run(args: &VfioArgs) -> Result<Value> {
    let opened = Opened::open(args)?;
    opened.master()?;
    let registers = opened.registers(TXDCTL)?;
    registers.write(TDBAL, ADDRESS)?;
    registers.write(TDBAH, 0)?;
    registers.write(TDLEN, RING)?;
    registers.write(TXDCTL, TXDCTL_ENABLE)?;
    registers.write(TCTL, TCTL_EN)?;
    let kept = [registers.read(TDBAL)?, registers.read(TDLEN)?];
    ensure!(
        kept == [ADDRESS, RING],
        "{} keeps other values than were written: {kept:x?}",
        args.address
    );
    registers.write(TDT, 1)?;
    Ok(json!({"ok": true, "address": ADDRESS}))
}
