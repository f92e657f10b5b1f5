//! A vhost-user guest: the fake VM's memory and rings, attached to DPDK or OVS.
//!
//! It owns the connection to one vhost-user back end that listens, and speaks as a VMM's front
//! end does. Peers of mdevd are measured with it, so that they do exactly the same work.

mod message;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use self::message::{Message, request};
use crate::fakevm::doorbell::signal;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::interrupts::new_event;
use crate::fakevm::limits::REPLY_DEADLINE;
use crate::fakevm::memory::{GuestMemory, MemoryPlan};
use crate::fakevm::net::{NetGuest, NetPair, NetRingConfig, Rx, Tx, feature, rx_queue, tx_queue};
use crate::fakevm::ring::QueueLayout;
use crate::fakevm::socket::Socket;
use crate::fakevm::wire::Writer;

/// Feature bit of the transport: protocol features exist.
pub const F_PROTOCOL_FEATURES: u64 = 1 << 30;
/// Protocol feature: several queues.
pub const PROTOCOL_F_MQ: u64 = 1 << 0;
/// Protocol feature: replies on demand.
pub const PROTOCOL_F_REPLY_ACK: u64 = 1 << 3;

/// Where this front end claims its memory lies in its own address space. Back ends only use
/// that to find ring addresses in the memory table.
const USER_BASE: u64 = 0x7000_0000_0000;
/// Regions that a memory table may have.
const MAX_REGIONS: usize = 8;

/// What a vhost-user guest is asked to be.
#[derive(Clone, Debug)]
pub struct VhostConfig {
    /// Queue pairs to use.
    pub queue_pairs: u16,
    /// How the rings are set up.
    pub rings: NetRingConfig,
    /// Features the driver can make use of.
    pub features: u64,
    /// Guest memory.
    pub memory: MemoryPlan,
}

impl VhostConfig {
    /// The guest that a fake VM of this configuration would be.
    pub fn like(vm: &crate::fakevm::FakeVmConfig) -> Self {
        VhostConfig {
            queue_pairs: vm.queue_pairs,
            rings: vm.rings,
            features: vm.features,
            memory: vm.memory_plan(),
        }
    }
}

/// A guest at a vhost-user back end.
#[derive(Debug)]
pub struct VhostGuest {
    socket: Socket,
    memory: GuestMemory,
    features: u64,
    acks: bool,
    pairs: Vec<NetPair>,
    kicks: Vec<File>,
    calls: Vec<File>,
    kicked: u64,
}

impl VhostGuest {
    /// Connects to a back end that listens at `path` and starts the queues.
    ///
    /// # Errors
    /// Fails when the back end is gone, refuses, or lacks a modern device.
    pub fn connect(path: &Path, config: &VhostConfig) -> Result<Self> {
        Self::start(Socket::connect(path)?, config)
    }

    /// Speaks over a connection that the back end has made, and starts the queues.
    ///
    /// # Errors
    /// Fails when the back end is gone, refuses, or lacks a modern device.
    pub fn over(stream: UnixStream, config: &VhostConfig) -> Result<Self> {
        Self::start(Socket::from_stream(stream), config)
    }

    fn start(socket: Socket, config: &VhostConfig) -> Result<Self> {
        let mut guest = VhostGuest {
            socket,
            memory: GuestMemory::new(&config.memory)?,
            features: 0,
            acks: false,
            pairs: Vec::new(),
            kicks: Vec::new(),
            calls: Vec::new(),
            kicked: 0,
        };
        guest.negotiate(config)?;
        guest.share_memory()?;
        for index in 0..config.queue_pairs {
            let mut pair = NetPair::new(&mut guest.memory, &config.rings, guest.features)?;
            let (rx, tx) = (*pair.rx.queue().layout(), *pair.tx.queue().layout());
            pair.rx.publish();
            guest.pairs.push(pair);
            guest.start_ring(rx_queue(index), &rx)?;
            guest.start_ring(tx_queue(index), &tx)?;
        }
        if guest.features & F_PROTOCOL_FEATURES != 0 {
            for queue in 0..2 * config.queue_pairs {
                guest.enable_ring(queue, true)?;
            }
        }
        // The back end has taken all of that when it answers the next question.
        guest.get_features()?;
        Ok(guest)
    }

    /// Features that were agreed on.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// One of its queue pairs.
    ///
    /// # Panics
    /// Panics when there is no such pair.
    pub fn pair(&mut self, index: u16) -> &mut NetPair {
        &mut self.pairs[usize::from(index)]
    }

    /// Doorbells rung so far.
    pub fn kicks(&self) -> u64 {
        self.kicked
    }

    /// The event that the back end signals for a queue.
    pub fn call(&self, queue: u16) -> Option<&File> {
        self.calls.get(usize::from(queue))
    }

    /// Stops all rings and disconnects.
    ///
    /// # Errors
    /// Fails when the back end is gone or does not answer.
    pub fn disconnect(self) -> Result<()> {
        for queue in 0..self.kicks.len() as u32 {
            let payload = Writer::new().put_u32(queue).put_u32(0).finish();
            self.send(request::GET_VRING_BASE, &payload, &[])?;
            self.reply(request::GET_VRING_BASE)?;
        }
        Ok(())
    }

    fn negotiate(&mut self, config: &VhostConfig) -> Result<()> {
        self.send(request::SET_OWNER, &[], &[])?;
        let offered = self.get_features()?;
        self.features = offered & (config.features | F_PROTOCOL_FEATURES);
        if self.features & feature::VERSION_1 == 0 {
            return Err(Error::Unsupported(
                "the back end does not offer VERSION_1".into(),
            ));
        }
        if self.features & F_PROTOCOL_FEATURES != 0 {
            self.send(request::GET_PROTOCOL_FEATURES, &[], &[])?;
            let offered = self.reply(request::GET_PROTOCOL_FEATURES)?.word()?;
            let wanted = offered & (PROTOCOL_F_MQ | PROTOCOL_F_REPLY_ACK);
            let payload = wanted.to_le_bytes();
            self.send(request::SET_PROTOCOL_FEATURES, &payload, &[])?;
            self.acks = wanted & PROTOCOL_F_REPLY_ACK != 0;
        }
        let payload = self.features.to_le_bytes();
        self.set(request::SET_FEATURES, &payload, &[])
    }

    fn share_memory(&mut self) -> Result<()> {
        let regions = self.memory.regions();
        if regions.len() > MAX_REGIONS {
            return Err(Error::Unsupported(format!(
                "{} memory regions",
                regions.len()
            )));
        }
        let mut payload = Writer::new().put_u32(regions.len() as u32).put_u32(0);
        let mut fds: Vec<RawFd> = Vec::new();
        for region in regions {
            let file = region
                .file()
                .ok_or_else(|| Error::Unsupported("vhost-user memory without a file".into()))?;
            fds.push(file.as_raw_fd());
            payload = payload
                .put_u64(region.gpa)
                .put_u64(region.size)
                .put_u64(USER_BASE + region.gpa)
                .put_u64(region.file_offset);
        }
        self.set(request::SET_MEM_TABLE, &payload.finish(), &fds)
    }

    fn start_ring(&mut self, queue: u16, layout: &QueueLayout) -> Result<()> {
        let index = u32::from(queue);
        let state = |value: u32| Writer::new().put_u32(index).put_u32(value).finish();
        self.set(request::SET_VRING_NUM, &state(layout.size.into()), &[])?;
        // Of a packed ring: positions and wrap counters, available in the low half, used in the high.
        let base = if layout.packed { 0x8000_8000 } else { 0 };
        self.set(request::SET_VRING_BASE, &state(base), &[])?;
        let addresses = Writer::new()
            .put_u32(index)
            .put_u32(0)
            .put_u64(USER_BASE + layout.desc)
            .put_u64(USER_BASE + layout.used)
            .put_u64(USER_BASE + layout.avail)
            .put_u64(0)
            .finish();
        self.set(request::SET_VRING_ADDR, &addresses, &[])?;
        let call = File::from(OwnedFd::from(new_event()?));
        let kick = File::from(OwnedFd::from(new_event()?));
        let payload = u64::from(index).to_le_bytes();
        self.set(request::SET_VRING_CALL, &payload, &[call.as_raw_fd()])?;
        self.set(request::SET_VRING_KICK, &payload, &[kick.as_raw_fd()])?;
        self.calls.push(call);
        self.kicks.push(kick);
        Ok(())
    }

    fn enable_ring(&mut self, queue: u16, on: bool) -> Result<()> {
        let payload = Writer::new()
            .put_u32(queue.into())
            .put_u32(on.into())
            .finish();
        self.set(request::SET_VRING_ENABLE, &payload, &[])
    }

    fn get_features(&mut self) -> Result<u64> {
        self.send(request::GET_FEATURES, &[], &[])?;
        self.reply(request::GET_FEATURES)?.word()
    }

    /// Sends a request that has no answer of its own, and waits for the acknowledgement if
    /// those were agreed on.
    fn set(&mut self, request: u32, payload: &[u8], fds: &[RawFd]) -> Result<()> {
        let head = Message::head(request, payload.len(), self.acks);
        self.socket.send([&head, payload], fds, deadline())?;
        if self.acks {
            let status = self.reply(request)?.word()?;
            if status != 0 {
                let errno = u32::try_from(status).unwrap_or(u32::MAX);
                return Err(Error::Refused {
                    command: request::name(request),
                    errno,
                });
            }
        }
        Ok(())
    }

    fn send(&self, request: u32, payload: &[u8], fds: &[RawFd]) -> Result<()> {
        let head = Message::head(request, payload.len(), false);
        self.socket.send([&head, payload], fds, deadline())
    }

    fn reply(&self, request: u32) -> Result<Message> {
        let message = Message::receive(&self.socket, deadline())?;
        if message.request != request {
            let (due, got) = (request::name(request), request::name(message.request));
            return Err(Error::Protocol(format!(
                "{got} was answered where {due} was due"
            )));
        }
        Ok(message)
    }
}

impl NetGuest for VhostGuest {
    fn tx(&mut self, pair: u16) -> Tx<'_> {
        Tx::Virtio(&mut self.pair(pair).tx)
    }

    fn rx(&mut self, pair: u16) -> Rx<'_> {
        Rx::Virtio(&mut self.pair(pair).rx)
    }

    fn kick(&mut self, queue: u16) -> Result<()> {
        self.kicked += 1;
        let kick = self.kicks.get(usize::from(queue));
        signal(kick.ok_or_else(|| Error::Unsupported(format!("queue {queue} is not in use")))?)
    }

    fn take_interrupts(&mut self) -> u64 {
        let count = |mut call: &File| {
            let mut bytes = [0; 8];
            let read = call.read(&mut bytes);
            read.map_or(0, |_| u64::from_ne_bytes(bytes))
        };
        self.calls.iter().map(count).sum()
    }
}

fn deadline() -> Instant {
    Instant::now() + REPLY_DEADLINE
}
