//! The kernel modules that guests load, with what they depend on, in loading order.

use crate::fetch::{Kernel, Tree};
use crate::process::{self, Surroundings};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What guests need. A module that the kernel has built in is not in the tree and not needed.
const WANTED: [&str; 8] = [
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "iavf",
    "tun",
    "8021q",
    "sch_fq_codel",
    "vfio_pci",
];

/// What a guest needs whose system is a tree of the host's; nobody else loads them.
const WANTED_BY_SYSTEMS: [&str; 3] = ["9pnet_virtio", "9p", "overlay"];

/// What a guest needs besides, that is a host with physical functions.
const WANTED_BY_NESTED: [&str; 4] = ["vfio_pci", "vfio_iommu_type1", "igb", "bridge"];

/// Modules that must be in the tree: they are what the lab is about.
const REQUIRED: [&str; 2] = ["virtio_net", "iavf"];

/// A module ready to be loaded.
pub struct Module {
    /// Its name.
    pub name: String,
    /// The object file, not compressed.
    pub data: Vec<u8>,
}

/// Modules, each after what it needs.
pub struct Modules {
    /// What every guest loads.
    pub all: Vec<Module>,
    /// What some load behind those.
    pub systems: Vec<Module>,
    /// What machines with physical functions load behind both.
    pub nested: Vec<Module>,
}

/// Reads the wanted modules of a kernel and all they depend on; what unpacks them is the tree's.
pub fn resolve(tree: &Tree, kernel: &Kernel) -> Result<Modules> {
    let mut index = HashMap::new();
    find(&kernel.modules(), &mut index)?;
    for name in REQUIRED {
        if !index.contains_key(name) {
            bail!("kernel {} has no module {name}", kernel.release());
        }
    }
    let mut ready = Vec::new();
    for name in WANTED {
        add(tree, &index, name, &mut ready)?;
    }
    let count = ready.len();
    for name in WANTED_BY_SYSTEMS {
        add(tree, &index, name, &mut ready)?;
    }
    let with_systems = ready.len();
    for name in WANTED_BY_NESTED {
        add(tree, &index, name, &mut ready)?;
    }
    let nested = ready.split_off(with_systems);
    let systems = ready.split_off(count);
    Ok(Modules {
        all: ready,
        systems,
        nested,
    })
}

fn add(
    tree: &Tree,
    index: &HashMap<String, PathBuf>,
    name: &str,
    ready: &mut Vec<Module>,
) -> Result<()> {
    let name = name.replace('-', "_");
    let Some(path) = index.get(&name) else {
        return Ok(());
    };
    if ready.iter().any(|m| m.name == name) {
        return Ok(());
    }
    let data = load(tree, path).with_context(|| format!("read module {}", path.display()))?;
    for needed in depends(&data) {
        add(tree, index, &needed, ready)?;
    }
    ready.push(Module { name, data });
    Ok(())
}

/// Collects every module below `dir` by name.
fn find(dir: &Path, index: &mut HashMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find(&path, index)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            index.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// Reads a module file, unpacking it if its name says it is packed.
fn load(tree: &Tree, path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_none_or(|e| e == "ko") {
        return Ok(fs::read(path)?);
    }
    let mut unpack: Command = tree.busybox("xzcat");
    unpack.arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
    let output = process::spawn(unpack, Surroundings::default())?.wait_with_output()?;
    if !output.status.success() || !output.stdout.starts_with(b"\x7fELF") {
        bail!("cannot be unpacked: {}", output.status);
    }
    Ok(output.stdout)
}

/// What the module's information section says it depends on.
fn depends(data: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = data.windows(KEY.len()).position(|w| w == KEY) else {
        return Vec::new();
    };
    let value = &data[at + KEY.len()..];
    let value = &value[..value.iter().position(|b| *b == 0).unwrap_or(value.len())];
    let text = String::from_utf8_lossy(value);
    text.split(',')
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
