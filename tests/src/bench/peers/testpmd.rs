//! DPDK's `testpmd`: forwarding between two vhost-user ports, on one core.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Contender, Peer, Rig, Shape};
use crate::bench::cpu::{self, Cores};
use crate::bench::family::Run;
use crate::bench::limits::START;
use crate::bench::machine;
use crate::host;
use crate::process::{self, Process, Surroundings};
use crate::vhost::{VhostConfig, VhostGuest};

const PROGRAM: &str = "dpdk-testpmd";
/// Addresses of the guests; testpmd does not look at them.
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// What testpmd does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: from port to port, unseen.
    Io,
    /// Rewrites both MAC addresses, so it touches every header, as a switch does.
    Mac,
    /// As [`Mode::Io`], between guests with packed rings.
    Packed,
}

/// `testpmd`, ready to be started.
#[derive(Debug)]
pub struct Testpmd {
    mode: Mode,
    cores: Cores,
    huge: bool,
}

impl Testpmd {
    /// Installs DPDK if it is missing and may be installed.
    ///
    /// # Errors
    /// Fails with the line that would install DPDK.
    pub fn new(mode: Mode, run: &Run) -> Result<Self> {
        if host::find_program(PROGRAM).is_none() {
            host::ensure_packages(&["dpdk", "dpdk-dev"])?;
        }
        Ok(Testpmd {
            mode,
            cores: run.cores,
            huge: run.huge,
        })
    }

    fn command(&self, sockets: [&Path; 2]) -> Command {
        let mut command = Command::new(PROGRAM);
        // The main core only sleeps; forwarding is done by the other.
        let Cores { driver, forwarder } = self.cores;
        command.arg("-l").arg(format!("{driver},{forwarder}"));
        command.arg(format!("--main-lcore={driver}"));
        command.arg("--no-pci").arg("--no-telemetry");
        if self.huge {
            command.arg("--in-memory");
        } else {
            command.args(["--no-huge", "-m", "1024", "--no-shconf"]);
        }
        for (nth, socket) in sockets.iter().enumerate() {
            command.arg(format!("--vdev=net_vhost{nth},iface={}", socket.display()));
        }
        // It would end with its standard input; with statistics once a day it does not read it.
        let options = ["--auto-start", "--stats-period=86400"];
        command.arg("--").args(options);
        command.arg(match self.mode {
            Mode::Io | Mode::Packed => "--forward-mode=io",
            Mode::Mac => "--forward-mode=mac",
        });
        command
    }
}

impl Contender for Testpmd {
    fn id(&self) -> Peer {
        match self.mode {
            Mode::Io => Peer::TestpmdIo,
            Mode::Mac => Peer::TestpmdMac,
            Mode::Packed => Peer::TestpmdPacked,
        }
    }

    fn describe(&self) -> String {
        let command = self.command([Path::new("A"), Path::new("B")]);
        let memory = if self.huge {
            "huge pages"
        } else {
            "small pages"
        };
        format!(
            "DPDK {}, {memory}: {command:?}",
            machine::package_version("dpdk")
        )
    }

    fn start(&self, shape: Shape) -> Result<Rig> {
        let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
        let sockets = ["a.sock", "b.sock"].map(|name| dir.path().join(name));
        let log = dir.path().join("testpmd.log");
        let command = self.command([&sockets[0], &sockets[1]]);
        let process = Process::start("testpmd", command, Surroundings::default(), &log)?;
        let attach = || -> Result<(VhostGuest, VhostGuest)> {
            let [first, second] = &sockets;
            Ok((
                attach(first, &process, shape, self.id())?,
                attach(second, &process, shape, self.id())?,
            ))
        };
        let (first, second) = attach().with_context(|| process::tail(&log))?;
        cpu::prefer_process(process.pid())?;
        let pid = process.pid();
        let stop = move || {
            let ended = process.ended()?;
            anyhow::ensure!(
                ended.is_none(),
                "testpmd ended by itself: {}",
                process::tail(&log)
            );
            process.kill();
            drop(dir);
            Ok(())
        };
        let (first, second) = (Box::new(first), Box::new(second));
        Ok(Rig {
            first,
            second,
            macs: MACS,
            pid: Some(pid),
            stop: Box::new(stop),
        })
    }
}

/// Waits until testpmd listens, then attaches a guest.
fn attach(socket: &Path, process: &Process, shape: Shape, peer: Peer) -> Result<VhostGuest> {
    process::wait_for("testpmd to listen", START, || {
        anyhow::ensure!(process.ended()?.is_none(), "testpmd ended by itself");
        Ok(socket.exists().then_some(()))
    })?;
    let mut config = VhostConfig::like(&shape.guest());
    config.features |= peer.ring_features();
    let guest = VhostGuest::connect(socket, &config)?;
    let lacking = peer.ring_features() & !guest.features();
    anyhow::ensure!(lacking == 0, "testpmd does not offer {lacking:#x}");
    Ok(guest)
}
