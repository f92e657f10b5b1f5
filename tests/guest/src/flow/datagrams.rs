//! A flow over UDP. Nothing may be lost: the receiver answers each message that is waited for with the
//! number of messages it has, and there are never more under way than its ring has room for.

use super::{KNOCK, difference, is_silence, wrong};
use crate::sys;
use lab_guest::limits::RECEIVE_BUFFER;
use lab_guest::pattern;
use lab_guest::plan::Message;
use lab_guest::wire::{FlowArgs, FlowReport};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long something that is missing is waited for, to tell late from lost.
const LATE: Duration = Duration::from_millis(500);

pub fn send(args: &FlowArgs, messages: &[Message], report: &mut FlowReport) -> io::Result<()> {
    let here: IpAddr = match args.address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((here, 0))?;
    socket.connect((args.address, args.port))?;
    knock(&socket, args)?;
    socket.set_read_timeout(Some(Duration::from_secs_f64(args.seconds)))?;
    let mut data = Vec::new();
    let mut cut = 0;
    for message in messages {
        if message.segment != cut {
            cut = message.segment;
            sys::segment_datagrams(&socket, cut)?;
        }
        data.resize(message.size, 0);
        pattern::fill(message.seed(), 0, &mut data);
        socket
            .send(&data)
            .map_err(|error| wrong(*message, &error.to_string()))?;
        report.messages += 1;
        report.bytes += message.size as u64;
        while message.wait
            && answer(&socket).map_err(|e| unanswered(*message, &e))? <= message.number
        {}
    }
    Ok(())
}

/// Sends empty datagrams until one is answered.
fn knock(socket: &UdpSocket, args: &FlowArgs) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs_f64(args.seconds);
    socket.set_read_timeout(Some(KNOCK))?;
    loop {
        match socket.send(&[]).and_then(|_| answer(socket)) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > deadline => {
                return Err(io::Error::other(format!("the receiver is not there: {e}")));
            }
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => sys::pause(KNOCK),
            Err(e) if is_silence(&e) => {}
            Err(error) => return Err(error),
        }
    }
}

fn unanswered(message: Message, error: &io::Error) -> io::Error {
    wrong(message, &format!("no answer: {error}"))
}

/// The next answer: how many messages have arrived.
fn answer(socket: &UdpSocket) -> io::Result<u64> {
    let mut number = [0; 8];
    match socket.recv(&mut number)? {
        8 => Ok(u64::from_be_bytes(number)),
        other => Err(io::Error::other(format!("an answer of {other} bytes"))),
    }
}

pub fn receive(args: &FlowArgs, messages: &[Message], report: &mut FlowReport) -> io::Result<()> {
    let socket = UdpSocket::bind((args.address, args.port))?;
    sys::receive_buffer(&socket, RECEIVE_BUFFER)?;
    socket.set_read_timeout(Some(Duration::from_secs_f64(args.seconds)))?;
    let mut data = vec![0; 65_536];
    for message in messages {
        let mut peer = None;
        for (at, size) in message.datagrams() {
            let (got, from) = next(&socket, &mut data, report.messages)
                .map_err(|error| wrong(*message, &error.to_string()))?;
            peer = Some(from);
            let data = &data[..got];
            if got != size || difference(*message, at, data).is_some() {
                let what = strange(messages, *message, at, size, data);
                let later = afterwards(&socket, *message, at, size)?;
                return Err(wrong(*message, &format!("{what}; {later}")));
            }
        }
        report.messages += 1;
        report.bytes += message.size as u64;
        if let (true, Some(peer)) = (message.wait, peer) {
            socket.send_to(&report.messages.to_be_bytes(), peer)?;
        }
    }
    socket.set_nonblocking(true)?;
    match socket.recv(&mut data) {
        Ok(got) if got > 0 => Err(io::Error::other(format!(
            "{got} bytes behind the last message"
        ))),
        _ => Ok(()),
    }
}

/// The next datagram with contents; empty ones ask how far the receiver is.
fn next(socket: &UdpSocket, data: &mut [u8], have: u64) -> io::Result<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(data) {
            Ok((0, peer)) => drop(socket.send_to(&have.to_be_bytes(), peer)?),
            Ok(got) => return Ok(got),
            Err(e) if is_silence(&e) => return Err(io::Error::other("nothing more came")),
            Err(e) if e.kind() == ErrorKind::Interrupted && !sys::stopping() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Tells what came instead of `size` bytes at `at` in `wanted`: another datagram of the flow, or a
/// broken one.
fn strange(messages: &[Message], wanted: Message, at: usize, size: usize, data: &[u8]) -> String {
    let all = messages
        .iter()
        .flat_map(|m| m.datagrams().map(move |place| (*m, place)));
    let mut same = all.filter(|(message, (at, size))| {
        *size == data.len() && difference(*message, *at, data).is_none()
    });
    if let Some((message, (place, _))) = same.next() {
        let number = message.number;
        return format!(
            "datagram at {at}: out of order, this is what is at {place} in message {number}"
        );
    }
    let how = difference(wanted, at, data).unwrap_or_else(|| "they are right".into());
    format!(
        "datagram at {at}: {} bytes instead of {size}, {how}",
        data.len()
    )
}

/// Tells whether what should have come at `at` in `wanted` comes after all.
fn afterwards(socket: &UdpSocket, wanted: Message, at: usize, size: usize) -> io::Result<String> {
    socket.set_read_timeout(Some(LATE))?;
    let mut data = vec![0; 65_536];
    let mut others = 0;
    loop {
        match socket.recv(&mut data) {
            Ok(got) if got == size && difference(wanted, at, &data[..got]).is_none() => {
                return Ok(format!("it came after {others} more"));
            }
            Ok(_) => others += 1,
            Err(e) if is_silence(&e) => return Ok(format!("it did not come, {others} others did")),
            Err(error) => return Err(error),
        }
    }
}
