//! Bytes that wait to be sent.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::request::Output;

// Small messages are gathered so that one send carries many.
const GATHER: usize = 16 << 10;

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<Arc<OwnedFd>>,
}

/// Messages in the order in which they leave. One with descriptors is a segment of its own: they go
/// with its first byte, and nothing of another message shares that send.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    segments: VecDeque<Segment>,
    queued: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, bytes: Vec<u8>, fds: Vec<Arc<OwnedFd>>) {
        self.queued += bytes.len();
        if fds.is_empty()
            && let Some(last) = self.segments.back_mut()
            && last.fds.is_empty()
            && last.bytes.len() + bytes.len() <= GATHER
        {
            last.bytes.extend_from_slice(&bytes);
            return;
        }
        self.segments.push_back(Segment {
            bytes,
            sent: 0,
            fds,
        });
    }

    /// Bytes not yet sent.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn front(&self) -> Option<Output<'_>> {
        self.segments.front().map(|segment| Output {
            bytes: segment.bytes.get(segment.sent..).unwrap_or_default(),
            fds: if segment.sent == 0 { &segment.fds } else { &[] },
        })
    }

    pub(super) fn advance(&mut self, mut sent: usize) {
        while let Some(segment) = self.segments.front_mut() {
            let left = segment.bytes.len() - segment.sent;
            let step = left.min(sent);
            segment.sent += step;
            self.queued -= step;
            sent -= step;
            if segment.sent < segment.bytes.len() {
                return;
            }
            self.segments.pop_front();
            if sent == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
