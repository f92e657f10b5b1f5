//! What a case sends: small and odd sizes, sizes around the MTU, and as much at once as there can be, never
//! more under way than the receiver's ring certainly has room for.

use super::case::{Case, Protocol};
use lab_guest::plan::Part;

/// Bytes that a buffer of Linux's driver takes at least: a frame of the standard Ethernet.
const BUFFER: u32 = 1514;
/// The driver fills up its ring when so many buffers are missing, or half of a smaller ring.
const REFILL: u32 = 32;
/// Buffers left for what else arrives: neighbours' questions, answers.
const OTHERS: u32 = 4;
/// Most bytes that one datagram carries over either IP, rounded down.
const LARGEST: u32 = 65_000;
/// Most datagrams cut from one send (the kernel takes 64 at least).
const MOST_CUTS: u32 = 60;

/// The parts of a case.
#[must_use]
pub fn parts(case: &Case) -> Vec<Part> {
    match case.protocol() {
        Protocol::Tcp => stream(case),
        Protocol::Udp => datagrams(case),
        Protocol::Gso => segmented(case),
    }
}

fn range(from: u32, to: u32, count: u32, window: u32) -> Part {
    Part {
        from,
        to,
        count,
        window: window.max(1),
        segment: 0,
    }
}

/// Bytes of IP's header.
fn ip(case: &Case) -> u32 {
    if case.v6() { 40 } else { 20 }
}

fn stream(case: &Case) -> Vec<Part> {
    // Options of TCP: timestamps.
    let full = u32::from(case.mtu()) - ip(case) - 32;
    let least = case.rx_ring() < 256;
    vec![
        range(1, 200, 200, 10),
        range(full - 1, full + 1, 9, 3),
        range(
            65_535,
            65_537,
            if least { 3 } else { 16 },
            if least { 1 } else { 5 },
        ),
    ]
}

/// Buffers that the receiver has at any time, as far as that can be known.
fn room(case: &Case) -> u32 {
    let ring = u32::from(case.rx_ring());
    ring - REFILL.min(ring / 2) - OTHERS
}

/// Buffers for a packet of the MTU.
fn buffers(case: &Case) -> u32 {
    (u32::from(case.mtu()) + 14).div_ceil(BUFFER)
}

fn datagrams(case: &Case) -> Vec<Part> {
    let full = u32::from(case.mtu()) - ip(case) - 8;
    let at_once = (room(case) / buffers(case)).max(1);
    // A fragment carries a multiple of 8 bytes and over IPv6 a header of its own.
    let fragment = (full - 8) / 8 * 8;
    let large = LARGEST.min(fragment * at_once);
    vec![
        range(1, 200, 200, room(case).min(32)),
        // One by one: pieces of a datagram go to the queue of their addresses, whole datagrams to that of
        // their ports, and two queues keep no order.
        range(full - 1, full + 1, 9, 1),
        range(full, full, 120, at_once),
        range(large - 2, large, 3, 1),
        range(14, 77, 64, room(case)),
    ]
}

fn segmented(case: &Case) -> Vec<Part> {
    let full = u32::from(case.mtu()) - ip(case) - 8;
    let at_once = (room(case) / buffers(case)).max(1);
    let cut = |segment: u32, datagrams: u32, count: u32| {
        let most = (LARGEST / segment).min(datagrams).clamp(1, MOST_CUTS);
        let size = segment * most;
        Part {
            segment: segment as u16,
            window: (datagrams / most).max(1),
            ..range(size.saturating_sub(1).max(1), size, count, 1)
        }
    };
    // Alone, and as the last of two, a datagram of one byte.
    let tail = Part {
        segment: full as u16,
        ..range(full - 1, full + 1, 6, at_once / 2)
    };
    vec![
        range(1, 50, 50, room(case).min(32)),
        cut(1, room(case), 4),
        cut(33, room(case), 8),
        cut(199, room(case), 8),
        tail,
        cut(full - 1, at_once, 4),
        cut(full, at_once, 12),
    ]
}

#[cfg(test)]
mod tests;
