//! A stream socket with deadlines, whole messages and descriptors.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::MsgFlags;

use super::error::{Error, Result};
use super::limits::MAX_MESSAGE_FDS;
use super::sys;

/// A connected stream socket, driven by one thread.
#[derive(Debug)]
pub struct Socket {
    stream: UnixStream,
}

impl Socket {
    /// Connects to a listening socket.
    ///
    /// # Errors
    /// Fails when nobody listens at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).map_err(|source| Error::Connect {
            path: path.into(),
            source,
        })?;
        Ok(Socket { stream })
    }

    /// Takes over a connected stream.
    pub fn from_stream(stream: UnixStream) -> Self {
        Socket { stream }
    }

    /// The stream itself, for tests that break rules on purpose.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Waits until something can be read. False when the deadline passed first.
    ///
    /// # Errors
    /// Fails when the kernel refuses to poll.
    pub fn readable(&self, deadline: Instant) -> Result<bool> {
        wait(self.stream.as_fd(), PollFlags::POLLIN, deadline).map_err(Error::io("polling"))
    }

    /// Sends all of `parts` as one stretch of bytes; `fds` travel with its first byte.
    ///
    /// # Errors
    /// Fails when the peer is gone or takes nothing until `deadline`.
    pub fn send(&self, parts: [&[u8]; 2], fds: &[RawFd], deadline: Instant) -> Result<()> {
        let [mut first, mut second] = parts;
        let mut fds = fds;
        while !(first.is_empty() && second.is_empty()) {
            let data = [IoSlice::new(first), IoSlice::new(second)];
            match sys::send_with_fds(&self.stream, &data, fds, MsgFlags::MSG_DONTWAIT) {
                Ok(sent) => {
                    fds = &[];
                    let of_first = sent.min(first.len());
                    first = &first[of_first..];
                    second = &second[sent - of_first..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = wait(self.stream.as_fd(), PollFlags::POLLOUT, deadline)
                        .map_err(Error::io("polling"))?;
                    if !ready {
                        return Err(timeout("sending a message"));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("sending a message")(error)),
            }
        }
        Ok(())
    }

    /// Receives exactly `to.len()` bytes; descriptors that come along are appended to `fds`.
    ///
    /// # Errors
    /// Fails when the peer closes, sends too many descriptors, or is silent until `deadline`.
    pub fn receive(
        &self,
        mut to: &mut [u8],
        fds: &mut Vec<OwnedFd>,
        deadline: Instant,
    ) -> Result<()> {
        while !to.is_empty() {
            match sys::recv_with_fds(&self.stream, to, MsgFlags::MSG_DONTWAIT) {
                Ok((0, _)) => {
                    return Err(Error::Closed {
                        what: "receiving a message".into(),
                    });
                }
                Ok((got, new)) => {
                    fds.extend(new);
                    if fds.len() > MAX_MESSAGE_FDS {
                        return Err(Error::Protocol("too many descriptors in a message".into()));
                    }
                    to = &mut to[got..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.readable(deadline)? {
                        return Err(timeout("receiving a message"));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("receiving a message")(error)),
            }
        }
        Ok(())
    }
}

/// Waits for events on a descriptor. False when the deadline passed first.
pub fn wait(fd: impl AsFd, events: PollFlags, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that the deadline has really passed when poll reports nothing.
        let millis = left.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), events)], timeout) {
            Ok(0) if Instant::now() >= deadline => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

fn timeout(what: &str) -> Error {
    Error::Timeout { what: what.into() }
}
