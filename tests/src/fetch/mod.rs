//! QEMU, guest kernels and the guest's programs, and what hosts have (libvirt, systemd) for its tests: taken from Debian packages, kept in
//! the cache.
//!
//! Owns the cache's layout: one directory per recipe, put in place whole by a rename, made under a
//! lock. Never touches the host's own package state.

mod apt;
pub mod kernel;
mod mirror;
pub mod tree;
mod unpack;

use crate::{host, ui};
use anyhow::{Context, Result, bail};
pub use kernel::Kernel;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
pub use tree::Tree;

/// The release that everything comes from, and the newer one that is preferred.
const SUITES: [&str; 2] = ["trixie", "trixie-backports"];

/// What is fetched together.
struct Recipe {
    /// Changes whenever what is fetched, or how it is laid out, changes.
    name: &'static str,
    /// For the person who waits.
    what: &'static str,
    /// Releases to take it from; the last is preferred.
    suites: &'static [&'static str],
    /// Packages, which come with all they depend on.
    programs: &'static [&'static str],
    /// With a kernel for guests.
    kernel: bool,
}

const GUESTS: Recipe = Recipe {
    name: "trixie-backports-3",
    what: "QEMU and guest kernel",
    suites: &SUITES,
    programs: &[
        "qemu-system-x86",
        "busybox-static",
        "iperf3",
        "ethtool",
        "iproute2",
    ],
    kernel: true,
};

const HOST: Recipe = Recipe {
    name: "trixie-backports-host-1",
    what: "libvirt and systemd",
    suites: &SUITES,
    programs: &[
        "libvirt-daemon",
        "libvirt-daemon-driver-qemu",
        "libvirt-clients",
        "python3",
        "busybox-static",
        "systemd",
        "dbus",
        "iproute2",
    ],
    kernel: false,
};

/// The kernel of the release itself, whose drivers are those of most machines that run today.
const STABLE: Recipe = Recipe {
    name: "trixie-kernel-1",
    what: "the stable kernel for guests",
    suites: SUITES.split_at(1).0,
    programs: &[],
    kernel: true,
};

/// Written last into a tree; a tree without it is not complete.
const COMPLETE: &str = "complete";

/// Where the packages are unpacked, inside a recipe's directory.
const TREE: &str = "tree";

/// The guests' tree, fetched if the cache lacks it.
///
/// # Errors
/// If the packages cannot be had; the message says which of the steps failed and on what.
pub fn ensure() -> Result<Tree> {
    let home = place(&GUESTS, |made| {
        let tree = Tree::open(made)?;
        tree.probe().context("what was fetched does not run")
    })?;
    Tree::open(&home)
}

/// The stable kernel for guests, fetched if the cache lacks it.
///
/// # Errors
/// As [`ensure`].
pub fn stable_kernel() -> Result<Kernel> {
    let home = place(&STABLE, |made| Kernel::in_tree(&made.join(TREE)).map(drop))?;
    Kernel::in_tree(&home.join(TREE))
}

/// Root of a tree with what hosts have, libvirt, systemd and Python, fetched if the cache lacks it. Its programs
/// expect it to be `/`.
///
/// # Errors
/// As [`ensure`].
pub fn host() -> Result<PathBuf> {
    let home = place(&HOST, |made| {
        for program in ["usr/sbin/libvirtd", "usr/lib/systemd/systemd"] {
            let program = made.join(TREE).join(program);
            if !program.is_file() {
                bail!("no {} in what was fetched", program.display());
            }
        }
        Ok(())
    })?;
    Ok(home.join(TREE))
}

/// The directory of what this recipe makes: from the cache, or fetched and found good by `probe`.
fn place(recipe: &Recipe, probe: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the lab's guests are x86_64 and so must be this machine, which is {}",
            std::env::consts::ARCH
        );
    }
    let cache = host::cache_dir()?;
    let home = cache.join(recipe.name);
    if home.join(COMPLETE).is_file() {
        return Ok(home);
    }
    let _lock = lock(&cache)?;
    if home.join(COMPLETE).is_file() {
        return Ok(home);
    }
    let what = recipe.what;
    let step = ui::Step::begin(format!("fetch {what} (once; kept in the cache)"));
    let work = tempfile::Builder::new()
        .prefix("fetch-")
        .tempdir_in(&cache)?;
    let made = work.path().join("made");
    let root = made.join(TREE);
    fs::create_dir_all(&root)?;
    let packages = apt::download(work.path(), recipe)?;
    unpack::all(&packages, &root)?;
    fs::write(made.join(COMPLETE), apt::describe(&packages))?;
    probe(&made)?;
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
    }
    fs::rename(&made, &home).with_context(|| format!("put {} in place", home.display()))?;
    step.done();
    Ok(home)
}

/// Waits for other runs of the lab that are fetching; unlocks on drop.
fn lock(cache: &Path) -> Result<Flock<File>> {
    let path = cache.join("lock");
    let open = || File::create(&path).with_context(|| format!("create {}", path.display()));
    match Flock::lock(open()?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err(_) => {
            ui::say("    another run is fetching; waiting for it");
            Flock::lock(open()?, FlockArg::LockExclusive)
                .map_err(|(_, errno)| errno)
                .with_context(|| format!("lock {}", path.display()))
        }
    }
}
