//! Whether the way out has a carrier, told as it happens.
//!
//! The kernel tells of interfaces over a netlink socket, which whoever reads the uplink waits for, too. A message
//! only says that something may have changed: the interface itself is asked.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use super::sys;
use crate::limits::BURST;

/// Called from a thread of the PF with the new state; must not block.
pub type CarrierWatcher = Box<dyn Fn(bool) + Send + Sync>;

/// Whether a way out has a carrier, and who is told. Readers never wait.
pub(super) struct LinkState {
    uplink: String,
    up: AtomicBool,
    watcher: OnceLock<CarrierWatcher>,
}

impl LinkState {
    /// Of a way out of this name.
    pub(super) fn new(uplink: &str, up: bool) -> Self {
        Self {
            uplink: uplink.to_owned(),
            up: AtomicBool::new(up),
            watcher: OnceLock::new(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Only the first is told.
    pub(super) fn watch(&self, watcher: CarrierWatcher) {
        let _ = self.watcher.set(watcher);
    }

    /// Sets it; who watches is told of a change.
    pub(super) fn set(&self, up: bool) {
        if self.up.swap(up, Ordering::AcqRel) == up {
            return;
        }
        tracing::info!(uplink = self.uplink, up, "carrier");
        if let Some(watcher) = self.watcher.get() {
            watcher(up);
        }
    }
}

/// The carrier of one interface. Readers never wait.
pub(super) struct Carrier {
    state: LinkState,
    news: Option<OwnedFd>,
}

impl Carrier {
    /// Of an interface that is there. Without news from the kernel it stays as it is found, which is logged.
    pub(super) fn of(interface: &str) -> Self {
        let news = listen()
            .inspect_err(|errno| {
                tracing::warn!(uplink = interface, %errno, "its carrier cannot be followed");
            })
            .ok();
        let carrier = Self {
            state: LinkState::new(interface, true),
            news,
        };
        carrier.look();
        carrier
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.is_up()
    }

    /// Only the first is told.
    pub(super) fn watch(&self, watcher: CarrierWatcher) {
        self.state.watch(watcher);
    }

    /// Readable when something has happened to some interface.
    pub(super) fn news(&self) -> Option<BorrowedFd<'_>> {
        self.news.as_ref().map(AsFd::as_fd)
    }

    /// Takes the news and looks at the interface.
    pub(super) fn heard(&self) {
        let mut message = [0; 8192];
        if let Some(news) = self.news() {
            // What did not fit is lost, and with it only the reason to look. Never more than a burst: frames wait.
            for _ in 0..BURST {
                let taken = recv(news.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT);
                if taken == Err(Errno::EAGAIN) {
                    break;
                }
            }
        }
        self.look();
    }

    /// Its interface is gone.
    pub(super) fn lost(&self) {
        self.state.set(false);
    }

    fn look(&self) {
        // Where it cannot be asked, moved into another namespace for example, frames may pass all the same.
        self.state
            .set(sys::carrier(&self.state.uplink).unwrap_or(true));
    }
}

fn listen() -> nix::Result<OwnedFd> {
    let news = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    bind(
        news.as_raw_fd(),
        &NetlinkAddr::new(0, libc::RTMGRP_LINK as u32),
    )?;
    Ok(news)
}
