//! Chunks in, messages out, each with the file descriptors that belong to it.
//!
//! Descriptors belong to the message that holds the last byte of the chunk they came with: a UNIX
//! stream socket never returns bytes beyond the `sendmsg` whose descriptors it hands over, but may
//! return bytes before it.

use std::os::fd::OwnedFd;

use super::refused::Refused;
use super::request::Chunk;
use crate::limits;
use crate::wire::{HEADER_SIZE, Header};

/// One message as it came.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) body: Vec<u8>,
    pub(super) fds: Fds,
}

/// Descriptors of one message. Those above the limit are closed at once and only remembered.
#[derive(Debug, Default)]
pub(super) struct Fds {
    pub(super) fds: Vec<OwnedFd>,
    pub(super) excess: bool,
    pub(super) lost: bool,
}

impl Fds {
    fn add(&mut self, more: Self, limit: usize) {
        self.lost |= more.lost;
        self.excess |= more.excess;
        for fd in more.fds {
            if self.fds.len() < limit {
                self.fds.push(fd);
            } else {
                self.excess = true;
            }
        }
    }
}

/// The size in a header that ends what can be understood.
#[derive(Debug)]
pub(super) struct BadSize {
    pub(super) header: Header,
    pub(super) limit: usize,
}

impl BadSize {
    pub(super) fn refused(&self) -> Refused {
        Refused::MessageSize {
            size: self.header.size,
            limit: self.limit,
        }
    }
}

#[derive(Debug)]
pub(super) struct Framer {
    // Bytes of the message that is not complete yet.
    partial: Vec<u8>,
    partial_fds: Fds,
    max_fds: usize,
    // Limits on whole messages: for the one to come, and for all after it.
    limit: usize,
    later_limit: usize,
}

impl Framer {
    pub(super) fn new(first_limit: usize, limit: usize, max_fds: usize) -> Self {
        Self {
            partial: Vec::new(),
            partial_fds: Fds::default(),
            max_fds,
            limit: first_limit,
            later_limit: limit,
        }
    }

    pub(super) fn buffered(&self) -> usize {
        self.partial.len()
    }

    /// Takes a chunk apart. After an error nothing more may be fed.
    pub(super) fn feed(
        &mut self,
        chunk: Chunk<'_>,
        mut out: impl FnMut(Message),
    ) -> Result<(), BadSize> {
        let mut bytes = chunk.bytes;
        let mut chunk_fds = Fds::default();
        chunk_fds.add(
            Fds {
                fds: chunk.fds,
                excess: false,
                lost: chunk.fds_lost,
            },
            self.max_fds,
        );
        while !self.partial.is_empty() || !bytes.is_empty() {
            let Some(header) = self.header(&mut bytes) else {
                break;
            };
            let size = self.check(header)?;
            let missing = (size - HEADER_SIZE) - (self.partial.len() - HEADER_SIZE);
            let Some((rest, after)) = bytes.split_at_checked(missing) else {
                break;
            };
            self.partial.extend_from_slice(rest);
            bytes = after;
            let mut fds = std::mem::take(&mut self.partial_fds);
            if bytes.is_empty() {
                fds.add(std::mem::take(&mut chunk_fds), self.max_fds);
            }
            let body = self.partial.split_off(HEADER_SIZE);
            self.partial.clear();
            self.partial.shrink_to(limits::READ_CHUNK);
            self.limit = self.later_limit;
            out(Message { header, body, fds });
        }
        self.partial.extend_from_slice(bytes);
        self.partial_fds.add(chunk_fds, self.max_fds);
        Ok(())
    }

    // Moves bytes until the header is complete.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<Header> {
        let missing = HEADER_SIZE.saturating_sub(self.partial.len());
        let (head, rest) = bytes.split_at_checked(missing)?;
        self.partial.extend_from_slice(head);
        *bytes = rest;
        self.partial.first_chunk::<HEADER_SIZE>().map(Header::parse)
    }

    fn check(&self, header: Header) -> Result<usize, BadSize> {
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        if (HEADER_SIZE..=self.limit).contains(&size) {
            Ok(size)
        } else {
            Err(BadSize {
                header,
                limit: self.limit,
            })
        }
    }
}

#[cfg(test)]
mod tests;
