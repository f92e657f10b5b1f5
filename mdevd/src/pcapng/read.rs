//! Takes blocks out of a stream of bytes, however it comes in pieces.

use super::{
    BYTE_ORDER, COMMENT, DROPCOUNT, DROPPED, END, FLAGS, INBOUND, OUTBOUND, PACKET, SECTION,
    STATISTICS, Statistics,
};

/// Longest block that is taken, in bytes: the longest frame with its options has room.
const MAX_BLOCK: usize = 128 << 10;
/// Bytes of the shortest.
const MIN_BLOCK: usize = 12;

/// These bytes are not what we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the daemon's capture is not pcapng as this cvfctl knows it; are both of the same version?"
)]
pub struct Malformed;

/// What a block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// A frame.
    Packet(Packet<'a>),
    /// What became of the capture.
    Statistics(Statistics),
    /// Something else.
    Other,
}

/// A frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Bytes that it has.
    pub len: u32,
    /// Its beginning.
    pub bytes: &'a [u8],
    /// The guest sends it, or receives it; `None`: it is not said.
    pub out: Option<bool>,
    /// Why it was dropped.
    pub dropped: Option<&'a str>,
    /// Frames before it that were not captured.
    pub lost: u64,
}

/// A stream that is taken apart.
#[derive(Debug, Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    taken: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn long(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.first_chunk()?))
}

fn time(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(word(bytes, at)?) << 32 | u64::from(word(bytes, at + 4)?))
}

impl Blocks {
    /// Adds bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next block, whole and as it is, and what it says; `None`: it has not come to its end.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn take(&mut self) -> Result<Option<(&[u8], Block<'_>)>, Malformed> {
        let left = &self.bytes[self.taken..];
        let (Some(kind), Some(len)) = (word(left, 0), word(left, 4)) else {
            return Ok(None);
        };
        let len = len as usize;
        if !(MIN_BLOCK..=MAX_BLOCK).contains(&len) || !len.is_multiple_of(4) {
            return Err(Malformed);
        }
        let Some(whole) = left.get(..len) else {
            return Ok(None);
        };
        self.taken += len;
        let body = &whole[8..len - 4];
        if word(whole, len - 4) != Some(len as u32) {
            return Err(Malformed);
        }
        let block = match kind {
            SECTION if word(body, 0) != Some(BYTE_ORDER) => return Err(Malformed),
            PACKET => Block::Packet(packet(body).ok_or(Malformed)?),
            STATISTICS => Block::Statistics(statistics(body).ok_or(Malformed)?),
            _ => Block::Other,
        };
        Ok(Some((whole, block)))
    }
}

/// Hands out options until their end.
fn options<'a>(
    mut bytes: &'a [u8],
    mut each: impl FnMut(u16, &'a [u8]) -> Option<()>,
) -> Option<()> {
    while let Some(head) = word(bytes, 0) {
        let (code, len) = (head as u16, (head >> 16) as usize);
        if code == END {
            return Some(());
        }
        let value = bytes.get(4..4 + len)?;
        each(code, value)?;
        bytes = bytes.get(4 + len.next_multiple_of(4)..)?;
    }
    Some(())
}

fn packet(body: &[u8]) -> Option<Packet<'_>> {
    let len = word(body, 12)? as usize;
    let bytes = body.get(20..)?.get(..len)?;
    let mut packet = Packet {
        time: time(body, 4)?,
        len: word(body, 16)?,
        bytes,
        ..Packet::default()
    };
    options(body.get(20 + len.next_multiple_of(4)..)?, |code, value| {
        match code {
            COMMENT => {
                let comment = str::from_utf8(value).ok()?;
                packet.dropped = comment.strip_prefix(DROPPED).or(packet.dropped);
            }
            FLAGS => {
                packet.out = match word(value, 0)? & (INBOUND | OUTBOUND) {
                    INBOUND => Some(false),
                    OUTBOUND => Some(true),
                    _ => None,
                }
            }
            DROPCOUNT => packet.lost = long(value)?,
            _ => {}
        }
        Some(())
    })?;
    Some(packet)
}

fn statistics(body: &[u8]) -> Option<Statistics> {
    let mut statistics = Statistics {
        end: time(body, 4)?,
        ..Statistics::default()
    };
    options(body.get(12..)?, |code, value| {
        match code {
            2 => statistics.start = time(value, 0)?,
            4 => statistics.seen = long(value)?,
            5 => statistics.lost = long(value)?,
            _ => {}
        }
        Some(())
    })?;
    Some(statistics)
}
