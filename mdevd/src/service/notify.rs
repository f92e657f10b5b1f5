//! Tells a service manager how the daemon fares (`sd_notify(3)`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::time::{ClockId, clock_gettime};
use parking_lot::Mutex;

/// Sends `state` to `NOTIFY_SOCKET`, if there is one. Nobody waits for it, so failing is no harm.
fn notify(state: &str) {
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

/// What the manager has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Stopping,
}

/// Held while it is told, so that it hears things in their order.
static PHASE: Mutex<Phase> = Mutex::new(Phase::Starting);

/// The daemon serves; `status` is what an operator reads in `systemctl status`. Not told to who knows that it stops.
pub fn ready(status: &str) {
    let mut phase = PHASE.lock();
    if *phase != Phase::Stopping {
        *phase = Phase::Ready;
        notify(&format!("READY=1\nSTATUS={status}"));
    }
}

/// A reload begins; it ends with [`reloaded`]. Managers want to know when, to tell it from an older one. Told to who
/// knows that it is ready only.
pub fn reloading() {
    let microseconds = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        now.tv_sec().unsigned_abs() * 1_000_000 + now.tv_nsec().unsigned_abs() / 1000
    });
    let phase = PHASE.lock();
    if *phase == Phase::Ready {
        notify(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }
}

/// The end of a reload, whatever came of it.
pub fn reloaded(status: &str) {
    let phase = PHASE.lock();
    if *phase == Phase::Ready {
        notify(&format!("READY=1\nSTATUS={status}"));
    }
}

/// How the daemon fares.
pub fn faring(status: &str) {
    let phase = PHASE.lock();
    if *phase == Phase::Ready {
        notify(&format!("STATUS={status}"));
    }
}

/// The daemon stops: nothing but signs of life is told from here on.
pub fn stopping() {
    let mut phase = PHASE.lock();
    *phase = Phase::Stopping;
    notify("STOPPING=1");
}

/// The daemon is alive, and this is how it fares.
pub fn alive(status: &str) {
    notify(&format!("WATCHDOG=1\nSTATUS={status}"));
}
