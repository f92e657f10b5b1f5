//! A wire that is an interface of a network namespace, by a packet socket beside the kernel there.

use crate::limits;
use crate::nested::limits::{MAX_FRAME, PACKET_BUFFER};
use crate::nested::sys;
use crate::netns::Netns;
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::Instant;

/// A packet socket on one interface. What it sends itself it does not see.
#[derive(Debug)]
pub struct Packet {
    socket: OwnedFd,
    block: Box<[u8]>,
}

impl Packet {
    /// Listens to `interface` in `netns`.
    ///
    /// # Errors
    /// If there is no such interface, or no right to do so.
    pub fn open(netns: &Netns, interface: &str) -> Result<Self> {
        let socket = sys::packet_socket(netns.fd(), interface, PACKET_BUFFER)
            .with_context(|| format!("open a packet socket on {interface}"))?;
        Ok(Packet {
            socket,
            block: vec![0; MAX_FRAME].into_boxed_slice(),
        })
    }

    /// Sends one frame; waits while the interface has no room.
    pub(super) fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<()> {
        let (mut pause, longest) = limits::POLL;
        loop {
            match send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT) {
                Ok(count) if count == frame.len() => return Ok(()),
                Ok(count) => bail!("only {count} bytes were sent"),
                // The kernel has no event for room in an interface's queue.
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() >= deadline {
                bail!("the interface had no room for it");
            }
            thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
    }

    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        loop {
            let flags = MsgFlags::MSG_DONTWAIT;
            match recv(self.socket.as_raw_fd(), &mut self.block, flags) {
                Ok(count) => return Ok(Some(self.block[..count].to_vec())),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let wait = left.as_micros().div_ceil(1000);
            let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, wait) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
