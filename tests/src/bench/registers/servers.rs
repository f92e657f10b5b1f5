//! The two servers whose registers are read.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::artifacts;
use crate::bench::limits::START;
use crate::daemon::Daemon;
use crate::process::{self, Process, Surroundings};

/// A server that listens.
pub struct Server {
    /// Name in tables and results.
    pub name: &'static str,
    /// What it is, exactly.
    pub what: String,
    /// Where it listens.
    pub socket: PathBuf,
    running: Running,
    _dir: TempDir,
}

enum Running {
    Mdevd(Box<Daemon>),
    Program(Process),
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        match &self.running {
            Running::Mdevd(daemon) => daemon.pid(),
            Running::Program(process) => process.pid(),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn stop(self) -> Result<()> {
        match &self.running {
            Running::Mdevd(daemon) => daemon.stop(),
            Running::Program(process) => {
                ensure!(process.ended()?.is_none(), "{} ended by itself", self.what);
                process.kill();
                Ok(())
            }
        }
    }
}

/// The daemon with one device.
///
/// # Errors
/// It does not come up.
pub fn mdevd() -> Result<Server> {
    let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
    let daemon = Daemon::start(
        &artifacts::programs()?,
        dir.path(),
        &["soft:bench,queue-pairs=1"],
        None,
    )?;
    let device = daemon.create("one", &["--queue-pairs", "1"])?;
    Ok(Server {
        name: "mdevd",
        what: "mdevd, one idle device".into(),
        socket: device.socket.into(),
        running: Running::Mdevd(Box::new(daemon)),
        _dir: dir,
    })
}

/// A program that serves a device with libvfio-user.
///
/// # Errors
/// It does not come up.
pub fn libvfio_user(program: &Path) -> Result<Server> {
    let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
    let socket = dir.path().join("peer.sock");
    let log = dir.path().join("peer.log");
    let mut command = Command::new(program);
    command.arg(&socket);
    let process = Process::start("libvfio-user", command, Surroundings::default(), &log)?;
    process::wait_for("the libvfio-user server to listen", START, || {
        let ended = process.ended()?;
        ensure!(ended.is_none(), "it ended: {}", process::tail(&log));
        Ok(socket.exists().then_some(()))
    })?;
    Ok(Server {
        name: "libvfio-user",
        what: format!(
            "a C server on libvfio-user: {}",
            program.file_name().unwrap_or_default().display()
        ),
        socket,
        running: Running::Program(process),
        _dir: dir,
    })
}
