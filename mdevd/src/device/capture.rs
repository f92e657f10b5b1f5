//! A capture: from a device's tap into a pipe, as pcapng.
//!
//! One task for each. It waits for the tap, for its reader and for its time; nobody waits for it. What its reader
//! does not take in time stays in the pipe and in the tap, and what finds no room there is lost to the capture and
//! counted.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use libcvf::cvf::{Catch, Cvf, Tap, TapError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::sys;
use crate::engine::{Capture, EngineError, Events, Happening};
use crate::limits::{CAPTURE_GATHER, CAPTURE_WRITE, FAREWELL_DEADLINE};
use crate::pcapng::{self, Statistics};

/// Begins a capture. Returns the end to read from.
pub(super) fn begin(
    cvf: &Arc<Cvf>,
    events: &Events,
    runtime: &Handle,
    capture: Capture,
) -> Result<OwnedFd, EngineError> {
    let name = cvf.spec().name.clone();
    let internal = |error: io::Error| EngineError::Internal {
        attempted: "capture",
        name: cvf.spec().name.clone(),
        why: error.to_string(),
    };
    let _runtime = runtime.enter();
    let (sender, receiver) = pipe::pipe().map_err(internal)?;
    let reader = receiver.into_blocking_fd().map_err(internal)?;
    let tap = cvf
        .tap(capture.wanted)
        .map_err(|error| refused(&name, &error))?;
    let bell = tap.bell().try_clone_to_owned().and_then(sys::watch);
    let bell = bell.map_err(|error| {
        cvf.untap(&tap);
        internal(error)
    })?;
    let running = Running {
        uuid: Uuid::from_bytes(cvf.spec().uuid),
        mac: cvf.health().mac.0,
        cvf: Arc::downgrade(cvf),
        events: events.clone(),
        name,
        capture,
        statistics: Statistics {
            start: now(),
            ..Statistics::default()
        },
        frames: 0,
        why: "the daemon has ended it",
        tap,
    };
    running.tell_begin();
    runtime.spawn(run(running, bell, sender));
    Ok(reader)
}

fn refused(name: &str, error: &TapError) -> EngineError {
    let (attempted, name) = ("capture", name.to_owned());
    match error {
        TapError::TooMany => EngineError::Exhausted {
            attempted,
            name,
            why: format!("{error}; end one of them"),
        },
        TapError::Gone | TapError::Unseen => EngineError::NotReady {
            attempted,
            name,
            why: error.to_string(),
        },
        TapError::Event(_) => EngineError::Internal {
            attempted,
            name,
            why: error.to_string(),
        },
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// A capture that has begun, and is over when this is dropped.
struct Running {
    name: String,
    uuid: Uuid,
    mac: [u8; 6],
    cvf: Weak<Cvf>,
    tap: Arc<Tap>,
    events: Events,
    capture: Capture,
    statistics: Statistics,
    /// Frames that were written.
    frames: u64,
    /// Why it ended.
    why: &'static str,
}

impl Running {
    fn tell_begin(&self) {
        let (device, uuid, by) = (self.name.as_str(), self.uuid, self.capture.by.as_str());
        tracing::info!(target: "audit", device, %uuid, by, wanted = ?self.capture.wanted, "a capture has begun");
        self.events.publish(Happening::CaptureBegun {
            device: self.name.clone(),
            by: self.capture.by.clone(),
        });
    }

    /// Frames that may still be written.
    fn left(&self) -> u64 {
        self.capture
            .count
            .map_or(u64::MAX, |count| count - self.frames)
    }

    fn untap(&self) {
        if let Some(cvf) = self.cvf.upgrade() {
            cvf.untap(&self.tap);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.untap();
        let (device, uuid, by) = (self.name.as_str(), self.uuid, self.capture.by.as_str());
        let (frames, lost, why) = (self.frames, self.statistics.lost, self.why);
        tracing::info!(target: "audit", device, %uuid, by, frames, lost, why, "a capture has ended");
        self.events.publish(Happening::CaptureEnded {
            device: self.name.clone(),
            by: self.capture.by.clone(),
            frames,
            lost,
            reason: why.to_owned(),
        });
    }
}

/// The pipe, and what waits to be written into it.
struct Output {
    pipe: pipe::Sender,
    bytes: Vec<u8>,
    /// The bell was heard while something else was waited for.
    rang: bool,
}

/// Why a capture ends before all is said.
enum Cut {
    /// Nobody reads any more.
    Left,
    /// It is not read although it is over.
    Stuck,
}

type Bell = AsyncFd<OwnedFd>;

/// Waits for the bell and silences it.
async fn rung(bell: &Bell) {
    while let Ok(mut ready) = bell.readable().await {
        let mut count = [0; 8];
        let read = ready.try_io(|bell| Ok(nix::unistd::read(bell.get_ref(), &mut count)?));
        if matches!(read, Ok(Ok(_))) {
            return;
        }
    }
}

impl Output {
    /// Writes all that waits. Once it is over, in a moment or never.
    async fn flush(&mut self, running: &Running, bell: &Bell, until: Until) -> Result<(), Cut> {
        let mut done = 0;
        let mut over = until.0.map(|until| until + FAREWELL_DEADLINE);
        while done < self.bytes.len() {
            if over.is_none() && running.tap.is_over() {
                over = Some(Instant::now() + FAREWELL_DEADLINE);
            }
            tokio::select! {
                biased;
                ready = self.pipe.writable() => {
                    ready.map_err(|_| Cut::Left)?;
                    match self.pipe.try_write(&self.bytes[done..]) {
                        Ok(count) => done += count,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => return Err(Cut::Left),
                    }
                }
                () = rung(bell) => self.rang = true,
                () = Until(over).wait() => return Err(Cut::Stuck),
            }
        }
        self.bytes.clear();
        Ok(())
    }
}

/// A moment that may never come.
#[derive(Clone, Copy)]
struct Until(Option<Instant>);

impl Until {
    async fn wait(self) {
        match self.0 {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

async fn run(mut running: Running, bell: Bell, pipe: pipe::Sender) {
    let mut output = Output {
        pipe,
        bytes: Vec::with_capacity(2 * CAPTURE_WRITE),
        rang: false,
    };
    pcapng::section(&mut output.bytes);
    let interface = pcapng::Interface {
        name: &running.name,
        mac: running.mac,
        snaplen: running.capture.wanted.snaplen as u32,
    };
    pcapng::interface(&mut output.bytes, &interface);
    let until = Until(running.capture.time.map(|time| Instant::now() + time));
    let ended = forward(&mut running, &bell, &mut output, until).await;
    running.untap();
    running.why = match ended {
        Ok(why) => {
            running.statistics.end = now();
            pcapng::statistics(&mut output.bytes, &running.statistics);
            let last = Until(Some(Instant::now()));
            match output.flush(&running, &bell, last).await {
                Ok(()) => why,
                Err(cut) => cut.why(),
            }
        }
        Err(cut) => cut.why(),
    };
}

impl Cut {
    const fn why(&self) -> &'static str {
        match self {
            Self::Left => "its reader has left",
            Self::Stuck => "its reader did not take what there was",
        }
    }
}

/// Writes frames until there will be no more: why.
async fn forward(
    running: &mut Running,
    bell: &Bell,
    output: &mut Output,
    until: Until,
) -> Result<&'static str, Cut> {
    let mut catch = Catch::default();
    loop {
        output.flush(running, bell, until).await?;
        let over = await_frames(running, bell, output, until).await?;
        let lost = running.tap.take(&mut catch);
        for seen in catch.frames() {
            if running.left() == 0 {
                break;
            }
            pcapng::packet(&mut output.bytes, &seen);
            running.frames += 1;
            if output.bytes.len() >= CAPTURE_WRITE {
                output.flush(running, bell, until).await?;
            }
        }
        running.statistics.seen = running.frames + lost;
        running.statistics.lost = lost;
        if running.left() == 0 {
            return Ok("all frames that it was to have are there");
        }
        if let Some(why) = over {
            return Ok(why);
        }
    }
}

/// Waits until frames are worth to be taken; says why there will be no more after those.
async fn await_frames(
    running: &Running,
    bell: &Bell,
    output: &mut Output,
    until: Until,
) -> Result<Option<&'static str>, Cut> {
    let time = "its time is over";
    let over = || running.tap.is_over().then_some("the device is gone");
    if over().is_some() {
        return Ok(over());
    }
    // The first frame of those that wait may have rung while others were written.
    if !std::mem::take(&mut output.rang) {
        tokio::select! {
        biased;
        // Nothing but its reader's leaving makes a pipe fail.
        _ = output.pipe.ready(Interest::ERROR) => return Err(Cut::Left),
        () = until.wait() => return Ok(Some(time)),
        () = rung(bell) => {}
        }
    }
    if over().is_some() {
        return Ok(over());
    }
    // So that a frame does not cost a wake-up: until more of them are there, but not for long.
    let _ = timeout_at(Instant::now() + CAPTURE_GATHER, rung(bell)).await;
    Ok(over())
}
