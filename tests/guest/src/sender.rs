//! Sends numbered frames, paced or as fast as they go.

use crate::sys::{self, PacketSocket};
use lab_guest::frame;
use lab_guest::limits::{BURST, MAX_FRAME};
use lab_guest::wire::{SendFrames, SendReport};
use std::fs;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// End marks sent; one suffices, the others are for links that lose frames.
const END_MARKS: usize = 3;

/// Sends until the count or the time is reached or SIGTERM comes, then marks the end.
pub fn run(args: &SendFrames) -> io::Result<SendReport> {
    let bad = |what: &str| io::Error::new(ErrorKind::InvalidInput, what.to_owned());
    if !(frame::MIN_FRAME..=MAX_FRAME).contains(&args.size) {
        return Err(bad("frame size out of range"));
    }
    let destination = frame::parse_mac(&args.destination).ok_or_else(|| bad("bad destination"))?;
    let address = fs::read_to_string(format!("/sys/class/net/{}/address", args.interface))?;
    let source = frame::parse_mac(&address).ok_or_else(|| bad("interface without MAC"))?;
    let socket = PacketSocket::open(&args.interface, 0, 0)?;

    let mut frames = vec![vec![0; args.size]; BURST];
    let mut report = SendReport::default();
    let start = Instant::now();
    let limit = (args.seconds > 0.0).then(|| start + Duration::from_secs_f64(args.seconds));
    loop {
        let over = limit.is_some_and(|at| Instant::now() >= at);
        if over || sys::stopping() || (args.count > 0 && report.sent >= args.count) {
            break;
        }
        let burst = due(args, report.sent, start.elapsed());
        if burst == 0 {
            sys::pause(until_next(args.rate, report.sent, start));
            continue;
        }
        for (offset, data) in frames[..burst].iter_mut().enumerate() {
            let number = report.sent + offset as u64;
            frame::write(data, destination, source, args.stream, number, false);
        }
        let mut views: Vec<&[u8]> = frames[..burst].iter().map(Vec::as_slice).collect();
        while !views.is_empty() {
            let taken = push(&socket, &views, &mut report)?;
            views.drain(..taken);
            report.sent += taken as u64;
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    let mut mark = vec![0; args.size];
    frame::write(
        &mut mark,
        destination,
        source,
        args.stream,
        report.sent,
        true,
    );
    let mut marks: Vec<&[u8]> = vec![&mark; END_MARKS];
    while !marks.is_empty() {
        let taken = push(&socket, &marks, &mut report)?;
        marks.drain(..taken);
    }
    Ok(report)
}

/// Frames to send now to keep the pace.
fn due(args: &SendFrames, sent: u64, elapsed: Duration) -> usize {
    let wanted = match args.rate {
        0 => u64::MAX,
        rate => (elapsed.as_secs_f64() * rate as f64) as u64,
    };
    let left = if args.count == 0 {
        u64::MAX
    } else {
        args.count - sent
    };
    wanted.saturating_sub(sent).min(left).min(BURST as u64) as usize
}

/// Time until frame number `sent` is due.
fn until_next(rate: u64, sent: u64, start: Instant) -> Duration {
    let at = start + Duration::from_secs_f64((sent + 1) as f64 / rate.max(1) as f64);
    at.saturating_duration_since(Instant::now())
        .max(Duration::from_micros(50))
}

/// Sends what the kernel takes of `frames`; waits when it has no room.
fn push(socket: &PacketSocket, frames: &[&[u8]], report: &mut SendReport) -> io::Result<usize> {
    match socket.send(frames) {
        Ok(taken) => Ok(taken),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOBUFS | libc::EAGAIN) => {
                report.waits += 1;
                sys::pause(Duration::from_micros(200));
                Ok(0)
            }
            Some(libc::EINTR) => Ok(0),
            _ => Err(error),
        },
    }
}
