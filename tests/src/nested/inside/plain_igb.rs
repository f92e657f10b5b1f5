//! A pool of an 82576 driven alone, by libcvf's queues without a device, a switch or a guest's ring: what a device on such
//! a pool is compared with.

use super::north_south::{End, Exchange, exchange};
use crate::fakevm::limits::BURST;
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use libcvf::control::MacAddr;
use libcvf::dataplane::{Ask, HardwareFill, HardwareSend, Piece, Slots};
use libcvf::ledger::{Request, Slice};
use libcvf::pf::igb::{IgbPf, IgbPfConfig, PoolQueues};
use libcvf::pf::vfio::{HostTree, PciAddress};
use libcvf::pf::{PhysicalFunction, Station};
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Its address.
const MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];

/// Bytes of the longest frame that it takes.
const LONGEST: u32 = 1518;

/// For frames to be sent, and for the link.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options of `lab inside plain-igb`.
#[derive(Clone, Debug, Args)]
pub struct PlainIgbArgs {
    /// The function's PCI address; it must be bound to vfio-pci.
    pub address: PciAddress,
    /// What is exchanged.
    #[command(flatten)]
    pub exchange: Exchange,
}

/// Drives a pool and exchanges frames with the outside; the report as an object.
///
/// # Errors
/// If the function cannot be driven. Frames that are lost or wrong are in the report.
pub fn run(args: &PlainIgbArgs) -> Result<Value> {
    let address = args.address;
    let mut pool = Pool::open(address).with_context(|| format!("open {address}"))?;
    let report = exchange(&mut pool, &args.exchange).with_context(|| format!("drive {address}"))?;
    report.told()
}

/// A pool in the hands of this program.
struct Pool {
    send: (Box<dyn HardwareSend>, Slots),
    fill: (Box<dyn HardwareFill>, Slots),
    /// The slot of the next frame out, frames that are under way, and the slot of the next frame in.
    next: u32,
    under_way: usize,
    first: u32,
    /// Buffers that are posted: those of the first slots.
    posted: u32,
    /// Of these, those that hardware was not shown yet.
    unseen: usize,
    slice: Slice,
    pf: Arc<IgbPf>,
}

impl Pool {
    fn open(address: PciAddress) -> Result<Self> {
        let config = IgbPfConfig {
            name: "plain".into(),
            address,
            workers: 1,
        };
        let pf = IgbPf::start(config, &HostTree::default())?;
        let request = Request {
            queue_pairs: 1,
            ..Request::default()
        };
        let slice = pf.ledger().cut("plain", &request)?;
        let PoolQueues { mut send, mut fill } = pf.bare(&slice).map_err(|why| anyhow!(why))?;
        let station = Station {
            unicast: vec![MacAddr(MAC)],
            untagged: true,
            longest: LONGEST,
            ..Station::default()
        };
        pf.tune(&slice, &station).map_err(|why| anyhow!(why))?;
        send.0.start();
        fill.0.start();
        let posted = fill.1.count().min(fill.0.room() as u32);
        for slot in 0..posted {
            fill.0.post(fill.1.iova(slot));
        }
        fill.0.kick();
        let deadline = Instant::now() + PATIENCE;
        while !pf.has_carrier() {
            ensure!(Instant::now() < deadline, "its link stays down");
            thread::yield_now();
        }
        Ok(Pool {
            send,
            fill,
            next: 0,
            under_way: 0,
            first: 0,
            posted,
            unseen: 0,
            slice,
            pf,
        })
    }
}

impl End for Pool {
    fn mac(&mut self) -> Result<[u8; 6]> {
        Ok(MAC)
    }

    fn send_burst(&mut self, frames: &[&[u8]]) -> Result<()> {
        let (queue, slots) = &mut self.send;
        for frame in frames {
            let deadline = Instant::now() + PATIENCE;
            self.under_way -= queue.reap();
            while queue.room() < 1 || self.under_way >= slots.count() as usize {
                ensure!(Instant::now() < deadline, "the function sends nothing");
                queue.kick();
                thread::yield_now();
                self.under_way -= queue.reap();
            }
            if slots.write(self.next).write(frame) < frame.len() {
                bail!("a frame of {} bytes in a slot", frame.len());
            }
            let piece = Piece {
                iova: slots.iova(self.next),
                len: frame.len() as u32,
            };
            queue.put(&[piece], &Ask::Nothing);
            self.next = (self.next + 1) % slots.count();
            self.under_way += 1;
        }
        queue.kick();
        Ok(())
    }

    fn poll(&mut self, frame: &mut Vec<u8>) -> Result<bool> {
        let (queue, slots) = &mut self.fill;
        let filled = queue.next();
        if self.unseen >= BURST || (filled.is_none() && self.unseen > 0) {
            queue.kick();
            self.unseen = 0;
        }
        let Some(filled) = filled else {
            return Ok(false);
        };
        ensure!(filled.good, "a frame came in with an error");
        frame.resize(filled.len as usize, 0);
        slots.read(self.first, filled.len).read(frame);
        // It goes to the end of the row.
        queue.post(slots.iova(self.first));
        self.unseen += 1;
        self.first = (self.first + 1) % self.posted;
        Ok(true)
    }

    fn receive(&mut self, timeout: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + timeout;
        let mut frame = Vec::new();
        while !self.poll(&mut frame)? {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::yield_now();
        }
        Ok(Some(frame))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.send.0.stop();
        self.fill.0.stop();
        self.pf.leave(&self.slice);
    }
}
