//! `cargo lab shell`: a guest to play with.

use super::ShellArgs;
use crate::lab::Lab;
use crate::ui;
use crate::vm::{Vm, VmConfig};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// Boots a guest with its console on this terminal; returns when QEMU ends.
pub fn run(args: &ShellArgs) -> Result<Value> {
    let lab = Lab::prepare()?;
    ui::say("    leave with `poweroff -f`");
    let mut config = VmConfig::new("shell").cpus(args.cpus).hotplug_ports(2);
    config.interactive = true;
    let vm = Vm::start(&lab, config)?;
    vm.process().wait(Duration::from_secs(7 * 24 * 3600))?;
    Ok(json!({"ok": true}))
}
