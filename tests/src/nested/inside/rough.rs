//! What a driver may do to a device that hardware works itself, and must do no harm with: memory that is taken away
//! under traffic, and addresses that are no memory.

use super::north_south::{Exchange, exchange_while};
use crate::fakevm::hostile::scenario_named;
use crate::fakevm::limits::BURST;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::{Backing, MemoryPlan, RegionPlan};
use crate::fakevm::net::NetRingConfig;
use crate::fakevm::{FakeVm, FakeVmConfig};
use crate::nested::account::north;
use crate::nested::limits::STOP;
use crate::ui;
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use lab_guest::frame;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;

/// Which region is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Taken {
    /// One that holds nothing: traffic goes on.
    Spare,
    /// The one that all receive buffers lie in, while they are posted.
    Receive,
}

/// Options of `lab inside unmap`.
#[derive(Clone, Debug, Args)]
pub struct UnmapArgs {
    /// The device's vfio-user socket.
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// What is taken away when half of the frames have been answered.
    #[arg(long, value_enum)]
    pub region: Taken,
    /// What is exchanged.
    #[command(flatten)]
    pub exchange: Exchange,
}

/// What `lab inside unmap` prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct UnmapReport {
    /// Nothing was written to the region after the unmap was answered, and where it held nothing, nothing was lost.
    pub ok: bool,
    /// Bytes of the region that are not what they were filled with after the unmap was answered.
    pub changed: u64,
    /// Frames that were answered before and after the unmap.
    pub received: u64,
    /// Frames that were sent after the unmap.
    pub sent_after: u64,
    /// The device had stopped itself in the end.
    pub needs_reset: bool,
    /// It came up again with the region mapped again.
    pub came_back: bool,
}

/// Options of `lab inside stray-descriptor`.
#[derive(Clone, Debug, Args)]
pub struct StrayArgs {
    /// The device's vfio-user socket.
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Which of the fake VM's lies is told.
    #[arg(long, default_value = "buffer unmapped")]
    pub scenario: String,
}

/// What `lab inside stray-descriptor` prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct StrayReport {
    /// The device stopped itself, and came up again.
    pub ok: bool,
    /// It stopped itself.
    pub needs_reset: bool,
    /// It came up again.
    pub came_back: bool,
}

/// What the region is filled with after it was taken away.
const PATTERN: u8 = 0x5a;

/// Where the spare region lies, and its size. Rings and transmit buffers are in one before it.
const SPARE: (u64, u64) = (8 << 30, 2 << 20);

/// Where receive buffers lie, and the size of their region.
pub const RECEIVE: (u64, u64) = (12 << 30, 2 << 20);

/// Which of the plan's regions these are.
const SPARE_INDEX: usize = 2;
const RECEIVE_INDEX: usize = 3;

/// Takes memory away from a running device; what became of it, as an object.
///
/// # Errors
/// If the device cannot be driven, or refuses the unmap.
pub fn unmap(args: &UnmapArgs) -> Result<Value> {
    let rings = NetRingConfig {
        rx_region: Some(RECEIVE_INDEX),
        ..NetRingConfig::default()
    };
    let mut config = FakeVmConfig {
        rings,
        ..FakeVmConfig::default()
    };
    let mut plan = MemoryPlan::split(1 << 20, config.memory_size());
    for (gpa, size) in [SPARE, RECEIVE] {
        plan.regions
            .push(RegionPlan::new(gpa, size, Backing::Memfd));
    }
    config.memory = Some(plan);
    let mut vm = FakeVm::connect(&args.socket, config)
        .with_context(|| format!("attach the fake VM to {}", args.socket.display()))?;
    let report = take_away(&mut vm, args)?;
    ui::say(&format!("{report:?}"));
    Ok(serde_json::to_value(report)?)
}

fn take_away(vm: &mut FakeVm, args: &UnmapArgs) -> Result<UnmapReport> {
    let index = match args.region {
        Taken::Spare => SPARE_INDEX,
        Taken::Receive => RECEIVE_INDEX,
    };
    let region = &vm.memory.regions()[index];
    let (gpa, size, bytes) = (region.gpa, region.size, region.bytes().clone());
    let half = args.exchange.count / 2;
    let mut taken = false;
    let report = exchange_while(vm, &args.exchange, |vm, received| {
        if received >= half && !taken {
            vm.client.dma_unmap(gpa, size).context("unmap")?;
            taken = true;
            // What lands from here on is seen.
            bytes.fill(0, bytes.len(), PATTERN);
        }
        Ok(!taken || args.region == Taken::Spare)
    })?;
    ensure!(taken, "half of the frames were never answered: {report:?}");
    let sent_after = match args.region {
        Taken::Spare => report.account.sent - half,
        Taken::Receive => bombard(vm, &args.exchange, report.account.sent)?,
    };
    let needs_reset = vm.needs_reset()?;
    let changed = changed(&bytes);
    let region = &vm.memory.regions()[index];
    vm.client.dma_map(region).context("map it again")?;
    vm.start().context("start the device again")?;
    let lossless = report.account.is_perfect(args.exchange.count);
    Ok(UnmapReport {
        ok: changed == 0 && (args.region == Taken::Receive || lossless),
        changed,
        received: report.account.received,
        sent_after,
        needs_reset,
        came_back: !vm.needs_reset()?,
    })
}

/// Sends as many frames as are left, whatever becomes of the answers, for as long as the device takes them.
fn bombard(vm: &mut FakeVm, args: &Exchange, from: u64) -> Result<u64> {
    let own = vm.mac()?;
    let mut frames = vec![vec![0; args.size.into()]; BURST];
    let mut sent = from;
    while sent < args.count {
        for (number, out) in (sent..args.count).zip(&mut frames) {
            frame::write(out, args.peer, own, north(args.run), number, false);
        }
        let burst: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let burst = &burst[..burst.len().min((args.count - sent) as usize)];
        match vm.send_burst(burst) {
            Ok(()) => sent += burst.len() as u64,
            // It has stopped, as it may.
            Err(error) if error.is_timeout() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent - from)
}

/// Bytes that are not the pattern.
fn changed(bytes: &Shared) -> u64 {
    let mut copy = vec![0; bytes.len()];
    bytes.read(0, &mut copy);
    copy.iter().filter(|byte| **byte != PATTERN).count() as u64
}

/// Gives a running device a descriptor that leads nowhere; what became of it, as an object.
///
/// # Errors
/// If the device cannot be driven.
pub fn stray_descriptor(args: &StrayArgs) -> Result<Value> {
    let scenario = scenario_named(&args.scenario);
    let scenario = scenario.with_context(|| format!("no lie is called '{}'", args.scenario))?;
    let mut vm = FakeVm::connect(&args.socket, FakeVmConfig::default())
        .with_context(|| format!("attach the fake VM to {}", args.socket.display()))?;
    (scenario.play)(&mut vm)?;
    let deadline = Instant::now() + STOP;
    while !vm.needs_reset()? && Instant::now() < deadline {
        vm.breathe()?;
    }
    let needs_reset = vm.needs_reset()?;
    vm.start().context("start the device again")?;
    let came_back = !vm.needs_reset()?;
    let report = StrayReport {
        ok: needs_reset && came_back,
        needs_reset,
        came_back,
    };
    ui::say(&format!("{report:?}"));
    Ok(serde_json::to_value(report)?)
}
