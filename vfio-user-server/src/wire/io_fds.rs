//! DEVICE_GET_REGION_IO_FDS.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use super::WireError;
use super::bytes::{Put, Reader, check_argsz, fixed};

const HEAD_SIZE: usize = 16;
const ENTRY_SIZE: usize = 40;
const TYPE_IOEVENTFD: u32 = 0;
const TYPE_IOREGIONFD: u32 = 1;
const NO_FD: u32 = u32::MAX;

/// How a part of a region is signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoFdKind {
    /// `KVM_IOEVENTFD`: a write raises an eventfd.
    Ioeventfd {
        /// `KVM_IOEVENTFD_FLAG_*`.
        flags: u32,
        /// The value to match, if the flags say so.
        datamatch: u64,
    },
    /// An ioregionfd: accesses become messages on the fd.
    Ioregionfd {
        /// `KVM_IOREGION_*`.
        flags: u32,
        /// Comes back in those messages.
        user_data: u64,
    },
}

/// A part of a region with an fd that stands for it.
#[derive(Clone, Debug)]
pub struct IoFd {
    /// Bytes from the region's start.
    pub offset: u64,
    /// Bytes; 0 if the size of an access does not matter.
    pub size: u64,
    /// The fd; entries may share one, which is then sent once. Without an fd the index is -1.
    pub fd: Option<Arc<OwnedFd>>,
    /// How it is signalled.
    pub kind: IoFdKind,
}

/// The bytes of a DEVICE_GET_REGION_IO_FDS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoFdsBody {
    /// Bytes of reply the client has room for.
    pub argsz: u32,
    /// The region asked about.
    pub index: u32,
}

impl IoFdsBody {
    /// Reads the body of a DEVICE_GET_REGION_IO_FDS; `max_xfer` bounds the reply it may ask for.
    ///
    /// # Errors
    /// Short bodies, `argsz` out of bounds, `flags` or `count` not zero.
    pub fn parse(body: &[u8], max_xfer: u32) -> Result<Self, WireError> {
        let (head, _) = fixed::<HEAD_SIZE>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, flags) = (reader.u32(), reader.u32());
        let (index, count) = (reader.u32(), reader.u32());
        if flags != 0 {
            return Err(WireError::NotZero {
                field: "flags",
                value: u64::from(flags),
            });
        }
        if count != 0 {
            return Err(WireError::NotZero {
                field: "count",
                value: u64::from(count),
            });
        }
        check_argsz(argsz, HEAD_SIZE as u64, u64::from(max_xfer))?;
        Ok(Self { argsz, index })
    }
}

/// The reply to `request`: the body, and the fds each once in the order of their indices.
///
/// If not all entries fit, none is sent, only their number and the `argsz` that would do.
pub fn io_fds_reply(request: IoFdsBody, entries: &[IoFd]) -> (Vec<u8>, Vec<Arc<OwnedFd>>) {
    let full = HEAD_SIZE + entries.len() * ENTRY_SIZE;
    let fits = request.argsz as usize >= full;
    let mut fds: Vec<Arc<OwnedFd>> = Vec::new();
    let mut body = Vec::with_capacity(if fits { full } else { HEAD_SIZE });
    body.put32(u32::try_from(full).unwrap_or(u32::MAX));
    body.put32(0);
    body.put32(request.index);
    body.put32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for entry in entries.iter().take(if fits { entries.len() } else { 0 }) {
        let (kind, flags, value) = match entry.kind {
            IoFdKind::Ioeventfd { flags, datamatch } => (TYPE_IOEVENTFD, flags, datamatch),
            IoFdKind::Ioregionfd { flags, user_data } => (TYPE_IOREGIONFD, flags, user_data),
        };
        body.put64(entry.offset);
        body.put64(entry.size);
        body.put32(entry.fd.as_ref().map_or(NO_FD, |fd| fd_index(&mut fds, fd)));
        body.put32(kind);
        body.put32(flags);
        body.put32(0);
        body.put64(value);
    }
    (body, fds)
}

fn fd_index(fds: &mut Vec<Arc<OwnedFd>>, fd: &Arc<OwnedFd>) -> u32 {
    let known = fds
        .iter()
        .position(|other| other.as_raw_fd() == fd.as_raw_fd());
    let index = known.unwrap_or_else(|| {
        fds.push(Arc::clone(fd));
        fds.len() - 1
    });
    u32::try_from(index).unwrap_or(NO_FD)
}
