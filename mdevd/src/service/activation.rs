//! The control socket, when the service manager made it (`sd_listen_fds(3)`).

use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};

use super::sys;

/// Name of the control socket among the descriptors that are handed over (`FileDescriptorName=`).
pub const CONTROL: &str = "control";

/// The first descriptor that is handed over, as the protocol has it.
const FIRST: RawFd = 3;

/// What was handed over cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivationError {
    /// The environment is not as the protocol has it.
    #[error(
        "{variable} is '{value}', which is no number; start mdevd by a service manager or without that variable"
    )]
    Environment {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// None of them is the control socket.
    #[error(
        "none of the {count} sockets handed over (LISTEN_FDNAMES={names}) is named '{CONTROL}'; set \
         FileDescriptorName={CONTROL} in the socket unit"
    )]
    Unnamed {
        /// How many there are.
        count: usize,
        /// Their names.
        names: String,
    },
    /// The control socket is something else.
    #[error(
        "the descriptor handed over as '{CONTROL}' is no listening UNIX stream socket ({why}); the socket unit \
         wants ListenStream= with a path"
    )]
    NotListening {
        /// What it is, or why that is not known.
        why: String,
    },
}

/// What the environment says about descriptors that were handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) pid: Option<String>,
    pub(super) fds: Option<String>,
    pub(super) names: Option<String>,
}

impl Offer {
    fn of_environment() -> Self {
        let env = |name| std::env::var(name).ok();
        Self {
            pid: env("LISTEN_PID"),
            fds: env("LISTEN_FDS"),
            names: env("LISTEN_FDNAMES"),
        }
    }

    /// How many descriptors are meant for the process `own`, and which of them is the control socket.
    pub(super) fn control(&self, own: u32) -> Result<Option<(usize, usize)>, ActivationError> {
        let (Some(pid), Some(fds)) = (&self.pid, &self.fds) else {
            return Ok(None);
        };
        let number = |variable, value: &String| {
            let refuse = |_| ActivationError::Environment {
                variable,
                value: value.clone(),
            };
            value.parse::<u32>().map_err(refuse)
        };
        if number("LISTEN_PID", pid)? != own {
            // Inherited from somebody who was activated.
            return Ok(None);
        }
        let count = number("LISTEN_FDS", fds)? as usize;
        if count == 0 {
            return Ok(None);
        }
        let names = self.names.as_deref().unwrap_or_default();
        let named = names.split(':').position(|name| name == CONTROL);
        match named {
            Some(at) if at < count => Ok(Some((count, at))),
            // Without names there is nothing to tell them by; one is taken for what it must be.
            _ if names.is_empty() && count == 1 => Ok(Some((1, 0))),
            _ => Err(ActivationError::Unnamed {
                count,
                names: names.chars().take(crate::limits::MAX_SHOWN).collect(),
            }),
        }
    }
}

/// The control socket that this process was started with, if it was. Only the first call finds it; what
/// else was handed over is closed.
///
/// # Errors
/// [`ActivationError`]: something was handed over and cannot be used.
pub fn control_socket() -> Result<Option<UnixListener>, ActivationError> {
    let Some((count, at)) = Offer::of_environment().control(std::process::id())? else {
        return Ok(None);
    };
    let count = count.min(crate::limits::MAX_HANDED_OVER);
    let mut handed = sys::take(FIRST, count);
    if at >= handed.len() {
        let why = "it is not open".to_owned();
        return Err(ActivationError::NotListening { why });
    }
    listener(handed.swap_remove(at)).map(Some)
}

/// Makes sure of what was handed over.
pub(super) fn listener(socket: OwnedFd) -> Result<UnixListener, ActivationError> {
    let not = |why: &str| ActivationError::NotListening {
        why: why.to_owned(),
    };
    let asked = |error: nix::errno::Errno| not(error.desc());
    if getsockopt(&socket, sockopt::SockType).map_err(asked)? != SockType::Stream {
        return Err(not("its type is another one"));
    }
    if !getsockopt(&socket, sockopt::AcceptConn).map_err(asked)? {
        return Err(not("it does not listen"));
    }
    let raw = std::os::fd::AsRawFd::as_raw_fd(&socket);
    let address: SockaddrStorage = getsockname(raw).map_err(asked)?;
    if address.family() != Some(AddressFamily::Unix) {
        return Err(not("its address family is another one"));
    }
    fcntl(socket.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(asked)?;
    let flags = fcntl(socket.as_fd(), FcntlArg::F_GETFL).map_err(asked)?;
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
    fcntl(socket.as_fd(), FcntlArg::F_SETFL(flags)).map_err(asked)?;
    Ok(UnixListener::from(socket))
}
