//! Devices that are adaptive virtual functions: among themselves, with virtio's devices, and against drivers that lie.

mod check_sequences;
mod datagrams;
mod flex;
mod hostile;
mod life;
mod offloads;
mod scaling;
mod traffic;

use lab::fakevm::avf::messages::{self, QueuePair};
use lab::fakevm::avf::virtchnl::op;
use lab::fakevm::avf::{AvfVm, AvfVmConfig, Status};
use lab::fakevm::{FakeVm, frame};

use crate::common::{Host, SOON};

/// What `create` is told besides.
const AVF: [&str; 2] = ["--personality", "avf"];

/// Creates an adaptive virtual function and starts a driver on it.
fn avf(host: &Host, name: &str) -> AvfVm {
    avf_with(host, name, &[], AvfVmConfig::default())
}

/// The same with options and a driver of its own.
fn avf_with(host: &Host, name: &str, more: &[&str], config: AvfVmConfig) -> AvfVm {
    let device = host.create(name, &[&AVF, more].concat());
    attach(host, &device.socket, config)
}

fn attach(host: &Host, socket: &str, config: AvfVmConfig) -> AvfVm {
    AvfVm::connect(socket.as_ref(), config)
        .unwrap_or_else(|error| panic!("attach {socket}: {error}\n{}", host.daemon.log_tail()))
}

/// What the device answers to a configuration of queues that `change` has made another; they are stopped before.
fn configure_otherwise(vm: &mut AvfVm, change: impl Fn(&mut QueuePair)) -> Status {
    assert!(vm.disable_queues(1, 1).unwrap().is_ok());
    let mut pairs = vm.queue_pairs();
    pairs.iter_mut().for_each(change);
    let body = messages::config_queues(vm.resources().vsi, &pairs);
    vm.request(op::CONFIG_VSI_QUEUES, &body).unwrap().status
}

/// A driver on its way, whatever its device is.
trait Guest {
    fn address(&mut self) -> [u8; 6];
    fn send_all(&mut self, frames: &[&[u8]]);
    fn receive(&mut self) -> Vec<u8>;
    /// Buffers that it has for frames to come, and their bytes.
    fn room(&self) -> (usize, usize);
}

impl Guest for FakeVm {
    fn address(&mut self) -> [u8; 6] {
        self.mac().unwrap()
    }

    fn send_all(&mut self, frames: &[&[u8]]) {
        self.send_burst(frames).unwrap();
    }

    fn receive(&mut self) -> Vec<u8> {
        self.recv(SOON).unwrap().expect("a frame is lost")
    }

    fn room(&self) -> (usize, usize) {
        let rings = &self.config().rings;
        (rings.ring_size.into(), rings.rx_buffer)
    }
}

impl Guest for AvfVm {
    fn address(&mut self) -> [u8; 6] {
        self.mac()
    }

    fn send_all(&mut self, frames: &[&[u8]]) {
        self.send_burst(frames).unwrap();
    }

    fn receive(&mut self) -> Vec<u8> {
        self.recv(SOON).unwrap().expect("a frame is lost")
    }

    fn room(&self) -> (usize, usize) {
        let rings = &self.config().rings;
        (rings.rx_size.into(), rings.rx_buffer)
    }
}

/// Sends `count` numbered frames and receives them all, in order, unharmed.
fn stream(from: &mut dyn Guest, to: &mut dyn Guest, count: u64, len: usize) {
    let (source, target) = (from.address(), to.address());
    let (buffers, bytes) = to.room();
    let burst = (buffers / 2 / (len.div_ceil(bytes) + 1)).min(64) as u64;
    let mut next = 0;
    while next < count {
        let end = (next + burst).min(count);
        let frames: Vec<_> = (next..end)
            .map(|number| frame::numbered(target, source, number, len))
            .collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        from.send_all(&frames);
        for number in next..end {
            let came = to.receive();
            assert_eq!((came.len(), frame::number_of(&came)), (len, Some(number)));
        }
        next = end;
    }
}

/// Sends a numbered frame and takes it on the other side; others are dropped.
fn pass(from: &mut dyn Guest, to: &mut dyn Guest, number: u64) {
    let sent = frame::numbered(to.address(), from.address(), number, 100);
    from.send_all(&[&sent]);
    while to.receive() != sent {}
}
