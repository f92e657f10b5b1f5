//! Unpacks package files into a tree, without root and without running their scripts.

use crate::process::{self, Surroundings};
use crate::ui::Counter;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Directories of the merged `/usr`, which packages may still name by their old places.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Unpacks `packages` into `root`.
pub fn all(packages: &[PathBuf], root: &Path) -> Result<()> {
    for dir in MERGED {
        fs::create_dir_all(root.join("usr").join(dir))?;
        symlink(Path::new("usr").join(dir), root.join(dir))?;
    }
    let mut counter = Counter::new("unpacked", packages.len());
    for (index, package) in packages.iter().enumerate() {
        one(package, root).with_context(|| format!("unpack {}", package.display()))?;
        counter.at(index + 1);
    }
    Ok(())
}

fn one(package: &Path, root: &Path) -> Result<()> {
    let mut source = Command::new("dpkg-deb");
    source
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    let mut source = process::spawn(source, Surroundings::default()).context("start dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--keep-directory-symlink", "--no-same-owner", "-C"])
        .arg(root);
    tar.args([
        "--exclude=./usr/share/doc",
        "--exclude=./usr/share/man",
        "--exclude=./dev",
    ]);
    if let Some(pipe) = source.stdout.take() {
        tar.stdin(pipe);
    }
    let unpacked = process::spawn(tar, Surroundings::default())
        .context("start tar")?
        .wait()?;
    let read = source.wait()?;
    if !read.success() || !unpacked.success() {
        bail!("dpkg-deb: {read}, tar: {unpacked}");
    }
    Ok(())
}
