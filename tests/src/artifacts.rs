//! What the lab builds from this repository: the daemon with its tool, and the guest agent.

use crate::{host, process, ui};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The target that the guest agent is built for; naming it keeps its flags off everything else.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The cargo that runs this lab.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(host::repository());
    for (name, _) in std::env::vars_os() {
        // What `cargo run` tells this program must not reach the builds it starts.
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || name == "CARGO_BIN_NAME"
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// Where cargo puts what it builds.
fn target_dir() -> Result<PathBuf> {
    let mut command = cargo();
    command.args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    let text = process::check(command, process::Surroundings::default())?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata")?;
    let dir = metadata["target_directory"]
        .as_str()
        .context("cargo names no target directory")?;
    Ok(PathBuf::from(dir))
}

/// Runs a build whose progress the person sees.
fn build(what: &str, args: &[&str]) -> Result<()> {
    let step = ui::Step::begin(format!("build {what}"));
    let mut command = cargo();
    command.args(args).stdin(Stdio::null());
    // Standard output belongs to results.
    command.stdout(std::io::stderr());
    let status = process::run_visible(what, command)?;
    if !status.success() {
        bail!("building {what} failed: cargo {}", args.join(" "));
    }
    step.done();
    Ok(())
}

/// Builds the guest agent; its file.
///
/// # Errors
/// If the build fails (a static C library, Debian's `libc6-dev`, is needed).
pub fn guest_agent() -> Result<PathBuf> {
    let flags = format!("target.{GUEST_TARGET}.rustflags=['-Ctarget-feature=+crt-static']");
    let args = [
        "build",
        "--release",
        "-p",
        "lab-guest",
        "--target",
        GUEST_TARGET,
        "--config",
        &flags,
    ];
    build("the guest agent", &args)?;
    Ok(target_dir()?.join(GUEST_TARGET).join("release/guest-agent"))
}

/// The daemon and its tool.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `mdevd`.
    pub mdevd: PathBuf,
    /// `cvfctl`.
    pub cvfctl: PathBuf,
}

/// Builds mdevd and cvfctl as they are released; `MDEVD_LAB_PROGRAMS` names a directory that has
/// them already.
///
/// # Errors
/// If the build fails.
pub fn programs() -> Result<Programs> {
    if let Some(dir) = std::env::var_os("MDEVD_LAB_PROGRAMS").map(PathBuf::from) {
        ui::say(&format!("    using mdevd and cvfctl of {}", dir.display()));
        return Ok(Programs {
            mdevd: dir.join("mdevd"),
            cvfctl: dir.join("cvfctl"),
        });
    }
    build(
        "mdevd and cvfctl",
        &["build", "--release", "-p", "mdevd", "--bins"],
    )?;
    let dir = target_dir()?.join("release");
    Ok(Programs {
        mdevd: dir.join("mdevd"),
        cvfctl: dir.join("cvfctl"),
    })
}

/// This very program as it is released, for what measures: a driver that checks its arithmetic
/// would measure itself. `MDEVD_LAB_PROGRAMS` may have it, too.
///
/// # Errors
/// If the build fails.
pub fn released_lab() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("MDEVD_LAB_PROGRAMS") {
        let lab = PathBuf::from(dir).join("lab");
        if lab.is_file() {
            return Ok(lab);
        }
    }
    build(
        "the lab",
        &["build", "--release", "-p", "lab", "--bin", "lab"],
    )?;
    Ok(target_dir()?.join("release/lab"))
}
