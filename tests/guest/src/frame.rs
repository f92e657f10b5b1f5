//! Numbered Ethernet frames: made by the sender, checked by the receiver, byte by byte.
//!
//! Layout after the Ethernet header (all fields big-endian): magic, stream, sequence number,
//! whole length, flags, then a pattern that follows from stream and sequence number.

use crate::{limits::MAX_FRAME, pattern};

/// EtherType of numbered frames: IEEE 802 local experimental 2.
pub const ETHERTYPE: u16 = 0x88b6;

/// Ethernet header plus the fields in front of the pattern, in bytes; the smallest frame is this
/// long or [`MIN_FRAME`], whichever is more.
pub const HEADER: usize = 14 + 4 + 4 + 8 + 2 + 2;

/// Smallest frame on an Ethernet without its checksum, in bytes.
pub const MIN_FRAME: usize = 60;

const MAGIC: u32 = 0x6d64_6576;
const FLAG_END: u16 = 1;

/// A numbered frame as its receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A frame of the stream, intact.
    Frame(u64),
    /// The end mark: the stream had this many frames.
    End(u64),
    /// A frame of the stream whose contents are not what its number says.
    Corrupt,
    /// Something else.
    Other,
}

/// Writes frame `sequence` of `stream` into the whole of `out`.
///
/// # Panics
/// If `out` is not between [`MIN_FRAME`] and [`MAX_FRAME`] bytes long: a mistake of the caller.
pub fn write(out: &mut [u8], dst: [u8; 6], src: [u8; 6], stream: u32, sequence: u64, end: bool) {
    assert!(
        (MIN_FRAME..=MAX_FRAME).contains(&out.len()),
        "frame of {} bytes",
        out.len()
    );
    let len = out.len() as u16;
    let flags = if end { FLAG_END } else { 0 };
    out[0..6].copy_from_slice(&dst);
    out[6..12].copy_from_slice(&src);
    out[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
    out[14..18].copy_from_slice(&MAGIC.to_be_bytes());
    out[18..22].copy_from_slice(&stream.to_be_bytes());
    out[22..30].copy_from_slice(&sequence.to_be_bytes());
    out[30..32].copy_from_slice(&len.to_be_bytes());
    out[32..34].copy_from_slice(&flags.to_be_bytes());
    pattern::fill(seed(stream, sequence), 0, &mut out[HEADER..]);
}

/// Judges what arrived: `data` from the Ethernet header on.
#[must_use]
pub fn read(data: &[u8], stream: u32) -> Seen {
    if data.len() < HEADER || data[12..14] != ETHERTYPE.to_be_bytes() {
        return Seen::Other;
    }
    let u16_at = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
    let u32_at = |at: usize| (u32::from(u16_at(at)) << 16) | u32::from(u16_at(at + 2));
    if u32_at(14) != MAGIC {
        return Seen::Corrupt;
    }
    if u32_at(18) != stream {
        return Seen::Other;
    }
    let sequence = (u64::from(u32_at(22)) << 32) | u64::from(u32_at(26));
    let flags = u16_at(32);
    let intact = usize::from(u16_at(30)) == data.len()
        && flags & !FLAG_END == 0
        && pattern::mismatches(seed(stream, sequence), 0, &data[HEADER..]) == 0;
    match (intact, flags) {
        (false, _) => Seen::Corrupt,
        (true, FLAG_END) => Seen::End(sequence),
        (true, _) => Seen::Frame(sequence),
    }
}

fn seed(stream: u32, sequence: u64) -> u64 {
    (u64::from(stream) << 40) ^ sequence
}

/// Parses `aa:bb:cc:dd:ee:ff`.
#[must_use]
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.trim().split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|p| p.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests;
