//! The engine inside this process, between two rings of the lab's driver, one burst after the other in
//! one thread: nobody waits for anybody, so that what a burst takes is the same every time.

use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use libcvf::dataplane::{Endpoint, Fabric, Port, Scratch};
use libcvf::mem::{MapRequest, RingPlace};
use libcvf::offload::PackedMac;
use libcvf::ring::{BurstBuffers, RingFeatures, RingFormat, receive_ring, transmit_ring};
use libcvf::switch::PortConfig;
use serde_json::{Value, json};

use super::direction::Direction;
use super::load::Load;
use crate::bench::limits::RING_SIZE;
use crate::fakevm;
use crate::fakevm::memory::{Backing, GuestMemory, MemoryPlan};
use crate::fakevm::net::{NetGuest, NetPair, NetRingConfig, feature};
use crate::fakevm::ring::QueueLayout;
use crate::ui;

/// Bytes of each guest's memory.
const RAM: u64 = 16 << 20;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// What is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct InsideArgs {
    /// Bytes of a frame on the wire.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(64..=1518))]
    pub size: u16,
    /// Frames of a burst.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub burst: u16,
    /// Bursts that are counted.
    #[arg(long, default_value_t = 4096)]
    pub bursts: u32,
    /// Rings in packed format.
    #[arg(long)]
    pub packed: bool,
}

/// A guest's rings, and the port that works them.
struct Guest {
    pair: NetPair,
    port: Arc<Port>,
    /// Keeps the maps alive.
    _memory: GuestMemory,
}

impl NetGuest for Guest {
    fn pair(&mut self, _index: u16) -> &mut NetPair {
        &mut self.pair
    }

    fn kick(&mut self, _queue: u16) -> fakevm::Result<()> {
        Ok(())
    }
}

fn place(layout: &QueueLayout) -> RingPlace {
    RingPlace {
        size: layout.size,
        descriptors: layout.desc,
        available: layout.avail,
        used: layout.used,
    }
}

fn guest(fabric: &Fabric, mac: [u8; 6], packed: bool) -> Result<Guest> {
    let mut memory = GuestMemory::new(&MemoryPlan::single(RAM, Backing::Memfd))?;
    let config = NetRingConfig {
        ring_size: RING_SIZE,
        ..NetRingConfig::default()
    };
    let (format, features) = if packed {
        (RingFormat::Packed, feature::PLAIN | feature::RING_PACKED)
    } else {
        (RingFormat::Split, feature::PLAIN)
    };
    let mut pair = NetPair::new(&mut memory, &config, features)?;
    pair.rx.publish();
    let port = Arc::new(Port::new(1, 0, false));
    for region in memory.regions() {
        let fd = region.file().map(|file| file.as_fd().try_clone_to_owned());
        port.memory.map(MapRequest {
            iova: region.gpa,
            size: region.size,
            fd: fd.transpose().context("duplicate a memory file")?,
            fd_offset: region.file_offset,
            read: true,
            write: true,
        })?;
    }
    let agreed = RingFeatures {
        merge: true,
        ..RingFeatures::default()
    };
    let regions = port.memory.load();
    let (tx, rx) = (
        place(pair.tx.queue().layout()),
        place(pair.rx.queue().layout()),
    );
    port.transmit[0].state.lock().ring = Some(transmit_ring(format, tx, agreed, &regions)?);
    port.receive[0].state.lock().ring = Some(receive_ring(format, rx, agreed, &regions)?);
    drop(regions);
    port.set_running(true);
    let endpoint = Endpoint::Device(Arc::clone(&port));
    fabric.attach(endpoint, PortConfig::cvf(PackedMac::new(mac)))?;
    Ok(Guest {
        pair,
        port,
        _memory: memory,
    })
}

/// One burst. What callgrind counts are the instructions of this, by its name: no closure may be in it, for
/// that would have the name in its own.
#[inline(never)]
fn lab_counted_burst(
    fabric: &Fabric,
    port: &Arc<Port>,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> bool {
    fabric.serve(port, 0, buffers, scratch)
}

/// What callgrind has to be told of [`lab_counted_burst`].
pub(super) const COUNTED: &str = "*lab_counted_burst*";

/// Forwards bursts; how many frames came through while they counted.
///
/// # Errors
/// Fails when a frame is lost or comes changed.
pub fn run(args: &InsideArgs) -> Result<Value> {
    let fabric = Fabric::start("inside", 1).context("start a fabric")?;
    let mut from = guest(&fabric, MACS[0], args.packed)?;
    let mut to = guest(&fabric, MACS[1], args.packed)?;
    let load = Load::plain(MACS[1], MACS[0], args.size.into());
    let mut forth = Direction::new(&mut from, load, 1);
    forth.set_window(args.burst.into());
    forth.compared = 1;
    let (mut buffers, mut scratch) = (BurstBuffers::default(), Scratch::default());
    for _ in 0..args.bursts {
        forth.send(&mut from)?;
        let port = &from.port;
        ensure!(
            lab_counted_burst(&fabric, port, &mut buffers, &mut scratch),
            "the engine found nothing to do: {:?}",
            port.fault()
        );
        forth.receive(&mut to)?;
    }
    ensure!(
        forth.missing() == 0 && forth.damaged == 0 && forth.reordered == 0,
        "of {} frames {} are missing, {} came changed, {} late",
        forth.sent,
        forth.missing(),
        forth.damaged,
        forth.reordered
    );
    let expected = u64::from(args.bursts) * u64::from(args.burst);
    ensure!(
        forth.received == expected,
        "{} frames came instead of {expected}",
        forth.received
    );
    ui::say(&format!("{} frames went through", forth.received));
    Ok(json!({ "ok": true, "frames": forth.received }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_of_every_burst_comes_through() {
        for packed in [false, true] {
            for (size, burst) in [(64, 32), (64, 1), (1518, 7)] {
                let args = InsideArgs {
                    size,
                    burst,
                    bursts: 300,
                    packed,
                };
                let value = run(&args).unwrap();
                assert_eq!(value["frames"], 300 * u64::from(burst), "{args:?}");
            }
        }
    }
}
