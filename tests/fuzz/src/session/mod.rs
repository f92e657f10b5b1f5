//! The session against an oracle.
//!
//! The fuzzer's bytes are actions: queue a message (well-formed, bent, or raw), deliver part of the
//! queue with descriptors, complete a pending request, take output, start a transfer, answer one.
//! Asserted all along: replies come in the order of the requests and one for each that wants one;
//! errors have a number; what reaches the device is valid; memory is bounded; at the end nothing is
//! left unanswered.

mod build;
mod device;
mod oracle;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use nix::sys::eventfd::EventFd;
use vfio_user_server::{
    Chunk, Config, Description, DmaId, Irq, Mapping, MmapArea, Observer, Region, Session,
};

use crate::input::Input;
use build::Builder;
use device::Device;
use oracle::Oracle;

/// Bytes of data in one message, as configured here.
pub const MAX_XFER: u32 = 8192;
/// Requests under way, as configured here.
const MAX_REQUESTS: usize = 12;
const MAX_MESSAGE: usize = 16 + 48 + MAX_XFER as usize;

fn event() -> &'static EventFd {
    static EVENT: OnceLock<EventFd> = OnceLock::new();
    EVENT.get_or_init(|| EventFd::new().expect("an eventfd"))
}

pub fn any_fd() -> OwnedFd {
    event().as_fd().try_clone_to_owned().expect("a descriptor")
}

pub fn description() -> Arc<Description> {
    static DESCRIPTION: OnceLock<Arc<Description>> = OnceLock::new();
    Arc::clone(DESCRIPTION.get_or_init(|| {
        let mapping = |areas: Vec<MmapArea>| Mapping {
            fd: Arc::new(any_fd()),
            offset: 0,
            areas,
        };
        let areas = vec![MmapArea {
            offset: 0,
            size: 4096,
        }];
        let registers = Region {
            registers_only: true,
            ..Region::read_write(256)
        };
        let description = Description::pci()
            .with_migration(true)
            .region(0, Region::read_write(1 << 20))
            .and_then(|it| it.region(1, registers))
            .and_then(|it| it.region(2, Region::read_write(8192).mapped(mapping(areas))))
            .and_then(|it| it.region(3, Region::read_write(4096).mapped(mapping(Vec::new()))))
            .and_then(|it| it.region(6, Region::read_only(64)))
            .and_then(|it| it.region(7, Region::read_write(256)))
            .and_then(|it| it.irq(0, Irq::intx()))
            .and_then(|it| it.irq(2, Irq::message_signalled(4)));
        Arc::new(description.expect("a description that holds"))
    }))
}

struct Run<'a> {
    input: Input<'a>,
    session: Session,
    builder: Builder,
    device: Device,
    oracle: Oracle,
    // Bytes on their way to the session.
    wire: Vec<u8>,
    transfers: Vec<DmaId>,
}

/// Interprets `data`; panics if the session breaks a promise.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let config = Config {
        max_msg_fds: 4,
        max_data_xfer_size: MAX_XFER,
        max_dma_maps: 6,
        max_requests: MAX_REQUESTS,
        ..Config::default()
    };
    let greet = !input.byte().is_multiple_of(8);
    let mut run = Run {
        input,
        session: Session::new(config, description(), Observer::new()),
        builder: Builder::default(),
        device: Device::default(),
        oracle: Oracle::new(4096, MAX_MESSAGE, 4),
        wire: Vec::new(),
        transfers: Vec::new(),
    };
    if greet {
        run.wire = run.builder.greeting();
        run.deliver(usize::MAX, 0);
    }
    while !run.input.is_empty() {
        run.act();
        run.check();
    }
    run.finish();
}

impl Run<'_> {
    fn act(&mut self) {
        match self.input.below(16) {
            0..=5 => {
                let (bytes, fds) = self.builder.command(&mut self.input);
                self.wire.extend(bytes);
                if self.input.flag() {
                    self.deliver(usize::MAX, fds);
                }
            }
            6 => {
                let length = self.input.below(64);
                let bytes = self.input.bytes(length);
                self.wire.extend_from_slice(bytes);
            }
            7 | 8 => {
                let length = 1 + self.input.below(64);
                let fds = self.input.below(7).saturating_sub(2);
                self.deliver(length, fds);
            }
            9 => self.deliver(usize::MAX, 0),
            10 | 11 => {
                self.device.complete_one(&mut self.input, &mut self.session);
                self.serve();
            }
            12 => {
                let count = self.input.below(128);
                self.take_output(count);
            }
            13 => self.take_output(usize::MAX),
            14 => self.start_transfer(),
            _ => {
                if let Some(reply) = self.oracle.dma_reply(&mut self.input) {
                    self.wire.extend(reply);
                    if self.input.flag() {
                        self.deliver(usize::MAX, 0);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, length: usize, fds: usize) {
        let length = length.min(self.wire.len());
        if length == 0 || !self.session.wants_input() {
            return;
        }
        let bytes: Vec<u8> = self.wire.drain(..length).collect();
        let fds_lost = fds == 0 && self.input.byte() == 0xfe;
        self.oracle.receive(&bytes, fds, fds_lost);
        let fds = (0..fds).map(|_| any_fd()).collect();
        self.session.receive(Chunk {
            bytes: &bytes,
            fds,
            fds_lost,
        });
        self.serve();
    }

    fn serve(&mut self) {
        while let Some(request) = self.session.next_request() {
            self.oracle.check_fds(&request);
            self.device
                .serve(&mut self.input, &mut self.session, request);
        }
        while let Some(done) = self.session.next_dma_done() {
            let known = self.transfers.iter().position(|&id| id == done.id);
            let known = known.expect("a transfer ends once, and only one that was started");
            self.transfers.swap_remove(known);
        }
    }

    fn take_output(&mut self, mut count: usize) {
        while count > 0 {
            let Some(output) = self.session.output() else {
                return;
            };
            assert!(!output.bytes.is_empty());
            assert!(output.fds.len() <= 16);
            let step = count.min(output.bytes.len());
            self.oracle.output(&output.bytes[..step]);
            self.session.sent(step);
            count -= step;
            self.serve();
        }
    }

    fn start_transfer(&mut self) {
        let address = self.input.number();
        let length = match self.input.below(4) {
            0 => self.input.below(8),
            1 => 4096,
            2 => 3 * MAX_XFER as usize,
            _ => self.input.below(256),
        };
        let started = if self.input.flag() {
            self.session.dma_read(address, length)
        } else {
            self.session.dma_write(address, vec![0xdd; length])
        };
        if let Ok(id) = started {
            self.transfers.push(id);
        }
        self.serve();
    }

    fn check(&self) {
        let most = vfio_user_server::limits::MAX_QUEUED_INPUT
            + vfio_user_server::limits::MAX_QUEUED_OUTPUT
            + 4 * MAX_MESSAGE
            + self.oracle.largest_chunk();
        assert!(self.session.buffered() <= most, "memory is bounded");
        assert!(
            self.device.pending() <= MAX_REQUESTS,
            "requests are bounded"
        );
        assert!(self.session.dma_table().len() <= 6, "maps are bounded");
    }

    fn finish(&mut self) {
        loop {
            self.serve();
            self.take_output(usize::MAX);
            if !self.device.complete_oldest(&mut self.session) {
                break;
            }
        }
        assert!(self.session.output().is_none());
        self.oracle.finish(self.session.ended().is_some());
    }
}
