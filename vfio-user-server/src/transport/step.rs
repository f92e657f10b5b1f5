//! What both transports do with a socket that is ready.

use std::io;
use std::os::fd::BorrowedFd;

use crate::device::Device;
use crate::endpoint::Endpoint;
use crate::session::{Chunk, Ended};
use crate::sys;

/// What may still be there after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing at that moment: what was there did not fill the buffer.
    Nothing,
    /// Perhaps more. The kernel also ends a read behind a message that carried descriptors.
    Perhaps,
}

/// Reads once, if there is something.
pub(super) fn read<D: Device + ?Sized>(
    socket: BorrowedFd<'_>,
    endpoint: &mut Endpoint<'_, D>,
    buffer: &mut [u8],
) -> Result<Left, Ended> {
    let received = sys::recv(socket, buffer)?;
    if received.bytes == 0 {
        return Err(Ended::ClientClosed);
    }
    let full = received.bytes == buffer.len();
    let left = if full || received.fds_lost || !received.fds.is_empty() {
        Left::Perhaps
    } else {
        Left::Nothing
    };
    let bytes = buffer.get(..received.bytes).unwrap_or_default();
    endpoint.receive(Chunk {
        bytes,
        fds: received.fds,
        fds_lost: received.fds_lost,
    });
    Ok(left)
}

/// Sends as much as the socket takes.
pub(super) fn write<D: Device + ?Sized>(
    socket: BorrowedFd<'_>,
    endpoint: &mut Endpoint<'_, D>,
) -> Result<(), Ended> {
    while let Some(output) = endpoint.output() {
        let sent = sys::send(socket, output.bytes, output.fds)?;
        endpoint.sent(sent);
    }
    Ok(())
}

/// Turns "would block" and interruptions into success and a vanished client into its own end.
pub(super) fn settle(result: Result<(), Ended>) -> Result<(), Ended> {
    match result {
        Err(Ended::Io(error)) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Err(Ended::ClientClosed),
            _ => Err(Ended::Io(error)),
        },
        other => other,
    }
}
