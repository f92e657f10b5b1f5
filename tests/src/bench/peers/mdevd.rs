//! mdevd itself: a soft PF, one worker, two devices, two fake VMs.

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Contender, Peer, Rig, Shape};
use crate::artifacts::{self, Programs};
use crate::bench::cpu::{self, Cores};
use crate::daemon::Daemon;
use crate::fakevm::avf::{AvfVm, AvfVmConfig};
use crate::fakevm::net::NetGuest;
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
            Peer::MdevdMapped | Peer::AvfAvfMapped | Peer::AvfVirtioMapped => {
                ("mapped", DoorbellMode::Mapped)
            }
            _ => ("trapped", DoorbellMode::Trapped),
        }
    }

    fn ring_format(&self) -> &'static str {
        match self.id {
            Peer::MdevdPacked => "packed",
            _ => "split",
        }
    }

    /// What the first and the second guest drive.
    fn personalities(&self) -> [&'static str; 2] {
        match self.id {
            Peer::AvfAvfTrapped | Peer::AvfAvfMapped => ["avf", "avf"],
            Peer::AvfVirtioTrapped | Peer::AvfVirtioMapped => ["avf", "virtio-net"],
            _ => ["virtio-net"; 2],
        }
    }

    fn attach(
        &self,
        daemon: &Daemon,
        (name, personality): (&str, &str),
        shape: Shape,
    ) -> Result<(Box<dyn NetGuest>, [u8; 6])> {
        let (word, doorbells) = self.mode();
        let mtu = shape.mtu().to_string();
        let (rings, format) = (self.id.ring_features(), self.ring_format());
        let mut options = vec!["--doorbells", word, "--mtu", &mtu];
        options.extend(["--personality", personality]);
        options.extend(["--ring-format", format]);
        let device = daemon.create(name, &options)?;
        let guest = shape.guest();
        let config = FakeVmConfig {
            doorbells,
            features: guest.features | rings,
            ..guest
        };
        let socket = device.socket.as_ref();
        let attached = || format!("attach {name}: {}", daemon.log_tail());
        if personality == "avf" {
            let vm = AvfVm::connect(socket, AvfVmConfig::like(&config)).with_context(attached)?;
            let mac = vm.mac();
            return Ok((Box::new(vm), mac));
        }
        let mut vm = FakeVm::connect(socket, config).with_context(attached)?;
        let mac = vm.mac()?;
        Ok((Box::new(vm), mac))
    }
}

impl Contender for Mdevd {
    fn id(&self) -> Peer {
        self.id
    }

    fn describe(&self) -> String {
        let (doorbells, rings) = (self.mode().0, self.ring_format());
        let [first, second] = self.personalities();
        format!("mdevd --pf {PF}, {first} and {second}, {doorbells} doorbells, {rings} rings")
    }

    fn start(&self, shape: Shape) -> Result<Rig> {
        let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
        let daemon = Daemon::start(&self.programs, dir.path(), &[PF], None)?;
        let [one, other] = self.personalities();
        let (first, first_mac) = self.attach(&daemon, ("first", one), shape)?;
        let (second, second_mac) = self.attach(&daemon, ("second", other), shape)?;
        let macs = [first_mac, second_mac];
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
            first,
            second,
            macs,
            pid: Some(pid),
            stop: Box::new(stop),
        })
    }
}
