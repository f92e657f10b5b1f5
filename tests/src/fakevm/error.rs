//! What can go wrong between a driver and the device it drives.

use std::io;
use std::path::PathBuf;

/// Shorthand for results of the fake VM.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure seen from the client's side of the connection.
///
/// The variants separate *who* is at fault, because tests assert on exactly that: a refusal is a
/// server that works, a broken protocol is one that does not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's socket could not be reached.
    #[error("connecting to {path}: {source}; is the device created and its socket listening?")]
    Connect {
        /// Socket that was tried.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The peer did not answer or act in time.
    #[error("{what}: the deadline passed")]
    Timeout {
        /// What was waited for.
        what: String,
    },
    /// The peer closed the connection.
    #[error("{what}: the peer closed the connection")]
    Closed {
        /// What was attempted.
        what: String,
    },
    /// The peer answered with an error number.
    #[error("{command} was refused: {}", io::Error::from_raw_os_error(*.errno as i32))]
    Refused {
        /// Name of the command, as in the specification.
        command: &'static str,
        /// The error number of the reply.
        errno: u32,
    },
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
    /// The device broke its specification.
    #[error("the device broke the specification: {0}")]
    Device(String),
    /// The device cannot do what was asked of it.
    #[error("not possible with this device: {0}")]
    Unsupported(String),
    /// The kernel's VFIO does not give what was asked of it.
    #[error("{0}")]
    Vfio(String),
    /// Guest memory has no room, or does not cover an address.
    #[error("guest memory: {0}")]
    Memory(String),
}

impl Error {
    /// Wraps a failed system call.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { what, source }
    }

    /// Wraps a failed system call made through `nix`.
    pub fn errno(what: &'static str) -> impl FnOnce(nix::errno::Errno) -> Error {
        move |source| Error::Io {
            what,
            source: source.into(),
        }
    }

    /// The error number of a refusal, if this is one.
    pub fn refused(&self) -> Option<i32> {
        match self {
            Error::Refused { errno, .. } => Some(*errno as i32),
            _ => None,
        }
    }

    /// Whether the peer is gone.
    pub fn is_closed(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match self {
            Error::Closed { .. } => true,
            Error::Io { source, .. } => matches!(source.kind(), BrokenPipe | ConnectionReset),
            _ => false,
        }
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Error::Timeout { .. })
    }
}
