//! The engine inside this process, between two rings of the lab's driver, one burst after the other in
//! one thread: nobody waits for anybody, so that what a burst takes is the same every time.
//!
//! Both guests are at one switch; or each at one of its own with hardware below its port, from where frames go by DMA
//! that nobody counts.

mod hardware;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use libcvf::control::{HashSettings, RssSettings};
use libcvf::dataplane::{Endpoint, Fabric, NeighbourCheck, Neighbours, Port, PortRates, Scratch};
use libcvf::mem::{MapRequest, RingPlace};
use libcvf::offload::{HashTypes, PackedMac};
use libcvf::ring::{BurstBuffers, RingFeatures, RingFormat, receive_ring, transmit_ring};
use libcvf::switch::{PortConfig, PortRules, SourceMac, Vid};
use serde_json::{Value, json};

use self::hardware::{Hardware, Outside};
use super::direction::Direction;
use super::load::Load;
use crate::bench::limits::RING_SIZE;
use crate::fakevm;
use crate::fakevm::memory::{Backing, GuestMemory, MemoryPlan};
use crate::fakevm::net::{NetGuest, NetPair, NetRingConfig, Rx, Tx, feature};
use crate::fakevm::ring::QueueLayout;
use crate::ui;

/// Bytes of each guest's memory.
const RAM: u64 = 16 << 20;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// What is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
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
    /// UDP in IPv6, of 78 bytes or more.
    #[arg(long)]
    pub v6: bool,
    /// The sender is held to its address and to some VLANs.
    #[arg(long)]
    pub held: bool,
    /// Both have rates that are never reached.
    #[arg(long)]
    pub rates: bool,
    /// What the sender says about neighbours is checked.
    #[arg(long)]
    pub neighbours: bool,
    /// The receiver has its queue chosen by a hash of addresses and ports.
    #[arg(long)]
    pub steered: bool,
    /// Frames go out by hardware below the sender's port, and come in by that below the receiver's, without a copy.
    #[arg(long, conflicts_with_all = ["packed", "rates"])]
    pub translated: bool,
}

/// A guest's rings, and the port that works them.
struct Guest {
    pair: NetPair,
    port: Arc<Port>,
    /// Of the port, where it has some.
    hardware: Option<Hardware>,
    /// Keeps the maps alive.
    memory: GuestMemory,
}

impl NetGuest for Guest {
    fn tx(&mut self, _pair: u16) -> Tx<'_> {
        Tx::Virtio(&mut self.pair.tx)
    }

    fn rx(&mut self, _pair: u16) -> Rx<'_> {
        Rx::Virtio(&mut self.pair.rx)
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

fn guest(fabric: &Fabric, mac: [u8; 6], args: &InsideArgs) -> Result<Guest> {
    let mut memory = GuestMemory::new(&MemoryPlan::single(RAM, Backing::Memfd))?;
    let config = NetRingConfig {
        ring_size: RING_SIZE,
        ..NetRingConfig::default()
    };
    let (format, features) = if args.packed {
        (RingFormat::Packed, feature::PLAIN | feature::RING_PACKED)
    } else {
        (RingFormat::Split, feature::PLAIN)
    };
    let mut pair = NetPair::new(&mut memory, &config, features)?;
    pair.rx.publish();
    let mut port = Port::new(1, 0, false);
    let hardware = args.translated.then(|| equip(fabric, &mut port));
    let hardware = hardware.transpose()?;
    let port = Arc::new(port);
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
    let mut config = PortConfig {
        reserved: Some(PackedMac::new(mac)),
        ..PortConfig::cvf(PackedMac::new(mac))
    };
    if args.held {
        config.rules = PortRules {
            source: SourceMac::Assigned,
            vlans: Some(Arc::new([Vid(1)].into_iter().collect())),
        };
    }
    police(&port, args);
    if args.steered {
        port.set_rss(scaling());
    }
    fabric.attach(endpoint, config)?;
    if hardware.is_some() {
        port.take_lanes(args.size.into());
    }
    Ok(Guest {
        pair,
        port,
        hardware,
        memory,
    })
}

/// Puts an outside at the switch, and hardware that leads there below a port.
fn equip(fabric: &Fabric, port: &mut Port) -> Result<Hardware> {
    let outside = Endpoint::Uplink(Arc::new(Outside::default()));
    let outside = fabric.attach(outside, PortConfig::uplink())?;
    let (hardware, parts) = Hardware::new(outside)?;
    port.equip(vec![parts]);
    Ok(hardware)
}

/// Has a frame of the receiver's come in at the sender's side.
fn hello(from: &mut Guest) -> Result<()> {
    let frame = Load::plain(MACS[0], MACS[1], 64).frame;
    let hardware = from.hardware.as_mut().context("hardware")?;
    hardware.fill(&from.memory, &frame)
}

/// Carries what one guest's hardware was shown into buffers that the other's has.
fn cross(from: &mut Guest, to: &mut Guest, frame: &mut Vec<u8>) -> Result<()> {
    let (Some(near), Some(far)) = (&mut from.hardware, &mut to.hardware) else {
        return Ok(());
    };
    while near.send(&from.memory, frame)? {
        far.fill(&to.memory, frame)?;
    }
    Ok(())
}

/// Gives a port the rates and checks that were asked for.
fn police(port: &Port, args: &InsideArgs) {
    let rate = Some(1_000_000_000_000).filter(|_| args.rates);
    let check = if args.neighbours {
        NeighbourCheck::Mac
    } else {
        NeighbourCheck::Off
    };
    let rates = PortRates {
        transmit_bits: rate,
        receive_bits: rate,
        transmit_frames: rate,
        receive_frames: rate,
        flood_frames: rate,
        burst: Duration::from_secs(1),
    };
    let neighbours = Neighbours {
        arp: check,
        nd: check,
        networks: Vec::new(),
    };
    port.police(&rates, neighbours);
}

/// Receive-side scaling over one queue: what is chosen is the same every time, but it is chosen.
fn scaling() -> RssSettings {
    RssSettings {
        hash: HashSettings {
            types: HashTypes::ALL,
            key: (1..=40).collect(),
        },
        unclassified: 0,
        table: vec![0; 128],
        pairs: 1,
    }
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

/// The same of one that has come in by hardware.
#[inline(never)]
fn lab_counted_lane(
    fabric: &Fabric,
    port: &Arc<Port>,
    buffers: &mut BurstBuffers,
    scratch: &mut Scratch,
) -> bool {
    fabric.serve_lane(port, 0, buffers, scratch)
}

/// What callgrind has to be told of [`lab_counted_lane`].
pub(super) const COUNTED_LANE: &str = "*lab_counted_lane*";

/// Forwards bursts; how many frames came through while they counted.
///
/// # Errors
/// Fails when a frame is lost or comes changed.
pub fn run(args: &InsideArgs) -> Result<Value> {
    let fabric = || Fabric::start("inside", 1).context("start a fabric");
    let near = fabric()?;
    let far = if args.translated {
        fabric()?
    } else {
        Arc::clone(&near)
    };
    let mut from = guest(&near, MACS[0], args)?;
    let mut to = guest(&far, MACS[1], args)?;
    ensure!(!args.v6 || args.size >= 78, "IPv6 takes 78 bytes or more");
    let load = if args.v6 { Load::v6 } else { Load::plain };
    let load = load(MACS[1], MACS[0], args.size.into());
    let mut forth = Direction::new(&mut from, load, 1)?;
    forth.set_window(args.burst.into());
    forth.compared = 1;
    let (mut buffers, mut scratch) = (BurstBuffers::default(), Scratch::default());
    // What a thread keeps of a switch is of one.
    let (mut far_scratch, mut frame) = (Scratch::default(), Vec::new());
    if args.translated {
        // Hardware has no buffers yet.
        near.serve_lane(&from.port, 0, &mut buffers, &mut scratch);
        far.serve_lane(&to.port, 0, &mut buffers, &mut far_scratch);
        // Who is asked for has spoken before.
        hello(&mut from)?;
        near.serve_lane(&from.port, 0, &mut buffers, &mut scratch);
    }
    for _ in 0..args.bursts {
        forth.send(&mut from)?;
        let port = &from.port;
        ensure!(
            lab_counted_burst(&near, port, &mut buffers, &mut scratch),
            "the engine found nothing to do: {:?}",
            port.fault()
        );
        if args.translated {
            cross(&mut from, &mut to, &mut frame)?;
            ensure!(
                lab_counted_lane(&far, &to.port, &mut buffers, &mut far_scratch),
                "the engine found nothing that has come in: {:?}",
                to.port.fault()
            );
        }
        forth.receive(&mut to)?;
    }
    let ([copied, _], [_, copied_in]) = (from.port.copied(), to.port.copied());
    ensure!(
        copied + copied_in == 0,
        "{copied} bytes of payload were copied on their way out, {copied_in} on their way in"
    );
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
                    ..InsideArgs::default()
                };
                let value = run(&args).unwrap();
                assert_eq!(value["frames"], 300 * u64::from(burst), "{args:?}");
            }
        }
        for (size, burst) in [(64, 32), (64, 1), (1518, 32), (700, 7)] {
            let args = InsideArgs {
                size,
                burst,
                bursts: 300,
                translated: true,
                ..InsideArgs::default()
            };
            let value = run(&args).unwrap();
            assert_eq!(value["frames"], 300 * u64::from(burst), "{args:?}");
        }
        for (v6, neighbours, steered) in [
            (false, false, false),
            (true, false, true),
            (true, true, false),
        ] {
            let args = InsideArgs {
                size: 78,
                burst: 32,
                bursts: 300,
                v6,
                neighbours,
                steered,
                held: true,
                rates: true,
                ..InsideArgs::default()
            };
            assert_eq!(run(&args).unwrap()["frames"], 300 * 32, "{args:?}");
        }
    }
}
