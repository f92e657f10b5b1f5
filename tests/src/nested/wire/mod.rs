//! The other end of a function's wire: Ethernet frames in and out, each within a deadline.

mod framing;
mod packet;
mod stream;

pub use packet::Packet;
pub use stream::{Listener, Stream};

use anyhow::{Context, Result};
use std::time::Instant;

/// An end of a wire. Bounded: what has not been taken waits in the kernel, and its sender with it.
#[derive(Debug)]
pub struct Wire {
    name: String,
    carrier: Carrier,
}

#[derive(Debug)]
enum Carrier {
    Stream(Stream),
    Packet(Packet),
}

impl Wire {
    /// A wire whose other end QEMU holds (`-netdev stream`). Nothing is lost on it.
    #[must_use]
    pub fn stream(name: &str, stream: Stream) -> Self {
        Wire {
            name: name.to_owned(),
            carrier: Carrier::Stream(stream),
        }
    }

    /// A wire that is an interface of a namespace, beside the kernel there. What nobody takes is lost.
    #[must_use]
    pub fn packet(name: &str, packet: Packet) -> Self {
        Wire {
            name: name.to_owned(),
            carrier: Carrier::Packet(packet),
        }
    }

    /// What the wire is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// If it is not taken before `deadline`, or the other end is gone. A stream is of no use afterwards.
    pub fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<()> {
        let sent = match &mut self.carrier {
            Carrier::Stream(stream) => stream.send(frame, deadline),
            Carrier::Packet(packet) => packet.send(frame, deadline),
        };
        sent.with_context(|| format!("send {} bytes on wire {}", frame.len(), self.name))
    }

    /// Takes one frame; none if none came before `deadline`.
    ///
    /// # Errors
    /// If the other end is gone, or breaks the framing.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        let got = match &mut self.carrier {
            Carrier::Stream(stream) => stream.receive(deadline),
            Carrier::Packet(packet) => packet.receive(deadline),
        };
        got.with_context(|| format!("receive on wire {}", self.name))
    }
}

#[cfg(test)]
mod tests;
