//! `cargo lab inside`: parts of the lab that it starts of itself elsewhere.

use crate::bench;
use crate::nested::inside::{
    self, DomainsArgs, NorthSouthArgs, PlainArgs, PlainIgbArgs, StrayArgs, UnmapArgs, VfioArgs,
};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

/// Without a verb of its own: the engine alone, in this process, between two rings: what `bench callgrind` counts.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct InsideVerb {
    #[command(subcommand)]
    verb: Option<Inside>,
    #[command(flatten)]
    engine: bench::InsideArgs,
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// A fake VM at a device's socket exchanges numbered frames with the outside of a machine.
    NorthSouth(NorthSouthArgs),
    /// The fake VM drives a virtio-net function itself, by the kernel's VFIO, and exchanges such frames.
    PlainVfio(PlainArgs),
    /// Drives a pool of an 82576 alone, and exchanges such frames.
    PlainIgb(PlainIgbArgs),
    /// The fake VM takes memory away from a running device.
    Unmap(UnmapArgs),
    /// The fake VM gives a running device a descriptor that leads nowhere.
    StrayDescriptor(StrayArgs),
    /// Opens a function that is bound to vfio-pci.
    VfioReady(VfioArgs),
    /// Has an 82576 that is bound to vfio-pci read memory that is not mapped for it.
    StrayDma(VfioArgs),
    /// Tries whose memory two pools of an 82576 reach whose virtual functions are on, all of them bound to vfio-pci.
    PoolDomains(DomainsArgs),
}

/// Runs it.
pub fn run(args: &InsideVerb) -> Result<Value> {
    match &args.verb {
        None => bench::inside(&args.engine),
        Some(Inside::NorthSouth(args)) => inside::north_south(args),
        Some(Inside::PlainVfio(args)) => inside::plain_vfio(args),
        Some(Inside::PlainIgb(args)) => inside::plain_igb(args),
        Some(Inside::Unmap(args)) => inside::unmap(args),
        Some(Inside::StrayDescriptor(args)) => inside::stray_descriptor(args),
        Some(Inside::VfioReady(args)) => inside::vfio_ready(args),
        Some(Inside::StrayDma(args)) => inside::stray::run(args),
        Some(Inside::PoolDomains(args)) => inside::domains::run(args),
    }
}
