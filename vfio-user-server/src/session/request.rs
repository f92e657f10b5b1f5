//! What goes in and comes out of a session.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::device::RegionRange;
use crate::errno::Errno;
use crate::wire::{
    Command, DirtyBitmap, DirtyQuery, DmaMap, DmaUnmap, FeatureRequest, IoFd, SetIrqs,
};

/// Bytes as one `recvmsg` returned them.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The file descriptors that came with them.
    pub fds: Vec<OwnedFd>,
    /// The kernel could not deliver all of them (`MSG_CTRUNC`).
    pub fds_lost: bool,
}

/// Names one request of a session until it is answered. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(super) u64);

/// A validated request for the device.
#[derive(Debug)]
pub struct Request {
    /// Answers it: see [`super::Session::complete`].
    pub token: Token,
    /// The command it came with.
    pub command: Command,
    /// What is to be done.
    pub kind: RequestKind,
}

/// What a device is asked to do. See the methods of [`crate::Device`].
#[derive(Debug)]
pub enum RequestKind {
    /// Answer with [`Reply::Done`].
    DmaMap(DmaMap),
    /// Answer with [`Reply::Done`], or [`Reply::Dirty`] to a query.
    DmaUnmap(DmaUnmap, Option<DirtyQuery>),
    /// Answer with [`Reply::IoFds`].
    RegionIoFds(u32),
    /// Answer with [`Reply::Done`].
    SetIrqs(SetIrqs),
    /// Answer with [`Reply::Data`] of exactly `count` bytes.
    RegionRead(RegionRange),
    /// Answer with [`Reply::Done`].
    RegionWrite(RegionRange, Vec<u8>),
    /// Answer with [`Reply::Done`].
    Reset,
    /// Answer with [`Reply::Data`].
    Feature(FeatureRequest),
    /// Answer with [`Reply::Data`] of at most this many bytes.
    MigrationRead(u32),
    /// Answer with [`Reply::Done`].
    MigrationWrite(Vec<u8>),
}

/// The answer to a request. One that does not fit its request is sent as `EIO`.
#[derive(Debug)]
pub enum Reply {
    /// It is done.
    Done,
    /// Bytes read.
    Data(Vec<u8>),
    /// Dirty pages of an unmapped range.
    Dirty(DirtyBitmap),
    /// The I/O fds of a region.
    IoFds(Vec<IoFd>),
}

/// Bytes to send, from the front of the queue.
#[derive(Debug)]
pub struct Output<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// File descriptors to send with the first of them.
    pub fds: &'a [Arc<OwnedFd>],
}

/// Names one DMA transfer of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DmaId(pub(super) u64);

/// A DMA transfer that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct DmaDone {
    /// Which.
    pub id: DmaId,
    /// The bytes read (none for a write), or why it failed.
    pub result: Result<Vec<u8>, Errno>,
}
