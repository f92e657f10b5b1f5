//! Tells a service manager how the daemon fares (`sd_notify(3)`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::time::{ClockId, clock_gettime};

/// Sends `state` to `NOTIFY_SOCKET`, if there is one. Nobody waits for it, so failing is no harm.
pub fn notify(state: &str) {
    let Some(target) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match target.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&target),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not stop who tells it.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = sent {
        let state = state.lines().next().unwrap_or_default();
        tracing::debug!("the service manager was not told {state}: {error}");
    }
}

/// The daemon serves; `status` is what an operator reads in `systemctl status`.
pub fn ready(status: &str) {
    notify(&format!("READY=1\nSTATUS={status}"));
}

/// A reload begins; it ends with [`ready`]. Managers want to know when, to tell it from an older one.
pub fn reloading() {
    let microseconds = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        now.tv_sec().unsigned_abs() * 1_000_000 + now.tv_nsec().unsigned_abs() / 1000
    });
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// The daemon is alive, and this is how it fares.
pub fn alive(status: &str) {
    notify(&format!("WATCHDOG=1\nSTATUS={status}"));
}
