//! mdevd itself: a soft PF, one worker, two devices, two fake VMs.

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Contender, Peer, Rig, Shape};
use crate::artifacts::{self, Programs};
use crate::bench::cpu::{self, Cores};
use crate::daemon::Daemon;
use crate::fakevm::{DoorbellMode, FakeVm, FakeVmConfig};

/// The PF of the benchmark: one worker for all.
const PF: &str = "soft:bench,queue-pairs=8,workers=1";

/// mdevd, ready to be started.
#[derive(Debug)]
pub struct Mdevd {
    id: Peer,
    cores: Cores,
    programs: Programs,
}

impl Mdevd {
    /// Builds the daemon if need be.
    ///
    /// # Errors
    /// Fails when it does not build.
    pub fn new(id: Peer, cores: Cores) -> Result<Self> {
        Ok(Mdevd {
            id,
            cores,
            programs: artifacts::programs()?,
        })
    }

    /// The same with these programs.
    pub fn with(id: Peer, cores: Cores, programs: Programs) -> Self {
        Mdevd {
            id,
            cores,
            programs,
        }
    }

    fn mode(&self) -> (&'static str, DoorbellMode) {
        match self.id {
            Peer::MdevdMapped => ("mapped", DoorbellMode::Mapped),
            _ => ("trapped", DoorbellMode::Trapped),
        }
    }

    fn ring_format(&self) -> &'static str {
        match self.id {
            Peer::MdevdPacked => "packed",
            _ => "split",
        }
    }

    fn attach(&self, daemon: &Daemon, name: &str, shape: Shape) -> Result<FakeVm> {
        let (word, doorbells) = self.mode();
        let mtu = shape.mtu().to_string();
        let (rings, format) = (self.id.ring_features(), self.ring_format());
        let options = ["--ring-format", format, "--doorbells", word, "--mtu", &mtu];
        let device = daemon.create(name, &options)?;
        let guest = shape.guest();
        let config = FakeVmConfig {
            doorbells,
            features: guest.features | rings,
            ..guest
        };
        let vm = FakeVm::connect(device.socket.as_ref(), config);
        vm.with_context(|| format!("attach {name}: {}", daemon.log_tail()))
    }
}

impl Contender for Mdevd {
    fn id(&self) -> Peer {
        self.id
    }

    fn describe(&self) -> String {
        let (doorbells, rings) = (self.mode().0, self.ring_format());
        format!("mdevd --pf {PF}, {doorbells} doorbells, {rings} rings")
    }

    fn start(&self, shape: Shape) -> Result<Rig> {
        let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
        let daemon = Daemon::start(&self.programs, dir.path(), &[PF], None)?;
        let mut first = self.attach(&daemon, "first", shape)?;
        let mut second = self.attach(&daemon, "second", shape)?;
        let macs = [first.mac()?, second.mac()?];
        // The whole daemon on the forwarder's core: its one worker, and whatever else it does.
        cpu::pin_process(daemon.pid(), self.cores.forwarder)?;
        cpu::prefer_process(daemon.pid())?;
        let pid = daemon.pid();
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
            pid: Some(pid),
            stop: Box::new(stop),
        })
    }
}
