//! Serves a device in a task (feature `tokio`).

use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::step;
use crate::device::Device;
use crate::endpoint::Endpoint;
use crate::limits;
use crate::mailbox::Wake;
use crate::observer::Observer;
use crate::session::{Config, Ended};

#[derive(Debug)]
struct NotifyWake(Arc<Notify>);

impl Wake for NotifyWake {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// Serves `device` to the client at the other end of `stream` until the connection ends.
///
/// Requests are served on the calling task, which never blocks. Other tasks and threads end the
/// connection with [`crate::Link::shutdown_handle`], or by dropping the future, which is safe at any
/// point: the device's `disconnected` hook then runs with [`Ended::Dropped`].
pub async fn serve<D: Device + ?Sized>(
    stream: UnixStream,
    device: &mut D,
    config: &Config,
    observer: &Observer,
) -> Ended {
    let notify = Arc::new(Notify::new());
    let wake = Box::new(NotifyWake(Arc::clone(&notify)));
    let mut endpoint = Endpoint::new(device, config.clone(), observer.clone(), wake);
    let mut buffer = vec![0; limits::READ_CHUNK];
    let why = loop {
        if let Err(why) = turn(&stream, &notify, &mut endpoint, &mut buffer).await {
            break why;
        }
    };
    endpoint.finish(why)
}

async fn turn<D: Device + ?Sized>(
    stream: &UnixStream,
    notify: &Notify,
    endpoint: &mut Endpoint<'_, D>,
    buffer: &mut [u8],
) -> Result<(), Ended> {
    endpoint.pump();
    if endpoint.output().is_some() {
        let written = io_result(stream, Interest::WRITABLE, || {
            step::write(stream.as_fd(), endpoint)
        });
        step::settle(written)?;
    }
    if let Some(why) = endpoint.ended() {
        return Err(why);
    }
    let mut interest = Interest::ERROR;
    if endpoint.wants_input() {
        interest |= Interest::READABLE;
    }
    if endpoint.output().is_some() {
        interest |= Interest::WRITABLE;
    }
    let ready = tokio::select! {
        ready = stream.ready(interest) => Some(ready?),
        () = notify.notified() => None,
    };
    let Some(ready) = ready else { return Ok(()) };
    if ready.is_readable() && endpoint.wants_input() {
        let read = io_result(stream, Interest::READABLE, || {
            step::read(stream.as_fd(), endpoint, buffer)
        });
        return step::settle(read);
    }
    Ok(())
}

// `try_io` clears readiness when the call says "would block"; other ends pass through it unchanged.
fn io_result(
    stream: &UnixStream,
    interest: Interest,
    call: impl FnOnce() -> Result<(), Ended>,
) -> Result<(), Ended> {
    let mut ended = None;
    let result = stream.try_io(interest, || match call() {
        Ok(()) => Ok(()),
        Err(Ended::Io(error)) => Err(error),
        Err(other) => {
            ended = Some(other);
            Ok(())
        }
    });
    match (ended, result) {
        (Some(ended), _) => Err(ended),
        (None, result) => result.map_err(Ended::Io),
    }
}
