//! The machine the lab runs on: what it is, what it has, what can be installed.

use crate::process::{self, Surroundings};
use crate::ui;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// True if this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Finds a program in `PATH` or where administrators' programs live.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
}

/// A field of `/etc/os-release`.
#[must_use]
pub fn os_release(key: &str) -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim_matches('"').to_owned())
}

/// Makes sure that Debian packages are there: installs what is missing when it may, and otherwise
/// fails with the line that would install it.
///
/// # Errors
/// If something is missing and cannot be installed from here.
pub fn ensure_packages(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|p| !is_installed(p))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    );
    if find_program("apt-get").is_none() {
        bail!(
            "missing: {}; this is no Debian-like system, install them by hand",
            missing.join(" ")
        );
    }
    if !is_root() {
        bail!("missing packages; install them with:\n  sudo {line}");
    }
    ui::say(&format!("    installing {}", missing.join(" ")));
    let limit = std::time::Duration::from_secs(600);
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        // Somebody else may be installing something.
        apt.args(["-o", "DPkg::Lock::Timeout=300"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive");
        process::output(apt, Surroundings::default(), limit)
    };
    let install: Vec<&str> = line.split(' ').skip(1).collect();
    if apt(&install)?.status.success() {
        return Ok(());
    }
    // Package lists may be absent or old: fetch them once and try again.
    apt(&["update"])?;
    let second = apt(&install)?;
    if !second.status.success() {
        bail!("`{line}` failed: {}", second.stderr.trim());
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    process::check(query, Surroundings::default()).is_ok_and(|status| status == "installed")
}

/// The directory for downloads that are kept between runs.
///
/// # Errors
/// If neither `MDEVD_LAB_CACHE`, `XDG_CACHE_HOME` nor `HOME` says where.
pub fn cache_dir() -> Result<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let dir = var("MDEVD_LAB_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join("mdevd-lab")))
        .or_else(|| var("HOME").map(|d| d.join(".cache/mdevd-lab")))
        .context("set MDEVD_LAB_CACHE to a directory for QEMU and guest kernel")?;
    std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

/// The root of the source tree this lab was built from.
#[must_use]
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// True where a test that cannot run must count as failed.
#[must_use]
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true")
}
