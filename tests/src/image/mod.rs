//! The guest's initial RAM disk, made from the fetched tree, a kernel's modules and our own agent at every run.
//!
//! Everything the guest ever has is in it; nothing is written back.

mod cpio;
mod modules;

use crate::fetch::{Kernel, Tree};
use crate::process::{self, Surroundings};
use anyhow::{Context, Result};
use cpio::Archive;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Programs of the tree that the guest gets, with their libraries.
const PROGRAMS: [&str; 5] = [
    "usr/bin/iperf3",
    "usr/sbin/ethtool",
    "usr/bin/ip",
    "usr/sbin/bridge",
    "usr/sbin/tc",
];

/// Libraries that programs open by name while they run.
const OPENED: [&str; 1] = ["usr/lib/x86_64-linux-gnu/libgcc_s.so.1"];

/// What the guest runs first.
const INIT: &str = include_str!("init.sh");

/// Writes the image for guests with this kernel to `file`; `agent` is the statically linked guest agent.
///
/// # Errors
/// If tree or kernel lacks a part, or `file` cannot be written.
pub fn build(tree: &Tree, kernel: &Kernel, agent: &Path, file: &Path) -> Result<()> {
    let mut archive = Archive::new();
    for dir in [
        "dev", "proc", "sys", "tmp", "run", "root", "etc", "usr", "usr/bin", "usr/lib",
    ] {
        archive.directory(dir);
    }
    for (link, target) in [
        ("bin", "usr/bin"),
        ("sbin", "usr/bin"),
        ("usr/sbin", "bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
    ] {
        archive.symlink(link, target);
    }
    archive.character_device("dev/console", 5, 1);
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("etc/passwd", 0o644, b"root::0:0:root:/root:/bin/sh\n");
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n::1 localhost\n");
    archive.file("usr/bin/guest-agent", 0o755, &read(agent)?);
    add_busybox(tree, &mut archive)?;
    add_programs(tree, &mut archive)?;

    let modules = modules::resolve(tree, kernel)?;
    let lists = [
        ("etc/modules", &modules.all),
        ("etc/modules.system", &modules.systems),
        ("etc/modules.nested", &modules.nested),
    ];
    for (list, modules) in lists {
        let names: String = modules
            .iter()
            .map(|m| format!("/lib/modules/{}.ko\n", m.name))
            .collect();
        archive.file(list, 0o644, names.as_bytes());
    }
    archive.directory("usr/lib/modules");
    let lists = [&modules.all, &modules.systems, &modules.nested];
    for module in lists.into_iter().flatten() {
        archive.file(
            &format!("usr/lib/modules/{}.ko", module.name),
            0o644,
            &module.data,
        );
    }
    fs::write(file, archive.finish()).with_context(|| format!("write {}", file.display()))
}

fn add_busybox(tree: &Tree, archive: &mut Archive) -> Result<()> {
    archive.file(
        "usr/bin/busybox",
        0o755,
        &read(&tree.path("usr/bin/busybox"))?,
    );
    let applets = process::check(tree.busybox("--list"), Surroundings::default())?;
    let ours = |name: &str| PROGRAMS.iter().any(|p| p.ends_with(&format!("/{name}")));
    for applet in applets
        .lines()
        .filter(|name| *name != "busybox" && !ours(name))
    {
        archive.symlink(&format!("usr/bin/{applet}"), "busybox");
    }
    Ok(())
}

fn add_programs(tree: &Tree, archive: &mut Archive) -> Result<()> {
    let mut files: BTreeSet<String> = OPENED.map(str::to_owned).into();
    for program in PROGRAMS {
        files.extend(tree.needed_by(program)?);
    }
    archive.directory("usr/lib64");
    archive.directory("usr/lib/x86_64-linux-gnu");
    for inside in &files {
        // All programs lie in one directory of the guest.
        let place = inside.replace("usr/sbin/", "usr/bin/");
        archive.file(&place, 0o755, &read(&tree.path(inside))?);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}
