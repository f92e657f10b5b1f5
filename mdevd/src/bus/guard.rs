//! The reading half of an authenticated peer: bounds every message before anybody allocates for it.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use zbus::connection::socket::{ReadHalf, Socket, Split};

use crate::limits::MAX_BUS_MESSAGE;

/// Bytes of a message's fixed header (D-Bus specification, "Message Format").
const FIXED: usize = 16;

/// When a peer was last heard of, and whether it only listens.
#[derive(Clone, Debug)]
pub struct LastHeard {
    since: Instant,
    micros: Arc<AtomicU64>,
    watches: Arc<AtomicBool>,
}

impl LastHeard {
    /// Of a peer that has just come, on a clock that began at `since`.
    pub fn now(since: Instant) -> Self {
        let last = Self {
            since,
            micros: Arc::default(),
            watches: Arc::default(),
        };
        last.touch();
        last
    }

    fn touch(&self) {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.store(micros, Ordering::Relaxed);
    }

    pub(super) fn watching(&self, watches: bool) {
        self.watches.store(watches, Ordering::Relaxed);
    }

    /// It waits for events: being silent is its business.
    pub fn watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed)
    }

    /// Microseconds on that clock.
    pub fn at(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }
}

/// An authenticated peer's socket.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: UnixStream,
    heard: LastHeard,
    gone: oneshot::Sender<()>,
}

impl Guarded {
    /// `gone` is dropped when nobody reads from the peer any more, for whatever reason.
    pub(super) fn new(stream: UnixStream, heard: LastHeard, gone: oneshot::Sender<()>) -> Self {
        Self {
            stream,
            heard,
            gone,
        }
    }
}

impl Socket for Guarded {
    type ReadHalf = GuardedRead;
    type WriteHalf = OwnedWriteHalf;

    fn split(self) -> Split<GuardedRead, OwnedWriteHalf> {
        let (half, write) = self.stream.into_split();
        let read = GuardedRead {
            half,
            heard: self.heard,
            frames: Frames::default(),
            _gone: self.gone,
        };
        Split::new(read, write)
    }
}

/// Reads bytes and never file descriptors: those that a peer sends are closed by the kernel.
#[derive(Debug)]
pub(super) struct GuardedRead {
    half: OwnedReadHalf,
    heard: LastHeard,
    frames: Frames,
    _gone: oneshot::Sender<()>,
}

#[async_trait::async_trait]
impl ReadHalf for GuardedRead {
    /// To the peer they are.
    fn can_pass_unix_fd(&self) -> bool {
        true
    }

    async fn recvmsg(&mut self, buf: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
        loop {
            self.half.readable().await?;
            match self.half.try_read(buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.heard.touch();
                    self.frames.pass(&buf[..count])?;
                    return Ok((count, Vec::new()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Follows the boundaries of messages in a stream.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; FIXED],
    have: usize,
    /// Bytes of the current message still to come after its fixed header.
    rest: usize,
}

impl Frames {
    /// Looks at bytes on their way.
    ///
    /// # Errors
    /// They begin a message that is too long or that no message looks like.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let skip = self.rest.min(bytes.len());
            self.rest -= skip;
            bytes = &bytes[skip..];
            let take = (FIXED - self.have).min(bytes.len());
            self.header[self.have..self.have + take].copy_from_slice(&bytes[..take]);
            self.have += take;
            bytes = &bytes[take..];
            if self.have == FIXED {
                self.have = 0;
                self.rest = rest(&self.header)?;
            }
        }
        Ok(())
    }
}

/// Bytes that follow a fixed header.
fn rest(header: &[u8; FIXED]) -> Result<usize> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidData, why.to_owned()));
    let [order, kind, _, version, b @ ..] = *header;
    let [b0, b1, b2, b3, s0, s1, s2, s3, f0, f1, f2, f3] = b;
    let read: fn([u8; 4]) -> u32 = match order {
        b'l' => u32::from_le_bytes,
        b'B' => u32::from_be_bytes,
        _ => return refuse("unknown byte order"),
    };
    let (body, serial, fields) = (
        read([b0, b1, b2, b3]),
        read([s0, s1, s2, s3]),
        read([f0, f1, f2, f3]),
    );
    if version != 1 || !(1..=4).contains(&kind) || serial == 0 {
        return refuse("not a message of protocol version 1");
    }
    // Both are below 2^32, and so is their sum's rounding in u64.
    let total = u64::from(fields).next_multiple_of(8) + u64::from(body);
    match usize::try_from(total) {
        Ok(total) if total + FIXED <= MAX_BUS_MESSAGE => Ok(total),
        _ => refuse("the message is too long"),
    }
}
