//! A byte stream over TCP whose every byte is checked on arrival.

use crate::datagrams;
use lab_guest::pattern;
use lab_guest::wire::{StreamArgs, StreamReport};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Pattern of TCP streams.
const SEED: u64 = 0x7463_7000;

/// Bytes handled by one system call.
const CHUNK: usize = 64 << 10;

/// Connects and sends `bytes` bytes of the pattern.
pub fn send(args: &StreamArgs) -> io::Result<StreamReport> {
    if args.datagram.is_some() {
        return datagrams::send(args);
    }
    let start = Instant::now();
    let mut peer = TcpStream::connect((args.address.as_str(), args.port))?;
    peer.set_write_timeout(Some(Duration::from_secs_f64(args.seconds)))?;
    let mut chunk = vec![0; CHUNK];
    let mut sent = 0;
    while sent < args.bytes {
        let size = (args.bytes - sent).min(CHUNK as u64) as usize;
        pattern::fill(SEED, sent, &mut chunk[..size]);
        peer.write_all(&chunk[..size])?;
        sent += size as u64;
    }
    peer.shutdown(std::net::Shutdown::Write)?;
    peer.set_read_timeout(Some(Duration::from_secs_f64(args.seconds)))?;
    // The receiver closes only after it has checked everything.
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest)?;
    Ok(StreamReport {
        bytes: sent,
        seconds: start.elapsed().as_secs_f64(),
        ..Default::default()
    })
}

/// Accepts one connection and checks what comes until it is closed.
pub fn receive(args: &StreamArgs) -> io::Result<StreamReport> {
    if args.datagram.is_some() {
        return datagrams::receive(args);
    }
    let listener = TcpListener::bind((args.address.as_str(), args.port))?;
    writeln!(io::stderr(), "ready")?;
    let (mut peer, _) = listener.accept()?;
    peer.set_read_timeout(Some(Duration::from_secs_f64(args.seconds)))?;
    let start = Instant::now();
    let mut report = StreamReport::default();
    let mut chunk = vec![0; CHUNK];
    loop {
        let got = match peer.read(&mut chunk) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        report.corrupt += pattern::mismatches(SEED, report.bytes, &chunk[..got]);
        report.bytes += got as u64;
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}
