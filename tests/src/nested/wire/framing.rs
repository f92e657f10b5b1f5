//! How QEMU puts frames on a stream (`-netdev stream`): each behind its length, four bytes, big-endian.

use crate::nested::limits::MAX_FRAME;

/// Bytes in front of a frame.
const PREFIX: usize = 4;

/// What cannot be a frame on a stream. Where the next one begins is not known then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes; the longest has {MAX_FRAME}")]
pub struct TooLong(pub usize);

/// Cuts what was read from a stream into frames.
#[derive(Debug, Default)]
pub struct Framing {
    bytes: Vec<u8>,
    /// Where what is not yet taken begins.
    from: usize,
}

impl Framing {
    /// Adds what was read. Whoever takes all frames between two calls bounds what is kept to one frame and one read.
    pub fn feed(&mut self, read: &[u8]) {
        self.bytes.drain(..self.from);
        self.from = 0;
        self.bytes.extend_from_slice(read);
    }

    /// Takes the next frame, if it is there as a whole.
    ///
    /// # Errors
    /// If its length is one that QEMU never sends.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = &self.bytes[self.from..];
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MAX_FRAME {
            return Err(TooLong(length));
        }
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        self.from += PREFIX + length;
        Ok(Some(frame.to_vec()))
    }
}

/// A frame as it is put on a stream.
///
/// # Errors
/// If it is longer than QEMU takes.
pub fn framed(frame: &[u8]) -> Result<Vec<u8>, TooLong> {
    if frame.len() > MAX_FRAME {
        return Err(TooLong(frame.len()));
    }
    let length = (frame.len() as u32).to_be_bytes();
    Ok([&length[..], frame].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_the_stream_is_cut() {
        let frames: Vec<Vec<u8>> = [60, 1, 0, 1514, MAX_FRAME]
            .iter()
            .map(|length| vec![*length as u8; *length])
            .collect();
        let stream: Vec<u8> = frames.iter().flat_map(|f| framed(f).unwrap()).collect();
        for piece in [1, 3, 64, 1500, stream.len()] {
            let mut framing = Framing::default();
            let mut out = Vec::new();
            for read in stream.chunks(piece) {
                framing.feed(read);
                while let Some(frame) = framing.take().unwrap() {
                    out.push(frame);
                }
            }
            assert_eq!(out, frames, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_longest_is_taken_and_one_byte_more_is_not() {
        assert!(framed(&vec![0; MAX_FRAME]).is_ok());
        let more = MAX_FRAME + 1;
        assert_eq!(framed(&vec![0; more]), Err(TooLong(more)));
        let mut framing = Framing::default();
        framing.feed(&(more as u32).to_be_bytes());
        assert_eq!(framing.take(), Err(TooLong(more)));
    }
}
