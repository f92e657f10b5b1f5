//! QEMU, guest kernel and the guest's programs: taken from Debian packages, kept in the cache.
//!
//! Owns the cache's layout: one directory per recipe, put in place whole by a rename, made under a
//! lock. Never touches the host's own package state.

mod apt;
mod mirror;
pub mod tree;
mod unpack;

use crate::{host, ui};
use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::Path;
pub use tree::Tree;

/// Changes whenever what is fetched, or how it is laid out, changes.
const RECIPE: &str = "trixie-backports-3";

/// Written last into a tree; a tree without it is not complete.
const COMPLETE: &str = "complete";

/// The tree for this recipe, fetched if the cache lacks it.
///
/// # Errors
/// If the packages cannot be had; the message says which of the steps failed and on what.
pub fn ensure() -> Result<Tree> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the lab's guests are x86_64 and so must be this machine, which is {}",
            std::env::consts::ARCH
        );
    }
    let cache = host::cache_dir()?;
    let home = cache.join(RECIPE);
    if home.join(COMPLETE).is_file() {
        return Tree::open(&home);
    }
    let _lock = lock(&cache)?;
    if home.join(COMPLETE).is_file() {
        return Tree::open(&home);
    }
    let step = ui::Step::begin("fetch QEMU and guest kernel (once; kept in the cache)");
    let work = tempfile::Builder::new()
        .prefix("fetch-")
        .tempdir_in(&cache)?;
    let made = work.path().join("made");
    let root = made.join("tree");
    fs::create_dir_all(&root)?;
    let packages = apt::download(work.path())?;
    unpack::all(&packages, &root)?;
    fs::write(made.join(COMPLETE), apt::describe(&packages))?;
    let tree = Tree::open(&made)?;
    tree.probe().context("what was fetched does not run")?;
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
    }
    fs::rename(&made, &home).with_context(|| format!("put {} in place", home.display()))?;
    step.done();
    Tree::open(&home)
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
