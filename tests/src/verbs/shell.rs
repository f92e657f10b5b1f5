//! `cargo lab shell`: a guest to play with.

use super::ShellArgs;
use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::vm::{Vm, VmConfig};
use crate::{artifacts, ui};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// Boots a guest with its console on this terminal; returns when QEMU ends.
pub fn run(args: &ShellArgs) -> Result<Value> {
    let lab = Lab::prepare()?;
    let programs = artifacts::programs()?;
    let pairs = args.cpus.to_string();
    let pf = format!("soft:shell,queue-pairs={}", 64 + args.devices * args.cpus);
    // Declared before the machine, so that it outlives it.
    let daemon = Daemon::start(&programs, lab.dir(), &[&pf], None)?;
    let mut config = VmConfig::new("shell").cpus(args.cpus).hotplug_ports(2);
    config.interactive = true;
    for number in 1..=args.devices {
        let device = daemon.create(&format!("shell{number}"), &["--queue-pairs", &pairs])?;
        ui::say(&format!("    device {}, MAC {}", device.name, device.mac));
        config = config.device(device.qemu);
    }
    ui::say(&format!(
        "    meanwhile, elsewhere: cvfctl --address {} list",
        daemon.address()
    ));
    ui::say("    leave with `poweroff -f`");
    let vm = Vm::start(&lab, config)?;
    vm.process().wait(Duration::from_secs(7 * 24 * 3600))?;
    Ok(json!({"ok": true}))
}
