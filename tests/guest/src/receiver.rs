//! Receives numbered frames and keeps account of them.

use crate::sys::{self, PacketSocket};
use lab_guest::crc;
use lab_guest::frame::{self, ETHERTYPE, Seen};
use lab_guest::limits::{BURST, MAX_FRAME, RECEIVE_BUFFER};
use lab_guest::tally::Tally;
use lab_guest::wire::{ReceiveFrames, ReceiveReport};
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

/// Receives until the stream is complete, the time is over or SIGTERM comes.
pub fn run(args: &ReceiveFrames) -> io::Result<ReceiveReport> {
    let socket = PacketSocket::open(&args.interface, ETHERTYPE, RECEIVE_BUFFER)?;
    // Whoever started us may wait for this line before it lets the sender go.
    writeln!(io::stderr(), "ready")?;
    let mut buffers = vec![vec![0; MAX_FRAME + 4]; BURST];
    let mut tally = Tally::default();
    let mut corrupt = 0;
    let mut span: Option<(Instant, Instant)> = None;
    let mut longest_gap = Duration::ZERO;
    let mut deadline = Instant::now() + Duration::from_secs_f64(args.seconds);
    while !tally.complete() && !sys::stopping() && Instant::now() < deadline {
        let lengths = match socket.receive(&mut buffers) {
            Ok(lengths) => lengths,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        for (data, length) in buffers.iter().zip(lengths) {
            match judge(&data[..length.min(data.len())], args) {
                Seen::Frame(number) => {
                    tally.frame(number);
                    let (first, last) = span.unwrap_or((now, now));
                    longest_gap = longest_gap.max(now - last);
                    span = Some((first, now));
                }
                Seen::End(count) => {
                    if tally.announced().is_none() {
                        deadline = deadline.min(now + Duration::from_millis(args.grace_ms));
                    }
                    tally.end(count);
                }
                Seen::Corrupt => corrupt += 1,
                Seen::Other => {}
            }
        }
    }
    Ok(ReceiveReport {
        received: tally.received(),
        announced: tally.announced(),
        lost: tally.lost(),
        duplicate: tally.duplicate(),
        reordered: tally.reordered(),
        corrupt,
        socket_drops: socket.statistics()?.drops,
        seconds: span.map_or(0.0, |(first, last)| (last - first).as_secs_f64()),
        longest_gap: longest_gap.as_secs_f64(),
    })
}

/// What came, with its check sequence where it comes with one.
fn judge(data: &[u8], args: &ReceiveFrames) -> Seen {
    if !args.check_sequences {
        return frame::read(data, args.stream);
    }
    match crc::take(data) {
        Some((frame, true)) => frame::read(frame, args.stream),
        // Whose it is cannot be trusted: the socket takes nothing but numbered frames.
        _ => Seen::Corrupt,
    }
}
