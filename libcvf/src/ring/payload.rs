//! Bytes in pieces, somewhere in somebody's memory.

use std::ops::Range;

use crate::mem::{ReadSlice, SliceList};

/// Bytes that are copied at a time to be looked at.
const CHUNK: usize = 512;

/// Bytes in pieces, somewhere in somebody's memory. Nearly always there is one piece.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// What is left of the first piece.
    start: ReadSlice<'a>,
    /// Bytes behind it.
    more: usize,
    rest: Rest<'a>,
}

/// The pieces behind the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest<'a> {
    pub(super) list: Option<&'a SliceList<'a>>,
    pub(super) next: usize,
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        let rest = Rest {
            list: None,
            next: 0,
        };
        Self::new(bytes.into(), 0, rest)
    }
}

impl<'a> Payload<'a> {
    /// `start`, and `more` bytes of `rest`.
    #[inline]
    pub(super) const fn new(start: ReadSlice<'a>, more: usize, rest: Rest<'a>) -> Self {
        Self { start, more, rest }
    }

    /// Bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.start.len() + self.more
    }

    /// True without a byte.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Part of it; clipped to what there is.
    #[inline]
    #[must_use]
    pub fn range(mut self, range: Range<usize>) -> Self {
        let mut skip = range.start.min(self.len());
        let len = range.end.clamp(skip, self.len()) - skip;
        while skip >= self.start.len() && self.more > 0 {
            skip -= self.start.len();
            self.advance();
        }
        self.start = self.start.skip(skip).first(len);
        self.more = len - self.start.len();
        self
    }

    /// Puts the next piece in the place of the first.
    fn advance(&mut self) {
        let piece = self.rest.list.and_then(|list| list.read(self.rest.next));
        match piece {
            Some(piece) => {
                self.start = piece.first(self.more);
                self.more -= self.start.len();
                self.rest.next += 1;
            }
            // Its length was counted from its pieces; there is nothing where there is none.
            None => {
                self.start = self.start.first(0);
                self.more = 0;
            }
        }
    }

    /// Its pieces, in order.
    #[inline]
    pub fn pieces(mut self) -> impl Iterator<Item = ReadSlice<'a>> {
        std::iter::from_fn(move || {
            while self.start.is_empty() {
                if self.more == 0 {
                    return None;
                }
                self.advance();
            }
            let piece = self.start;
            self.start = piece.first(0);
            Some(piece)
        })
    }

    /// Copies all of it, a chunk at a time, for `each` to look at: it may change underneath, so that each is copied once.
    pub(crate) fn each_chunk(self, mut each: impl FnMut(&[u8])) {
        let mut chunk = [0; CHUNK];
        for mut piece in self.pieces() {
            while !piece.is_empty() {
                let len = piece.read(&mut chunk);
                each(&chunk[..len]);
                piece = piece.skip(len);
            }
        }
    }

    /// Copies the first bytes into `into`; returns how many.
    #[inline]
    pub fn read(self, into: &mut [u8]) -> usize {
        let done = self.start.read(into);
        if done == into.len() || self.more == 0 {
            return done;
        }
        self.read_on(into, done)
    }

    #[cold]
    fn read_on(mut self, into: &mut [u8], mut done: usize) -> usize {
        while done < into.len() && self.more > 0 {
            self.advance();
            done += self.start.read(&mut into[done..]);
        }
        done
    }
}
