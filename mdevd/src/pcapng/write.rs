//! Appends blocks to a buffer.

use libcvf::cvf::{Seen, Way};

use super::{
    BYTE_ORDER, COMMENT, DROPCOUNT, DROPPED, END, FLAGS, INBOUND, INTERFACE, OUTBOUND, PACKET,
    SECTION, STATISTICS,
};

/// Ethernet.
const LINK_TYPE: u16 = 1;
/// Ten to the minus so much seconds.
const NANOSECONDS: u8 = 9;

/// Appends a block of a type, whose body `fill` appends.
fn block(out: &mut Vec<u8>, kind: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    fill(out);
    // Its length stands at both ends, so that files can be read backwards.
    let len = (out.len() - start + 4) as u32;
    out.extend(len.to_le_bytes());
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.resize(out.len() + len.next_multiple_of(4) - len, 0);
}

/// Appends an option, cut where it is longer than one can be.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(u16::MAX.into())];
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend(value);
    pad(out, value.len());
}

/// A time in two halves, the upper one first.
fn time(nanoseconds: u64) -> [u8; 8] {
    nanoseconds.rotate_left(32).to_le_bytes()
}

/// Appends what a file begins with.
pub fn section(out: &mut Vec<u8>) {
    block(out, SECTION, |out| {
        out.extend(BYTE_ORDER.to_le_bytes());
        out.extend(1u16.to_le_bytes());
        out.extend(0u16.to_le_bytes());
        // As long as it will become.
        out.extend(u64::MAX.to_le_bytes());
        let application = concat!("mdevd ", env!("CARGO_PKG_VERSION"));
        option(out, 4, application.as_bytes());
        option(out, END, &[]);
    });
}

/// Whose frames they are.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a> {
    /// The device.
    pub name: &'a str,
    /// Its address.
    pub mac: [u8; 6],
    /// Most bytes of a frame that there are.
    pub snaplen: u32,
}

/// Appends the interface, number 0.
pub fn interface(out: &mut Vec<u8>, of: &Interface<'_>) {
    block(out, INTERFACE, |out| {
        out.extend(LINK_TYPE.to_le_bytes());
        out.extend([0; 2]);
        out.extend(of.snaplen.to_le_bytes());
        option(out, 2, of.name.as_bytes());
        option(out, 6, &of.mac);
        option(out, 9, &[NANOSECONDS]);
        option(out, END, &[]);
    });
}

/// Appends a frame.
pub fn packet(out: &mut Vec<u8>, seen: &Seen<'_>) {
    block(out, PACKET, |out| {
        out.extend(0u32.to_le_bytes());
        out.extend(time(seen.time));
        out.extend((seen.bytes.len() as u32).to_le_bytes());
        out.extend(seen.len.to_le_bytes());
        out.extend(seen.bytes);
        pad(out, seen.bytes.len());
        if let Some(reason) = seen.dropped {
            option(
                out,
                COMMENT,
                format!("{DROPPED}{}", reason.name()).as_bytes(),
            );
        }
        let way = match seen.way {
            Way::In => INBOUND,
            Way::Out => OUTBOUND,
        };
        option(out, FLAGS, &way.to_le_bytes());
        if seen.lost > 0 {
            option(out, DROPCOUNT, &u64::from(seen.lost).to_le_bytes());
        }
        option(out, END, &[]);
    });
}

/// What became of a capture. Times in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Its begin.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// Frames that were to be captured.
    pub seen: u64,
    /// Frames of those that were not, because the reader was too slow.
    pub lost: u64,
}

/// Appends the statistics of the interface.
pub fn statistics(out: &mut Vec<u8>, of: &Statistics) {
    block(out, STATISTICS, |out| {
        out.extend(0u32.to_le_bytes());
        out.extend(time(of.end));
        option(out, 2, &time(of.start));
        option(out, 3, &time(of.end));
        option(out, 4, &of.seen.to_le_bytes());
        option(out, 5, &of.lost.to_le_bytes());
        option(out, END, &[]);
    });
}
