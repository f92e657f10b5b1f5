//! A TAP interface as uplink.
//!
//! Workers write into it (one system call a frame: the kernel's price); a thread of its own reads
//! from it, so that workers never wait for it.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use super::carrier::Carrier;
use super::{UplinkState, sys};
use crate::dataplane::{Drop, Fabric, QueueCounters, QueueStats, Route, Scratch, Uplink};
use crate::limits::{BURST, MAX_FRAME, MAX_INTERFACE_NAME, MAX_SHOWN};
use crate::mem::write_frame;
use crate::offload::{FrameMeta, Gso, PackedMac};
use crate::ring::{BurstBuffers, Payload, header};
use crate::switch::PortId;

const TUN_F_CSUM: u32 = 1;
const TUN_F_TSO4: u32 = 2;
const TUN_F_TSO6: u32 = 4;
const TUN_F_TSO_ECN: u32 = 8;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

/// A TAP as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapConfig {
    /// Interface name. One that exists and is a free TAP is adopted, else it is made and vanishes
    /// with the daemon.
    pub name: String,
    /// A bridge that it is put into.
    pub bridge: Option<String>,
    /// MTU to set.
    pub mtu: Option<u16>,
}

/// Why there is no TAP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    /// No interface can be called that.
    #[error("'{0}' is not an interface name: 1 to 15 characters without '/', ':' or spaces")]
    Name(String),
    /// The kernel refuses.
    #[error("uplink {name}: {attempt}: {errno}{}", hint(*.errno))]
    Kernel {
        /// The interface.
        name: String,
        /// What was attempted.
        attempt: &'static str,
        /// What it said.
        errno: Errno,
    },
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM | Errno::EACCES => " (a TAP needs root or CAP_NET_ADMIN)",
        Errno::EBUSY => " (somebody else has it open)",
        Errno::EINVAL => " (an interface of that name exists and is no TAP with virtio headers)",
        Errno::ENOENT => " (is the tun module there?)",
        Errno::ENODEV => " (no such interface; a bridge must be made beforehand)",
        _ => "",
    }
}

/// An open TAP.
pub struct Tap {
    config: TapConfig,
    fd: OwnedFd,
    carrier: Carrier,
    receive: QueueCounters,
    transmit: QueueCounters,
}

fn check_name(name: &str) -> Result<(), TapError> {
    let fits = (1..=MAX_INTERFACE_NAME).contains(&name.len()) && name != "." && name != "..";
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
    if fits && plain {
        Ok(())
    } else {
        Err(TapError::Name(name.chars().take(MAX_SHOWN).collect()))
    }
}

impl Tap {
    pub(super) fn open(config: &TapConfig) -> Result<Self, TapError> {
        check_name(&config.name)?;
        config.bridge.as_deref().map_or(Ok(()), check_name)?;
        let refuse = |attempt: &'static str| {
            let name = config.name.clone();
            move |errno| TapError::Kernel {
                name,
                attempt,
                errno,
            }
        };
        let fd: OwnedFd = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(nix::libc::EIO)))
            .map_err(refuse("opening /dev/net/tun"))?
            .into();
        sys::become_tap(&fd, &config.name, header::LEN).map_err(refuse("making the TAP"))?;
        let basic = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
        // USO is younger (Linux 6.2); without it the kernel cuts datagrams before we see them.
        sys::offload(&fd, basic | TUN_F_USO4 | TUN_F_USO6)
            .or_else(|_| sys::offload(&fd, basic))
            .map_err(refuse("setting its offloads"))?;
        if let Some(mtu) = config.mtu {
            sys::mtu(&config.name, mtu).map_err(refuse("setting its MTU"))?;
        }
        if let Some(bridge) = &config.bridge {
            sys::join(&config.name, bridge).map_err(refuse("putting it into its bridge"))?;
        }
        sys::up(&config.name).map_err(refuse("setting it up"))?;
        let (receive, transmit) = Default::default();
        Ok(Self {
            config: config.clone(),
            fd,
            carrier: Carrier::of(&config.name),
            receive,
            transmit,
        })
    }

    pub(super) const fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    pub(super) fn state(&self) -> UplinkState {
        UplinkState {
            kind: "tap",
            name: self.config.name.clone(),
            bridge: self.config.bridge.clone(),
            carrier: self.carrier.is_up(),
            receive: QueueStats::of(&self.receive),
            transmit: QueueStats::of(&self.transmit),
        }
    }
}

impl Uplink for Tap {
    fn send(&self, meta: &FrameMeta, head: &[u8], tail: Payload<'_>) {
        let header = header::build(meta, 0);
        match write_frame(self.fd.as_fd(), &header, head, tail.pieces()) {
            Ok(_) => {
                self.transmit.frames.add_shared(1);
                self.transmit
                    .bytes
                    .add_shared((head.len() + tail.len()) as u64);
                if meta.gso != Gso::None {
                    self.transmit.large.add_shared(1);
                }
                if let Some(to) = head.first_chunk().map(|to| PackedMac::new(*to)) {
                    if to.is_broadcast() {
                        self.transmit.broadcast.add_shared(1);
                    } else if to.is_multicast() {
                        self.transmit.multicast.add_shared(1);
                    }
                }
            }
            Err(_) => self.transmit.drop(Drop::Uplink),
        }
    }

    fn counters(&self) -> &QueueCounters {
        &self.transmit
    }
}

/// The thread that reads; ends when dropped.
pub(super) struct TapReader {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl TapReader {
    pub(super) fn start(
        tap: Arc<Tap>,
        port: PortId,
        fabric: Weak<Fabric>,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let ours = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name(tap.config.name.clone())
            .spawn(move || read_all(&tap, port, &fabric, &ours))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl std::ops::Drop for TapReader {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn read_all(tap: &Tap, port: PortId, fabric: &Weak<Fabric>, stop: &EventFd) {
    let mut buffers = vec![0u8; BURST * (header::LEN + MAX_FRAME)];
    let (mut scratch, mut lent) = (Scratch::default(), BurstBuffers::default());
    let mut route = Route::default();
    loop {
        // Without news of its carrier the second is waited for twice.
        let news = tap.carrier.news().unwrap_or(stop.as_fd());
        let mut fds = [
            PollFd::new(tap.fd.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            PollFd::new(news, PollFlags::POLLIN),
        ];
        scratch.rest();
        let patience = scratch.desk.held.patience().map(TimeSpec::from_duration);
        match ppoll(&mut fds, patience, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                tracing::error!(uplink = tap.config.name, %errno, "waiting for the uplink failed");
                return;
            }
        }
        if fds[1].any() == Some(true) {
            return;
        }
        if fds[2].any() == Some(true) {
            tap.carrier.heard();
        }
        scratch.desk.held.expire(Instant::now());
        let mut frames = [(0, FrameMeta::default(), 0); BURST];
        let mut count = 0;
        let mut gone = false;
        for (index, buffer) in buffers
            .chunks_exact_mut(header::LEN + MAX_FRAME)
            .enumerate()
        {
            match nix::unistd::read(&tap.fd, buffer) {
                Ok(len) if len > header::LEN => {
                    let mut head = [0; header::LEN];
                    head.copy_from_slice(&buffer[..header::LEN]);
                    if let Some(meta) = header::parse(&head) {
                        frames[count] = (index, meta, len - header::LEN);
                        count += 1;
                    } else {
                        tap.receive.drop(Drop::Malformed);
                    }
                }
                Ok(_) => tap.receive.drop(Drop::Malformed),
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Err(errno) => {
                    tracing::error!(uplink = tap.config.name, %errno, "reading the uplink failed");
                    gone = true;
                    break;
                }
            }
        }
        let Some(fabric) = fabric.upgrade() else {
            return;
        };
        fabric.tick(Instant::now());
        let mut burst = lent.lend();
        for &(index, meta, len) in &frames[..count] {
            let start = index * (header::LEN + MAX_FRAME) + header::LEN;
            burst.push(meta.into(), &buffers[start..start + len]);
        }
        fabric.forward(port, &mut burst, &tap.receive, &mut route, &mut scratch);
        if gone {
            tap.carrier.lost();
            return;
        }
    }
}
