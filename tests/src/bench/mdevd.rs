//! mdevd itself: a soft PF, one worker, two devices, two fake VMs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::contender::{Contender, Rig};
use super::cpu::{Cores, on_core};
use super::limits::{RING_SIZE, START};
use super::rows::ContenderId;
use crate::fakevm::net::{NetRingConfig, feature};
use crate::fakevm::{DoorbellMode, FakeVm, FakeVmConfig, InterruptMode};
use crate::process::{self, Process, Surroundings};

/// How the guests of all contenders drive their rings: as DPDK's virtio driver does, polling,
/// without event index.
pub fn guest_config() -> FakeVmConfig {
    FakeVmConfig {
        queue_pairs: 1,
        rings: NetRingConfig {
            ring_size: RING_SIZE,
            ..NetRingConfig::default()
        },
        features: feature::PLAIN,
        interrupts: InterruptMode::Polling,
        ..FakeVmConfig::default()
    }
}

/// mdevd, ready to be started.
#[derive(Debug)]
pub struct Mdevd {
    id: ContenderId,
    cores: Cores,
    programs: PathBuf,
}

impl Mdevd {
    /// Builds the daemon if need be.
    ///
    /// # Errors
    /// Fails when it does not build.
    pub fn new(id: ContenderId, cores: Cores) -> Result<Self> {
        Ok(Mdevd {
            id,
            cores,
            programs: programs()?,
        })
    }

    fn mode(&self) -> (&'static str, DoorbellMode) {
        match self.id {
            ContenderId::MdevdMapped => ("mapped", DoorbellMode::Mapped),
            _ => ("trapped", DoorbellMode::Trapped),
        }
    }

    fn daemon(&self, dir: &Path) -> Command {
        // The whole daemon on the forwarder's core: one worker, and whatever else it does.
        let mut command = on_core(self.cores.forwarder, &self.programs.join("mdevd"));
        command.arg("--state-dir").arg(dir.join("state"));
        command.arg("--runtime-dir").arg(dir.join("run"));
        command.args(["--pf", "soft:bench,queue-pairs=8,workers=1"]);
        command
    }

    fn control(&self, dir: &Path, args: &[&str]) -> Result<Value> {
        let mut command = Command::new(self.programs.join("cvfctl"));
        let socket = dir.join("run").join("mdevd.sock");
        command
            .arg("--address")
            .arg(format!("unix:path={}", socket.display()));
        command.arg("--json").args(args);
        let text = process::check(command, Surroundings::default())?;
        serde_json::from_str(&text).with_context(|| format!("cvfctl {}: {text}", args.join(" ")))
    }

    fn create(&self, dir: &Path, name: &str) -> Result<PathBuf> {
        let (mode, _) = self.mode();
        let args = ["create", name, "--queue-pairs", "1", "--doorbells", mode];
        let reply = self.control(dir, &args)?;
        let socket = reply["socket"].as_str();
        Ok(socket
            .with_context(|| format!("cvfctl names no socket: {reply}"))?
            .into())
    }
}

impl Contender for Mdevd {
    fn id(&self) -> ContenderId {
        self.id
    }

    fn describe(&self) -> String {
        let command = self.daemon(Path::new("DIR"));
        format!("{} doorbells: {command:?}", self.mode().0)
    }

    fn start(&self) -> Result<Rig> {
        let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
        for name in ["state", "run"] {
            std::fs::create_dir(dir.path().join(name)).context("make a directory")?;
        }
        let log = dir.path().join("mdevd.log");
        let command = self.daemon(dir.path());
        let process = Process::start("mdevd", command, Surroundings::default(), &log)?;
        let attach = || -> Result<Rig> {
            process::wait_for("mdevd to answer", START, || {
                ensure!(process.ended()?.is_none(), "mdevd ended by itself");
                Ok(self.control(dir.path(), &["list"]).ok())
            })?;
            let guest = |name| -> Result<FakeVm> {
                let socket = self.create(dir.path(), name)?;
                let config = FakeVmConfig {
                    doorbells: self.mode().1,
                    ..guest_config()
                };
                Ok(FakeVm::connect(&socket, config)?)
            };
            let (mut first, mut second) = (guest("first")?, guest("second")?);
            let macs = [first.mac()?, second.mac()?];
            let stop = Box::new(|| Ok(()));
            Ok(Rig {
                first: Box::new(first),
                second: Box::new(second),
                macs,
                stop,
            })
        };
        let rig = attach().with_context(|| process::tail(&log))?;
        let stop = move || {
            let ended = process.ended()?;
            ensure!(
                ended.is_none(),
                "mdevd ended by itself: {}",
                process::tail(&log)
            );
            process.kill();
            drop(dir);
            Ok(())
        };
        Ok(Rig {
            stop: Box::new(stop),
            ..rig
        })
    }
}

/// Where the programs are.
fn programs() -> Result<PathBuf> {
    let dir = std::env::var_os("MDEVD_LAB_PROGRAMS").map(PathBuf::from);
    dir.context("MDEVD_LAB_PROGRAMS names no directory with mdevd and cvfctl")
}
