//! A flow over TCP. The receiver answers each message that is waited for with one byte.

use super::{KNOCK, difference, is_silence, wrong};
use crate::sys;
use lab_guest::pattern;
use lab_guest::plan::Message;
use lab_guest::wire::{FlowArgs, FlowReport};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn prepare(peer: &TcpStream, args: &FlowArgs) -> io::Result<()> {
    let limit = Some(Duration::from_secs_f64(args.seconds));
    peer.set_nodelay(true)?;
    peer.set_read_timeout(limit)?;
    peer.set_write_timeout(limit)
}

pub fn send(args: &FlowArgs, messages: &[Message], report: &mut FlowReport) -> io::Result<()> {
    let limit = Duration::from_secs_f64(args.seconds);
    let deadline = Instant::now() + limit;
    let mut peer = loop {
        match TcpStream::connect_timeout(&(args.address, args.port).into(), limit) {
            Ok(peer) => break peer,
            Err(e) if e.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                sys::pause(KNOCK);
            }
            Err(error) => return Err(error),
        }
    };
    prepare(&peer, args)?;
    let mut data = Vec::new();
    for message in messages {
        data.resize(message.size, 0);
        pattern::fill(message.seed(), 0, &mut data);
        peer.write_all(&data)
            .map_err(|error| wrong(*message, &error.to_string()))?;
        if message.wait {
            peer.read_exact(&mut [0])
                .map_err(|error| wrong(*message, &format!("no answer: {error}")))?;
        }
        report.messages += 1;
        report.bytes += message.size as u64;
    }
    peer.shutdown(std::net::Shutdown::Write)?;
    // The receiver closes when it has seen the end.
    peer.read_to_end(&mut data).map(drop)
}

pub fn receive(args: &FlowArgs, messages: &[Message], report: &mut FlowReport) -> io::Result<()> {
    let listener = TcpListener::bind((args.address, args.port))?;
    let mut peer = accept(&listener, args)?;
    prepare(&peer, args)?;
    let mut data = Vec::new();
    for message in messages {
        data.resize(message.size, 0);
        peer.read_exact(&mut data).map_err(|error| {
            let what = if is_silence(&error) {
                "nothing more came".to_owned()
            } else {
                error.to_string()
            };
            wrong(*message, &what)
        })?;
        if let Some(what) = difference(*message, 0, &data) {
            return Err(wrong(*message, &what));
        }
        report.messages += 1;
        report.bytes += message.size as u64;
        if message.wait {
            peer.write_all(&[1])?;
        }
    }
    match peer.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other("bytes behind the last message")),
    }
}

/// Waits for the one connection.
fn accept(listener: &TcpListener, args: &FlowArgs) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + Duration::from_secs_f64(args.seconds);
    loop {
        match listener.accept() {
            Ok((peer, _)) => {
                peer.set_nonblocking(false)?;
                return Ok(peer);
            }
            Err(e) if is_silence(&e) && Instant::now() < deadline => sys::pause(KNOCK / 10),
            Err(error) => return Err(error),
        }
    }
}
