//! Registers of the 82576, with the names of its datasheet (chapter 8).

/// Device control.
pub(super) const CTRL: u32 = 0x0000;
/// Requests that wait for memory end, and no new ones begin.
pub(super) const CTRL_GIO_MASTER_DISABLE: u32 = 1 << 2;
/// Set link up.
pub(super) const CTRL_SLU: u32 = 1 << 6;
/// Reset of the function.
pub(super) const CTRL_RST: u32 = 1 << 26;
/// Device status.
pub(super) const STATUS: u32 = 0x0008;
/// Link up.
pub(super) const STATUS_LU: u32 = 1 << 1;
/// Requests to memory may be made.
pub(super) const STATUS_GIO_MASTER_ENABLE: u32 = 1 << 19;
/// Extended device control.
pub(super) const CTRL_EXT: u32 = 0x0018;
/// A driver is there.
pub(super) const CTRL_EXT_DRV_LOAD: u32 = 1 << 28;

/// Access to the transceiver's registers: data, register, transceiver, what is done, ready, failed.
pub(super) const MDIC: u32 = 0x0020;
pub(super) const MDIC_REGISTER: u32 = 16;
/// The transceiver of this function.
pub(super) const MDIC_PHY: u32 = 1 << 21;
pub(super) const MDIC_WRITE: u32 = 1 << 26;
pub(super) const MDIC_READY: u32 = 1 << 28;
/// Control register of a transceiver (IEEE 802.3 22.2.4.1).
pub(super) const PHY_CONTROL: u32 = 0;
/// It negotiates, and begins to now.
pub(super) const PHY_NEGOTIATE: u32 = 1 << 12 | 1 << 9;

/// Interrupt causes: read clears. This and the two below have two places (8.1.3); QEMU's model knows this one only.
pub(super) const ICR: u32 = 0x00c0;
/// Interrupt mask set.
pub(super) const IMS: u32 = 0x00d0;
/// Interrupt mask clear.
pub(super) const IMC: u32 = 0x00d8;
/// Cause: link status change.
pub(super) const ICR_LSC: u32 = 1 << 2;
/// General purpose interrupt enable.
pub(super) const GPIE: u32 = 0x1514;
/// Reads of `ICR` clear it also where nothing is masked.
pub(super) const GPIE_NSICR: u32 = 1;
/// MSI-X with a vector for each queue.
pub(super) const GPIE_MULTIPLE_MSIX: u32 = 1 << 4;
/// Pending bits are those of MSI-X.
pub(super) const GPIE_PBA_SUPPORT: u32 = 1 << 31;
/// Extended interrupt mask set.
pub(super) const EIMS: u32 = 0x1524;
/// Extended interrupt mask clear.
pub(super) const EIMC: u32 = 0x1528;
/// Extended interrupt auto clear.
pub(super) const EIAC: u32 = 0x152c;
/// Interrupt vector allocation, of queues `n` and `n + 8`.
pub(super) const fn ivar(n: u32) -> u32 {
    0x1700 + 4 * n
}
/// The same, of other causes.
pub(super) const IVAR_MISC: u32 = 0x1740;
/// An entry of these is in use.
pub(super) const IVAR_VALID: u32 = 0x80;
/// Interrupt throttle of a vector.
pub(super) const fn eitr(vector: u32) -> u32 {
    0x1680 + 4 * vector
}

/// Receive control.
pub(super) const RCTL: u32 = 0x0100;
pub(super) const RCTL_EN: u32 = 1 << 1;
/// Long packets.
pub(super) const RCTL_LPE: u32 = 1 << 5;
/// Broadcast accept.
pub(super) const RCTL_BAM: u32 = 1 << 15;
/// VLAN filter.
pub(super) const RCTL_VFE: u32 = 1 << 18;
/// The check sequence does not reach memory.
pub(super) const RCTL_SECRC: u32 = 1 << 26;
/// Transmit control.
pub(super) const TCTL: u32 = 0x0400;
pub(super) const TCTL_EN: u32 = 1 << 1;
/// Short packets are padded.
pub(super) const TCTL_PSP: u32 = 1 << 3;
/// Collision threshold as the datasheet asks for.
pub(super) const TCTL_CT: u32 = 0xf << 4;
/// Receive checksum control.
pub(super) const RXCSUM: u32 = 0x5000;
/// IPv4 and TCP or UDP.
pub(super) const RXCSUM_OFFLOAD: u32 = 3 << 8;
/// Longest packet.
pub(super) const RLPML: u32 = 0x5004;
/// Multiple receive queues.
pub(super) const MRQC: u32 = 0x5818;
/// By pool (VMDq), without RSS.
pub(super) const MRQC_VMDQ: u32 = 3;
/// Next generation VMDq control.
pub(super) const VT_CTL: u32 = 0x581c;
/// What no pool takes is dropped.
pub(super) const VT_CTL_DIS_DEF_POOL: u32 = 1 << 29;
/// Multicast and broadcast go to every pool that takes them.
pub(super) const VT_CTL_REPL_EN: u32 = 1 << 30;
/// Pools that receive.
pub(super) const VFRE: u32 = 0x0c8c;
/// Pools that transmit.
pub(super) const VFTE: u32 = 0x0c90;
/// Transmit switch control: 0: what pools send to each other goes out.
pub(super) const DTXSWC: u32 = 0x3500;
/// VLAN that a pool's frames get.
pub(super) const fn vmvir(pool: u32) -> u32 {
    0x3700 + 4 * pool
}
/// VM offload: what a pool takes.
pub(super) const fn vmolr(pool: u32) -> u32 {
    0x5ad0 + 4 * pool
}
/// Longest packet of a pool counts.
pub(super) const VMOLR_LPE: u32 = 1 << 16;
/// Untagged packets.
pub(super) const VMOLR_AUPE: u32 = 1 << 24;
/// Multicast that the table lets pass.
pub(super) const VMOLR_ROMPE: u32 = 1 << 25;
/// Broadcast.
pub(super) const VMOLR_BAM: u32 = 1 << 27;
/// Of its longest packet.
pub(super) const VMOLR_RLPML: u32 = 0x3fff;
/// Multicast table: 128 words.
pub(super) const fn mta(word: u32) -> u32 {
    0x5200 + 4 * word
}
/// Words of it.
pub(super) const MTA_WORDS: u32 = 128;
/// VLAN table: a bit for each VLAN.
pub(super) const fn vfta(word: u32) -> u32 {
    0x5600 + 4 * word
}
/// Words of it.
pub(super) const VFTA_WORDS: u32 = 128;
/// VLAN and the pools that are in it.
pub(super) const fn vlvf(entry: u32) -> u32 {
    0x5d00 + 4 * entry
}
/// Entries of these.
pub(super) const VLVF_ENTRIES: usize = 32;
pub(super) const VLVF_POOLS: u32 = 12;
pub(super) const VLVF_ENABLE: u32 = 1 << 31;
/// Low half of a receive address.
pub(super) const fn ral(entry: u32) -> u32 {
    if entry < 16 {
        0x5400 + 8 * entry
    } else {
        0x54e0 + 8 * (entry - 16)
    }
}
/// High half of it.
pub(super) const fn rah(entry: u32) -> u32 {
    ral(entry) + 4
}
/// Entries of these.
pub(super) const RAR_ENTRIES: usize = 24;
pub(super) const RAH_POOLS: u32 = 18;
pub(super) const RAH_VALID: u32 = 1 << 31;

/// Bytes of a descriptor.
pub(super) const DESCRIPTOR: usize = 16;

/// Registers of a receive queue, from its first.
pub(super) const fn receive(queue: u32) -> u32 {
    0xc000 + 0x40 * queue
}
pub(super) const RDBAL: u32 = 0x00;
pub(super) const RDBAH: u32 = 0x04;
pub(super) const RDLEN: u32 = 0x08;
pub(super) const SRRCTL: u32 = 0x0c;
pub(super) const RDH: u32 = 0x10;
pub(super) const RDT: u32 = 0x18;
pub(super) const RXDCTL: u32 = 0x28;
/// One buffer for each descriptor.
pub(super) const SRRCTL_ADVANCED_ONE: u32 = 1 << 25;
/// What finds no buffer is dropped, and holds up no other queue.
pub(super) const SRRCTL_DROP: u32 = 1 << 31;

/// Registers of a transmit queue, from its first.
pub(super) const fn transmit(queue: u32) -> u32 {
    0xe000 + 0x40 * queue
}
pub(super) const TDBAL: u32 = 0x00;
pub(super) const TDBAH: u32 = 0x04;
pub(super) const TDLEN: u32 = 0x08;
pub(super) const TDH: u32 = 0x10;
pub(super) const TDT: u32 = 0x18;
pub(super) const TXDCTL: u32 = 0x28;

/// The queue is in use, of `RXDCTL` and `TXDCTL`.
pub(super) const DCTL_ENABLE: u32 = 1 << 25;

/// Pools.
pub(super) const POOLS: u16 = 8;
/// MSI-X vectors of the function: one for each pool, one for all else.
pub(super) const VECTORS: u16 = 9;
