//! Two pools of an 82576 whose virtual functions are on: whose memory their DMA reaches, and who is told.
//!
//! Each of the two virtual functions is in a container of its own that maps one page, and nothing of theirs is used but
//! that and one interrupt. All registers are the physical function's, whose own container maps a page, too, that nobody
//! should reach. Pools send to each other through the function's switch, so that no wire is needed.

use super::vfio::{Opened, Registers, VfioArgs};
use crate::fakevm::mem::Shared;
use crate::fakevm::sys::Mapping;
use crate::nested::limits::SETTLED;
use crate::nested::sys;
use anyhow::{Context, Result, ensure};
use clap::Args;
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

/// Options of `lab inside pool-domains`.
#[derive(Clone, Debug, Args)]
pub struct DomainsArgs {
    /// The physical function.
    #[command(flatten)]
    pub physical: VfioArgs,
    /// What whoever has the physical function shares with whoever has a virtual one: any UUID.
    #[arg(long)]
    pub token: String,
    /// PCI addresses of the first two virtual functions.
    #[arg(long, num_args = 2)]
    pub virtuals: Vec<String>,
    /// Their IOMMU groups.
    #[arg(long, num_args = 2)]
    pub groups: Vec<u32>,
}

/// What one frame from pool to pool came to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Attempt {
    /// The sender's descriptor was written back.
    pub sent: bool,
    /// The receiver's descriptor was written back.
    pub received: bool,
    /// The frame is in the receiver's buffer.
    pub arrived: bool,
    /// The sender's virtual function has interrupted.
    pub sender_told: bool,
    /// The receiver's virtual function has interrupted.
    pub receiver_told: bool,
}

/// What the program prints.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct DomainsReport {
    /// Always true: what could not be tried is an error.
    pub ok: bool,
    /// Rings and buffers in the pools' own pages, both ways.
    pub own: [Attempt; 2],
    /// The sender's buffer is in the other's page.
    pub read_of_other: Attempt,
    /// The sender's buffer is in the physical function's page.
    pub read_of_physical: Attempt,
    /// The receiver's buffer is in the other's page.
    pub write_to_other: Attempt,
    /// The frame is there.
    pub written_to_other: bool,
    /// The sender's ring is in the other's page.
    pub ring_in_other: Attempt,
    /// Rings and buffers in their own pages again, twice: what QEMU's model has kept of a ring that it could not read
    /// spoils the frame that comes next.
    pub afterwards: [Attempt; 2],
    /// Interrupts of the physical function, which nobody has asked for.
    pub physical_told: u64,
}

/// Registers of the 82576 (datasheet chapter 8).
const CTRL: u64 = 0x0;
const CTRL_SLU: u32 = 1 << 6;
const CTRL_RST: u32 = 1 << 26;
const STATUS: u64 = 0x8;
const STATUS_LU: u32 = 1 << 1;
const MDIC: u64 = 0x20;
/// The transceiver's control register: it negotiates, and begins to now.
const MDIC_NEGOTIATE: u32 = 1 << 26 | 1 << 21 | 1 << 12 | 1 << 9;
const IMC: u64 = 0xd8;
const RCTL: u64 = 0x100;
/// On, long packets, broadcast, without check sequence.
const RCTL_ALL: u32 = 1 << 1 | 1 << 5 | 1 << 15 | 1 << 26;
const TCTL: u64 = 0x400;
const TCTL_ALL: u32 = 1 << 1 | 1 << 3 | 0xf << 4;
const VFRE: u64 = 0xc8c;
const VFTE: u64 = 0xc90;
const GPIE: u64 = 0x1514;
/// A vector for each queue.
const GPIE_ALL: u32 = 1 | 1 << 4 | 1 << 31;
const EIMS: u64 = 0x1524;
const EIMC: u64 = 0x1528;
const EIAC: u64 = 0x152c;
const EITR: u64 = 0x1680;
const IVAR: u64 = 0x1700;
const IVAR_VALID: u32 = 0x80;
const DTXSWC: u64 = 0x3500;
/// What pools send to each other stays inside.
const DTXSWC_LOOPBACK: u32 = 1 << 31;
const RLPML: u64 = 0x5004;
const RAL: u64 = 0x5400;
const RAH: u64 = 0x5404;
const RAH_VALID: u32 = 1 << 31;
const RAH_POOLS: usize = 18;
const MRQC: u64 = 0x5818;
const MRQC_VMDQ: u32 = 3;
const VT_CTL: u64 = 0x581c;
/// What no pool takes is dropped; broadcast goes to all that take it.
const VT_CTL_ALL: u32 = 1 << 29 | 1 << 30;
const VMOLR: u64 = 0x5ad0;
/// Untagged, and as long as this.
const VMOLR_ALL: u32 = 1 << 16 | 1 << 24 | 0x3fff;
/// Of a queue: base, length, kind of buffers, head, tail, control.
const RECEIVE: u64 = 0xc000;
const TRANSMIT: u64 = 0xe000;
const DBAL: u64 = 0x0;
const DBAH: u64 = 0x4;
const DLEN: u64 = 0x8;
const SRRCTL: u64 = 0xc;
const SRRCTL_ALL: u32 = 2 | 1 << 25 | 1 << 31;
const DH: u64 = 0x10;
const DT: u64 = 0x18;
const DCTL: u64 = 0x28;
const DCTL_ENABLE: u32 = 1 << 25;

/// `VFIO_PCI_MSIX_IRQ_INDEX`.
const MSIX: u32 = 2;

/// The page of each pool for DMA: none is where another's is.
pub const PAGES: [u64; 2] = [0x1000_0000, 0x2000_0000];
/// That of the physical function.
pub const PHYSICAL_PAGE: u64 = 0x3000_0000;
const PAGE: usize = 8192;
/// In it: both rings of eight descriptors, and a buffer for what goes out.
const SENT: usize = 0;
const FILLED: usize = 0x100;
const OUT: usize = 0x400;
/// One for what comes in.
pub const IN: usize = 0x1000;
const RING: u32 = 128;
/// Bytes of a frame.
const FRAME: usize = 200;

/// The cause of a pool's queue that its virtual function's first vector tells of (7.3.3.1: three vectors for each
/// virtual function, the first of them has the last).
const fn cause(pool: usize) -> u32 {
    22 - 3 * pool as u32
}

const fn mac(pool: usize) -> [u8; 6] {
    [2, 0, 0, 0, 0, pool as u8 + 1]
}

/// A page that a container maps.
fn page(opened: &Opened, iova: u64) -> Result<Shared> {
    let map = Mapping::anonymous(PAGE).context("take a page")?;
    sys::vfio_map(&opened.container, &map, iova)
        .with_context(|| format!("map a page at {iova:#x}"))?;
    Ok(Shared::new(&map))
}

/// The event of a function's first interrupt.
fn event(opened: &Opened) -> Result<EventFd> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    sys::vfio_wire(&opened.device, MSIX, event.as_fd()).context("wire an interrupt")?;
    Ok(event)
}

/// A pool with its virtual function.
struct Pool {
    number: usize,
    page: Shared,
    told: EventFd,
    /// Of both rings: the next descriptor.
    next: [u32; 2],
    _virtual: Opened,
}

impl Pool {
    fn open(args: &DomainsArgs, number: usize) -> Result<Self> {
        let own = VfioArgs {
            group: *args.groups.get(number).context("a group")?,
            address: args.virtuals.get(number).context("an address")?.clone(),
        };
        let opened = Opened::open_with(&own, &args.token)?;
        opened.master()?;
        let page = page(&opened, PAGES[number])?;
        Ok(Pool {
            number,
            page,
            told: event(&opened)?,
            next: [0; 2],
            _virtual: opened,
        })
    }

    fn queue(&self, first: u64) -> u64 {
        first + 0x40 * self.number as u64
    }

    /// Takes both queues into use, with rings in the page at `rings`.
    fn start(&mut self, nic: &Registers<'_>, rings: u64) -> Result<()> {
        for (first, ring) in [(TRANSMIT, SENT), (RECEIVE, FILLED)] {
            let queue = self.queue(first);
            nic.write(queue + DCTL, 0)?;
            nic.write(queue + DH, 0)?;
            nic.write(queue + DT, 0)?;
            nic.write(queue + DBAL, rings as u32 + ring as u32)?;
            nic.write(queue + DBAH, 0)?;
            nic.write(queue + DLEN, RING)?;
            if first == RECEIVE {
                nic.write(queue + SRRCTL, SRRCTL_ALL)?;
            }
            nic.write(queue + DCTL, DCTL_ENABLE)?;
        }
        self.next = [0; 2];
        Ok(())
    }

    /// Shows hardware a descriptor; where it stands.
    fn show(
        &mut self,
        nic: &Registers<'_>,
        (first, ring): (u64, usize),
        (low, high): (u64, u64),
    ) -> Result<usize> {
        let next = &mut self.next[usize::from(first == RECEIVE)];
        let at = ring + 16 * *next as usize;
        *next = (*next + 1) % (RING / 16);
        let tail = *next;
        self.page.store64(at, low);
        self.page.store64(at + 8, high);
        nic.write(self.queue(first) + DT, tail)?;
        Ok(at)
    }

    fn is_told(&self) -> bool {
        self.told.read().is_ok()
    }
}

/// One frame: its sender's buffer is at `from`, its receiver's at `to`.
fn attempt(
    nic: &Registers<'_>,
    (sender, receiver): (&mut Pool, &mut Pool),
    (from, to): (u64, u64),
    payload: u8,
) -> Result<Attempt> {
    let mut frame = [payload; FRAME];
    frame[..6].copy_from_slice(&mac(receiver.number));
    frame[6..12].copy_from_slice(&mac(sender.number));
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    sender.page.write(OUT, &frame);
    receiver.page.write(IN, &[0; FRAME]);
    // What is not this frame's is over.
    let _ = (sender.is_told(), receiver.is_told());
    nic.write(
        EIMS,
        1 << cause(sender.number) | 1 << cause(receiver.number),
    )?;
    let filled = receiver.show(nic, (RECEIVE, FILLED), (to, 0))?;
    // Data, its end, check sequence, status asked for, advanced.
    let word =
        FRAME as u64 | 3 << 20 | 1 << 24 | 1 << 25 | 1 << 27 | 1 << 29 | (FRAME as u64) << 46;
    let sent = sender.show(nic, (TRANSMIT, SENT), (from, word))?;
    let mut came = Attempt::default();
    let until = Instant::now() + SETTLED;
    // What does not come in that time is taken for not coming.
    let all = |came: &Attempt| came.sent && came.received && came.sender_told && came.receiver_told;
    while Instant::now() < until && !all(&came) {
        came.sent = sender.page.load32(sent + 12) & 1 != 0;
        came.received = receiver.page.load32(filled + 8) & 1 != 0;
        came.sender_told |= sender.is_told();
        came.receiver_told |= receiver.is_told();
        thread::sleep(Duration::from_millis(1));
    }
    let mut there = [0; FRAME];
    receiver.page.read(IN, &mut there);
    came.arrived = there == frame;
    Ok(came)
}

/// Sets the function up for both pools.
fn set_up(nic: &Registers<'_>) -> Result<()> {
    nic.write(IMC, u32::MAX)?;
    nic.write(EIMC, u32::MAX)?;
    nic.write(CTRL, nic.read(CTRL)? | CTRL_RST)?;
    nic.write(EIMC, u32::MAX)?;
    nic.write(CTRL, nic.read(CTRL)? | CTRL_SLU)?;
    for (register, value) in [
        (DTXSWC, DTXSWC_LOOPBACK),
        (MRQC, MRQC_VMDQ),
        (VT_CTL, VT_CTL_ALL),
        (RLPML, 0x3fff),
        (GPIE, GPIE_ALL),
        (EIAC, 0x1ff_ffff),
        (TCTL, TCTL_ALL),
        (RCTL, RCTL_ALL),
        (MDIC, MDIC_NEGOTIATE),
    ] {
        nic.write(register, value)?;
    }
    for pool in 0..PAGES.len() {
        let [a, b, c, d, e, f] = mac(pool);
        let high = u32::from_le_bytes([e, f, 0, 0]) | 1 << (RAH_POOLS + pool) | RAH_VALID;
        let at = 8 * pool as u64;
        nic.write(RAL + at, u32::from_le_bytes([a, b, c, d]))?;
        nic.write(RAH + at, high)?;
        nic.write(VMOLR + 4 * pool as u64, VMOLR_ALL)?;
        let vector = cause(pool) | IVAR_VALID;
        nic.write(IVAR + 4 * pool as u64, vector | vector << 8)?;
        nic.write(EITR + 4 * u64::from(cause(pool)), 0)?;
    }
    let until = Instant::now() + SETTLED;
    while nic.read(STATUS)? & STATUS_LU == 0 {
        ensure!(
            Instant::now() < until,
            "the function's link does not come up"
        );
        thread::sleep(Duration::from_millis(1));
    }
    nic.write(VFRE, 3)?;
    nic.write(VFTE, 3)
}

/// Tries it.
///
/// # Errors
/// If it cannot be tried; what came of it is in the report.
pub fn run(args: &DomainsArgs) -> Result<Value> {
    let physical = Opened::open_with(&args.physical, &args.token)?;
    physical.master()?;
    let physical_page = page(&physical, PHYSICAL_PAGE)?;
    let physical_told = event(&physical)?;
    let nic = physical.registers(TRANSMIT + 0x40 * 16)?;
    let (mut a, mut b) = (Pool::open(args, 0)?, Pool::open(args, 1)?);
    set_up(&nic)?;
    a.start(&nic, PAGES[0])?;
    b.start(&nic, PAGES[1])?;
    let [out_a, out_b] = PAGES.map(|page| page + OUT as u64);
    let [in_a, in_b] = PAGES.map(|page| page + IN as u64);
    let there = attempt(&nic, (&mut a, &mut b), (out_a, in_b), 1)?;
    let back = attempt(&nic, (&mut b, &mut a), (out_b, in_a), 2)?;
    // What would arrive is there, so that it is missed only where it cannot be read.
    let mut frame = [0; FRAME];
    a.page.read(OUT, &mut frame);
    b.page.write(OUT, &frame);
    let read_of_other = attempt(&nic, (&mut a, &mut b), (out_b, in_b), 3)?;
    a.page.read(OUT, &mut frame);
    physical_page.write(OUT, &frame);
    let read_of_physical = attempt(
        &nic,
        (&mut a, &mut b),
        (PHYSICAL_PAGE + OUT as u64, in_b),
        3,
    )?;
    let write_to_other = attempt(&nic, (&mut b, &mut a), (out_b, in_b), 4)?;
    b.page.read(OUT, &mut frame);
    let mut there_now = [0; FRAME];
    b.page.read(IN, &mut there_now);
    let written_to_other = there_now == frame;
    b.start(&nic, PAGES[1])?;
    a.start(&nic, PAGES[1])?;
    let ring_in_other = attempt(&nic, (&mut a, &mut b), (out_a, in_b), 5)?;
    let mut afterwards = [Attempt::default(); 2];
    for (came, payload) in afterwards.iter_mut().zip(6..) {
        b.start(&nic, PAGES[1])?;
        a.start(&nic, PAGES[0])?;
        *came = attempt(&nic, (&mut a, &mut b), (out_a, in_b), payload)?;
    }
    let report = DomainsReport {
        ok: true,
        own: [there, back],
        read_of_other,
        read_of_physical,
        write_to_other,
        written_to_other,
        ring_in_other,
        afterwards,
        physical_told: physical_told.read().unwrap_or_default(),
    };
    Ok(serde_json::to_value(report)?)
}
