//! Numbered UDP datagrams whose contents are checked, sent one by one or as segmented sends.

use crate::sys;
use lab_guest::limits::RECEIVE_BUFFER;
use lab_guest::pattern;
use lab_guest::tally::Tally;
use lab_guest::wire::{StreamArgs, StreamReport};
use std::io::{self, ErrorKind, Write};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Pattern of datagrams; the sequence number is added.
const SEED: u64 = 0x7564_7000;

/// Bytes of the sequence number in front of each datagram's pattern.
const NUMBER: usize = 8;

/// Bytes of one segmented send at most (an IPv4 datagram's payload, with room to spare).
const MAX_SEND: usize = 60_000;

/// Datagrams sent before the sender rests for a moment, so that UDP needs no flow control.
const BATCH: u64 = 64;

fn shape(args: &StreamArgs) -> io::Result<(usize, u64)> {
    let size = usize::from(args.datagram.unwrap_or(0));
    if size <= NUMBER {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "datagrams need more than 8 bytes",
        ));
    }
    Ok((size, args.bytes.div_ceil(size as u64)))
}

/// Sends `bytes` bytes, rounded up to whole datagrams.
pub fn send(args: &StreamArgs) -> io::Result<StreamReport> {
    let (size, count) = shape(args)?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((args.address.as_str(), args.port))?;
    let together = usize::from(args.segments.unwrap_or(1)).clamp(1, MAX_SEND / size) as u64;
    if together > 1 {
        sys::segment_datagrams(&socket, args.datagram.unwrap_or(0))?;
    }
    let start = Instant::now();
    let mut data = vec![0; size * together as usize];
    let mut sent = 0;
    while sent < count {
        let now = together.min(count - sent);
        for (offset, one) in data.chunks_exact_mut(size).take(now as usize).enumerate() {
            let number = sent + offset as u64;
            one[..NUMBER].copy_from_slice(&number.to_be_bytes());
            pattern::fill(SEED ^ number, 0, &mut one[NUMBER..]);
        }
        match socket.send(&data[..size * now as usize]) {
            Ok(_) => sent += now,
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) => return Err(error),
        }
        if sent % BATCH < together {
            sys::pause(Duration::from_millis(2));
        }
    }
    Ok(StreamReport {
        bytes: sent * size as u64,
        seconds: start.elapsed().as_secs_f64(),
        ..Default::default()
    })
}

/// Receives until all datagrams came, or until none came for a second after the first.
pub fn receive(args: &StreamArgs) -> io::Result<StreamReport> {
    let (size, count) = shape(args)?;
    let socket = UdpSocket::bind((args.address.as_str(), args.port))?;
    sys::receive_buffer(&socket, RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(Duration::from_secs_f64(args.seconds)))?;
    writeln!(io::stderr(), "ready")?;
    let mut tally = Tally::default();
    let mut report = StreamReport::default();
    let mut data = vec![0; 65_536];
    let mut start = None;
    while tally.received() < count && !sys::stopping() {
        let got = match socket.recv(&mut data) {
            Ok(got) => got,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if start.is_none() {
            start = Some(Instant::now());
            socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        }
        report.bytes += got as u64;
        let Some((head, body)) = data[..got].split_first_chunk::<NUMBER>() else {
            report.corrupt += 1;
            continue;
        };
        let number = u64::from_be_bytes(*head);
        if got != size || number >= count || pattern::mismatches(SEED ^ number, 0, body) != 0 {
            report.corrupt += 1;
        } else {
            tally.frame(number);
        }
    }
    report.lost = count - tally.received().min(count);
    report.seconds = start.map_or(0.0, |s: Instant| s.elapsed().as_secs_f64());
    Ok(report)
}
