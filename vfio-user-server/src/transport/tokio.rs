//! Serves a device in a task (feature `tokio`).

use std::cell::RefCell;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::linger::Linger;
use super::step::{self, Left};
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
    let mut linger = Linger::default();
    let why = loop {
        if let Err(why) = turn(&stream, &notify, &mut endpoint, &mut linger).await {
            break why;
        }
    };
    endpoint.finish(why)
}

async fn turn<D: Device + ?Sized>(
    stream: &UnixStream,
    notify: &Notify,
    endpoint: &mut Endpoint<'_, D>,
    linger: &mut Linger,
) -> Result<(), Ended> {
    endpoint.pump();
    if endpoint.output().is_some() {
        let written = io_result(stream, Interest::WRITABLE, || {
            step::write(stream.as_fd(), endpoint)
        });
        step::settle(written)?;
        if endpoint.output().is_none() {
            linger.replied(Instant::now());
        }
    }
    if let Some(why) = endpoint.ended() {
        return Err(why);
    }
    if endpoint.wants_input()
        && endpoint.output().is_none()
        && let Some(patience) = linger.patience()
        && look(stream, endpoint, patience)?
    {
        linger.received(Instant::now());
        return Ok(());
    }
    let mut interest = Interest::ERROR;
    if endpoint.wants_input() {
        interest |= Interest::READABLE;
    }
    if endpoint.output().is_some() {
        interest |= Interest::WRITABLE;
    }
    let ready = tokio::select! {
        biased;
        ready = stream.ready(interest) => Some(ready?),
        () = notify.notified() => None,
    };
    let Some(ready) = ready else { return Ok(()) };
    if ready.is_readable() && endpoint.wants_input() {
        let mut received = false;
        let read = io_result(stream, Interest::READABLE, || {
            let left = shared_read(stream, endpoint)?;
            received = true;
            match left {
                // Readiness is over: without this the next look would be a call that finds nothing.
                Left::Nothing => Err(Ended::Io(ErrorKind::WouldBlock.into())),
                Left::Perhaps => Ok(()),
            }
        });
        if received {
            linger.received(Instant::now());
        }
        return step::settle(read);
    }
    Ok(())
}

/// Looks for input again and again, lets others run in between, and reads it once it is there. True
/// if something came in time.
fn look<D: Device + ?Sized>(
    stream: &UnixStream,
    endpoint: &mut Endpoint<'_, D>,
    patience: Duration,
) -> Result<bool, Ended> {
    let start = Instant::now();
    loop {
        // The client may be waiting for this very processor.
        std::thread::yield_now();
        match shared_read(stream, endpoint) {
            Ok(_) => return Ok(true),
            Err(Ended::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return step::settle(Err(error)).map(|()| false),
        }
        if start.elapsed() >= patience {
            return Ok(false);
        }
    }
}

thread_local! {
    /// One buffer a thread, not a connection: nothing is kept in it from one read to the next.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn shared_read<D: Device + ?Sized>(
    stream: &UnixStream,
    endpoint: &mut Endpoint<'_, D>,
) -> Result<Left, Ended> {
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => {
            buffer.resize(limits::READ_CHUNK, 0);
            step::read(stream.as_fd(), endpoint, &mut buffer)
        }
        // A device that serves another connection from inside a request.
        Err(_) => step::read(stream.as_fd(), endpoint, &mut vec![0; limits::READ_CHUNK]),
    })
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
