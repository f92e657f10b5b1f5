//! A daemon with devices, and the questions that all tests ask.

use std::time::Duration;

use lab::daemon::{Daemon, Device};
use lab::fakevm::frame;
use lab::fakevm::net::feature;
use lab::fakevm::{FakeVm, FakeVmConfig};
use tempfile::TempDir;

/// How long a frame that must come may take.
pub const SOON: Duration = Duration::from_secs(10);
/// How long to look for a frame that must not come, after a later one has come.
pub const NEVER: Duration = Duration::from_millis(20);

/// A daemon with one soft PF.
pub struct Host {
    pub daemon: Daemon,
    _dir: TempDir,
}

impl Host {
    /// Starts a daemon with 16 queue pairs and one worker.
    pub fn new() -> Self {
        Self::with("soft:test,queue-pairs=16,workers=1")
    }

    /// Starts a daemon with this PF.
    pub fn with(pf: &str) -> Self {
        let dir = TempDir::with_prefix("mdevd-test-").expect("a directory");
        let programs = lab::artifacts::programs().expect("mdevd and cvfctl");
        let daemon = Daemon::start(&programs, dir.path(), &[pf], None).expect("a daemon");
        Host { daemon, _dir: dir }
    }

    /// Creates a device.
    pub fn create(&self, name: &str, more: &[&str]) -> Device {
        self.daemon
            .create(name, more)
            .unwrap_or_else(|error| panic!("create {name}: {error:#}"))
    }

    /// Creates a device with default options and attaches a fake VM to it.
    pub fn vm(&self, name: &str) -> FakeVm {
        self.vm_with(name, &[], FakeVmConfig::default())
    }

    /// Creates a device and attaches a fake VM to it.
    pub fn vm_with(&self, name: &str, more: &[&str], config: FakeVmConfig) -> FakeVm {
        let device = self.create(name, more);
        self.attach(&device, config)
    }

    /// Attaches a fake VM to a device.
    pub fn attach(&self, device: &Device, config: FakeVmConfig) -> FakeVm {
        FakeVm::connect(device.socket.as_ref(), config).unwrap_or_else(|error| {
            panic!(
                "attach {}: {error}\n{}",
                device.name,
                self.daemon.log_tail()
            )
        })
    }
}

/// A configuration with these features at most.
pub fn features(features: u64) -> FakeVmConfig {
    FakeVmConfig {
        features,
        ..FakeVmConfig::default()
    }
}

/// All features but some.
pub fn without(some: u64) -> FakeVmConfig {
    features(feature::FULL & !some)
}

/// Sends a numbered frame from one VM to another and takes it there, unharmed.
pub fn pass(from: &mut FakeVm, to: &mut FakeVm, number: u64) {
    let (source, target) = (from.mac().unwrap(), to.mac().unwrap());
    from.send(&frame::numbered(target, source, number, 100))
        .unwrap();
    expect_number(to, number);
}

/// Waits for a numbered frame; other frames are dropped.
pub fn expect_number(vm: &mut FakeVm, number: u64) -> Vec<u8> {
    let came = vm
        .recv_matching(SOON, |frame| frame::number_of(frame) == Some(number))
        .unwrap();
    came.unwrap_or_else(|| panic!("frame {number:#x} has not come"))
}

/// Makes sure that a frame sent earlier has not come: `marker` sends a broadcast that travels the
/// same way, and nothing numbered `number` may come before it.
pub fn expect_none(marker: &mut FakeVm, vm: &mut FakeVm, number: u64) {
    let mark = 0x6d61_726b_0000_0000 | number;
    let source = marker.mac().unwrap();
    marker
        .send(&frame::numbered(frame::BROADCAST, source, mark, 64))
        .unwrap();
    loop {
        let frame = vm.recv(SOON).unwrap().expect("the mark has not come");
        match frame::number_of(&frame) {
            Some(found) if found == mark => break,
            Some(found) => assert_ne!(found, number, "frame {number:#x} came through"),
            None => {}
        }
    }
    let late = vm
        .recv_matching(NEVER, |frame| frame::number_of(frame) == Some(number))
        .unwrap();
    assert!(late.is_none(), "frame {number:#x} came through, late");
}

/// Teaches the switch where VMs are: each sends a broadcast that all others have received.
pub fn introduce(vms: &mut [&mut FakeVm]) {
    for sender in 0..vms.len() {
        let mac = vms[sender].mac().unwrap();
        let number = 0x6869_0000 + sender as u64;
        vms[sender]
            .send(&frame::numbered(frame::BROADCAST, mac, number, 64))
            .unwrap();
        for (receiver, vm) in vms.iter_mut().enumerate() {
            if receiver != sender {
                expect_number(vm, number);
            }
        }
    }
}
