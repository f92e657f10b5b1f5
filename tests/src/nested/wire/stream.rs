//! A wire over a unix socket whose other end is QEMU's `-netdev stream`.

use super::framing::{Framing, framed};
use crate::nested::limits::{CONNECT, READ};
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where QEMU connects its end when it starts.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`, which must be free.
    ///
    /// # Errors
    /// If it cannot be bound.
    pub fn bind(path: &Path) -> Result<Self> {
        let socket =
            UnixListener::bind(path).with_context(|| format!("listen at {}", path.display()))?;
        Ok(Listener {
            socket,
            path: path.to_owned(),
        })
    }

    /// What QEMU is told, for a network back end with this id.
    #[must_use]
    pub fn netdev(&self, id: &str) -> String {
        let path = self.path.display();
        format!("stream,id={id},server=off,addr.type=unix,addr.path={path}")
    }

    /// Takes QEMU's connection.
    ///
    /// # Errors
    /// If none comes in time.
    pub fn accept(self) -> Result<Stream> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(CONNECT).context("a limit that poll takes")?;
        let at = self.path.display();
        if poll(&mut fds, limit).with_context(|| format!("wait at {at}"))? == 0 {
            bail!("QEMU did not connect to {at} in {CONNECT:?}");
        }
        let (stream, _) = self
            .socket
            .accept()
            .with_context(|| format!("accept at {at}"))?;
        Ok(Stream::new(stream))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A connected wire.
#[derive(Debug)]
pub struct Stream {
    socket: UnixStream,
    framing: Framing,
    block: Box<[u8]>,
}

impl Stream {
    /// Speaks over a connected socket.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Stream {
            socket,
            framing: Framing::default(),
            block: vec![0; READ].into_boxed_slice(),
        }
    }

    pub(super) fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<()> {
        let bytes = framed(frame)?;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Some(left) = left(deadline) else {
                bail!("QEMU took {} of {}", bytes.len() - rest.len(), bytes.len());
            };
            self.socket.set_write_timeout(Some(left))?;
            match self.socket.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if waits(error.kind()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(frame) = self.framing.take()? {
                return Ok(Some(frame));
            }
            let Some(left) = left(deadline) else {
                return Ok(None);
            };
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut self.block) {
                Ok(0) => bail!("QEMU has closed it"),
                Ok(count) => self.framing.feed(&self.block[..count]),
                Err(error) if waits(error.kind()) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What is left until `deadline`; a timeout of nothing at all would be one without end.
fn left(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (left >= Duration::from_micros(1)).then_some(left)
}

fn waits(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
