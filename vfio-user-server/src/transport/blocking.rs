//! Serves a device on the calling thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::step;
use crate::device::Device;
use crate::endpoint::Endpoint;
use crate::limits;
use crate::mailbox::Wake;
use crate::observer::Observer;
use crate::session::{Config, Ended};

pub use super::Listener;

#[derive(Debug)]
struct EventWake(Arc<EventFd>);

impl Wake for EventWake {
    fn wake(&self) {
        // Full or interrupted, it is readable either way.
        let _ = self.0.write(1);
    }
}

/// Serves `device` to the client at the other end of `stream` until the connection ends.
///
/// Other threads end it with [`crate::Link::shutdown_handle`], which the device has.
pub fn serve<D: Device + ?Sized>(
    stream: &UnixStream,
    device: &mut D,
    config: &Config,
    observer: &Observer,
) -> Ended {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let event = match EventFd::from_value_and_flags(0, flags) {
        Ok(event) => Arc::new(event),
        Err(errno) => return Ended::Io(errno.into()),
    };
    let wake = Box::new(EventWake(Arc::clone(&event)));
    let mut endpoint = Endpoint::new(device, config.clone(), observer.clone(), wake);
    let mut buffer = vec![0; limits::READ_CHUNK];
    let why = loop {
        if let Err(why) = turn(stream.as_fd(), &event, &mut endpoint, &mut buffer) {
            break why;
        }
    };
    endpoint.finish(why)
}

fn turn<D: Device + ?Sized>(
    socket: BorrowedFd<'_>,
    event: &EventFd,
    endpoint: &mut Endpoint<'_, D>,
    buffer: &mut [u8],
) -> Result<(), Ended> {
    endpoint.pump();
    step::settle(step::write(socket, endpoint))?;
    if let Some(why) = endpoint.ended() {
        return Err(why);
    }
    let mut interest = PollFlags::empty();
    if endpoint.wants_input() {
        interest |= PollFlags::POLLIN;
    }
    if endpoint.output().is_some() {
        interest |= PollFlags::POLLOUT;
    }
    let mut fds = [
        PollFd::new(socket, interest),
        PollFd::new(event.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(Ended::Io(errno.into())),
    }
    let ready = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
    let [socket_ready, event_ready] = fds.each_ref().map(ready);
    if event_ready.contains(PollFlags::POLLIN) {
        let _ = event.read();
    }
    if socket_ready.contains(PollFlags::POLLIN) && endpoint.wants_input() {
        return step::settle(step::read(socket, endpoint, buffer).map(drop));
    }
    if socket_ready.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
        return Err(Ended::ClientClosed);
    }
    Ok(())
}

/// Serves `device` at `path`, open to its own user only, to one client after the other, for ever and
/// with the default configuration.
///
/// # Errors
/// What [`Listener::bind`] and accepting say.
pub fn serve_at<D: Device + ?Sized>(path: impl AsRef<Path>, device: &mut D) -> io::Result<()> {
    let listener = Listener::bind(path, 0o600)?;
    serve_all(
        &listener,
        device,
        &Config::default(),
        &Observer::new(),
        |_| true,
    )
}

/// Serves `device` at `listener` to one client after the other. A second client waits until the
/// first has gone. `each` sees why each connection ended and says whether to go on.
///
/// # Errors
/// What accepting says.
pub fn serve_all<D: Device + ?Sized>(
    listener: &Listener,
    device: &mut D,
    config: &Config,
    observer: &Observer,
    mut each: impl FnMut(Ended) -> bool,
) -> io::Result<()> {
    loop {
        let stream = listener.accept()?;
        if !each(serve(&stream, device, config, observer)) {
            return Ok(());
        }
    }
}
