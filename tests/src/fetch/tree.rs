//! An unpacked tree of Debian packages, and how its programs are run from where they lie.

use super::Kernel;
use crate::process::{self, Surroundings};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";

/// Where QEMU finds firmware and option ROMs, in the order of looking.
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// A complete tree; its programs run through its own loader and libraries.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    kernel: Kernel,
}

impl Tree {
    /// Opens the tree below `home`.
    ///
    /// # Errors
    /// If it holds no kernel.
    pub fn open(home: &Path) -> Result<Self> {
        let root = home.join(super::TREE);
        let kernel = Kernel::in_tree(&root)?;
        Ok(Tree { root, kernel })
    }

    /// A path inside the tree.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// The guests' kernel.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// A command that runs a dynamically linked program of the tree.
    #[must_use]
    pub fn program(&self, inside: &str) -> Command {
        let mut command = Command::new(self.path(LOADER));
        command.arg("--library-path").arg(self.path(LIBRARIES));
        command.arg(self.path(inside));
        command
    }

    /// A command that runs one of busybox's programs; busybox is linked statically.
    #[must_use]
    pub fn busybox(&self, applet: &str) -> Command {
        let mut command = Command::new(self.path("usr/bin/busybox"));
        command.arg(applet);
        command
    }

    /// The system emulator with its data directories.
    #[must_use]
    pub fn qemu(&self) -> Command {
        let mut command = self.program("usr/bin/qemu-system-x86_64");
        for dir in FIRMWARE {
            command.arg("-L").arg(self.path(dir));
        }
        command
    }

    /// Files a program needs at run time: itself, its loader and its libraries, as paths inside.
    pub fn needed_by(&self, inside: &str) -> Result<Vec<String>> {
        let mut list = Command::new(self.path(LOADER));
        list.arg("--library-path")
            .arg(self.path(LIBRARIES))
            .arg("--list")
            .arg(self.path(inside));
        let text = process::check(list, Surroundings::default())?;
        let mut files = vec![inside.to_owned(), LOADER.to_owned()];
        for line in text.lines() {
            let Some((_, found)) = line.split_once("=> ") else {
                continue;
            };
            let found = found.split(" (").next().unwrap_or_default();
            if let Ok(inside) = Path::new(found).strip_prefix(self.path("")) {
                files.push(inside.to_string_lossy().into_owned());
            }
        }
        Ok(files)
    }

    /// Runs the fetched QEMU once and looks for the device the lab is about.
    ///
    /// # Errors
    /// If it does not start, or has no `vfio-user-pci`.
    pub fn probe(&self) -> Result<()> {
        check_qemu(self.qemu())
    }
}

/// Fails unless this QEMU runs and has `vfio-user-pci`.
///
/// # Errors
/// As said.
pub fn check_qemu(mut qemu: Command) -> Result<()> {
    // Of this device alone: for a list of all it would load modules, also those of another QEMU that is installed.
    qemu.args(["-device", "vfio-user-pci,help"]);
    let options = process::check(qemu, Surroundings::default())
        .context("this QEMU has no vfio-user-pci; it takes 10.1 or newer")?;
    if !options.contains("socket") {
        bail!("this QEMU's vfio-user-pci has no socket; it takes 10.1 or newer");
    }
    Ok(())
}
