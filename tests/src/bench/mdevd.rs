//! mdevd itself: a soft PF, one worker, two devices, two fake VMs.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::contender::{Contender, Rig};
use super::cpu::{self, Cores};
use super::limits::RING_SIZE;
use super::rows::ContenderId;
use crate::artifacts::{self, Programs};
use crate::daemon::Daemon;
use crate::fakevm::net::{NetRingConfig, feature};
use crate::fakevm::{DoorbellMode, FakeVm, FakeVmConfig, InterruptMode};

/// The PF of the benchmark: one worker for all.
const PF: &str = "soft:bench,queue-pairs=8,workers=1";

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
    programs: Programs,
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

    fn attach(&self, daemon: &Daemon, name: &str) -> Result<FakeVm> {
        let (word, doorbells) = self.mode();
        let device = daemon.create(name, &["--queue-pairs", "1", "--doorbells", word])?;
        let config = FakeVmConfig {
            doorbells,
            ..guest_config()
        };
        let vm = FakeVm::connect(device.socket.as_ref(), config);
        vm.with_context(|| format!("attach {name}: {}", daemon.log_tail()))
    }
}

impl Contender for Mdevd {
    fn id(&self) -> ContenderId {
        self.id
    }

    fn describe(&self) -> String {
        format!("mdevd --pf {PF}, {} doorbells", self.mode().0)
    }

    fn start(&self) -> Result<Rig> {
        let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
        let daemon = Daemon::start(&self.programs, dir.path(), &[PF], None)?;
        let mut first = self.attach(&daemon, "first")?;
        let mut second = self.attach(&daemon, "second")?;
        let macs = [first.mac()?, second.mac()?];
        // The whole daemon on the forwarder's core: its one worker, and whatever else it does.
        cpu::pin_process(daemon.pid(), self.cores.forwarder)?;
        cpu::prefer_process(daemon.pid())?;
        let stop = move || {
            ensure!(
                daemon.process().ended()?.is_none(),
                "mdevd ended: {}",
                daemon.log_tail()
            );
            daemon.stop()?;
            drop(dir);
            Ok(())
        };
        Ok(Rig {
            first: Box::new(first),
            second: Box::new(second),
            macs,
            stop: Box::new(stop),
        })
    }
}

/// The daemon and its tool: those in the directory that `MDEVD_LAB_PROGRAMS` names, or else
/// built as they are released.
///
/// # Errors
/// Fails when they do not build.
pub fn programs() -> Result<Programs> {
    match std::env::var_os("MDEVD_LAB_PROGRAMS").map(PathBuf::from) {
        Some(dir) => Ok(Programs {
            mdevd: dir.join("mdevd"),
            cvfctl: dir.join("cvfctl"),
        }),
        None => artifacts::programs(),
    }
}
