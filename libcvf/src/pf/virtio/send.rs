//! A transmit queue (virtio 1.3 5.1.6.2).

use std::collections::VecDeque;

use super::features::Features;
use super::ring::Ring;
use crate::dataplane::{Ask, HardwareSend, Piece};
use crate::offload::{Accepts, Csum, FrameMeta, Gso, Headers, Network, Transport};
use crate::ring::header;

/// Bytes between headers.
const HEADER_PLACE: usize = 16;
/// Where the checksum's field is behind the beginning of a TCP and of a UDP header.
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;

/// A frame that is under way: where its chain begins, and its descriptors.
struct Flight {
    head: u16,
    count: u16,
}

/// A queue; behind its areas a header for each descriptor. A frame takes a descriptor for its header and one for each piece.
/// The device may be done with frames in any order: they come back in that in which they were queued.
pub(super) struct Send {
    ring: Ring,
    accepts: Accepts,
    next: u16,
    taken: u16,
    flights: VecDeque<Flight>,
}

impl Send {
    /// Bytes that a queue of so many descriptors needs behind its areas.
    pub(super) const fn extra(size: u16) -> usize {
        size as usize * HEADER_PLACE
    }

    pub(super) fn new(ring: Ring, features: Features) -> Self {
        let table = [
            (Features::CSUM, Accepts::CSUM),
            (Features::HOST_TSO4, Accepts::TSO4),
            (Features::HOST_TSO6, Accepts::TSO6),
            (Features::HOST_USO, Accepts::USO4.with(Accepts::USO6)),
        ];
        // Not ECN: what is asked does not say whether the frame has CWR.
        let had = table.iter().filter(|(feature, _)| features.has(*feature));
        Self {
            accepts: had.fold(Accepts::default(), |all, (_, one)| all.with(*one)),
            flights: VecDeque::with_capacity(ring.size().into()),
            ring,
            next: 0,
            taken: 0,
        }
    }

    /// Describes the next descriptor of a chain.
    fn describe(&mut self, buffer: (u64, u32), last: bool) {
        let following = (self.next + 1) & (self.ring.size() - 1);
        let next = (!last).then_some(following);
        self.ring.describe(self.next, buffer, false, next);
        self.next = following;
        self.taken += 1;
    }
}

/// What the device is told of a frame.
fn meta(ask: &Ask) -> FrameMeta {
    let csum = |headers: &Headers| {
        let offset = match headers.transport {
            Transport::Tcp => TCP_CHECKSUM,
            Transport::Udp => UDP_CHECKSUM,
            Transport::Other => return Csum::None,
        };
        let start = headers.l4_offset;
        Csum::Partial { start, offset }
    };
    match ask {
        Ask::Nothing => FrameMeta::default(),
        Ask::Checksum(headers) => FrameMeta {
            csum: csum(headers),
            ..FrameMeta::default()
        },
        Ask::Cut(headers, segment) => FrameMeta {
            csum: csum(headers),
            gso: match (headers.transport, headers.network) {
                (Transport::Udp, _) => Gso::Udp,
                (_, Network::V6) => Gso::TcpV6,
                _ => Gso::TcpV4,
            },
            gso_size: *segment,
            hdr_len: headers.end,
            ..FrameMeta::default()
        },
    }
}

impl HardwareSend for Send {
    fn room(&self) -> usize {
        if self.ring.is_sound() {
            usize::from(self.ring.size() - self.taken)
        } else {
            0
        }
    }

    fn accepts(&self) -> Accepts {
        self.accepts
    }

    fn put(&mut self, pieces: &[Piece], ask: &Ask) {
        let (head, before) = (self.next, self.taken);
        let place = self.ring.areas().end + usize::from(head) * HEADER_PLACE;
        let block = self.ring.block();
        let to = block.memory().write(place, header::LEN);
        to.write(&header::build(&meta(ask), 0));
        let iova = block.iova() + place as u64;
        self.describe((iova, header::LEN as u32), pieces.is_empty());
        for (index, piece) in pieces.iter().enumerate() {
            self.describe((piece.iova, piece.len), index + 1 == pieces.len());
        }
        self.ring.offer(head);
        let count = self.taken - before;
        self.flights.push_back(Flight { head, count });
    }

    fn kick(&mut self) {
        self.ring.publish();
    }

    fn reap(&mut self) -> usize {
        self.ring.collect();
        let mut done = 0;
        while let Some(flight) = self.flights.front()
            && self.ring.take(flight.head).is_some()
        {
            self.taken -= flight.count;
            self.flights.pop_front();
            done += 1;
        }
        done
    }

    fn stop(&mut self) {
        if let Err(error) = self.ring.stop() {
            tracing::error!(%error, "ending a transmit queue");
        }
        self.flights.clear();
        (self.next, self.taken) = (0, 0);
    }

    fn start(&mut self) {
        if let Err(error) = self.ring.start() {
            tracing::error!(%error, "a transmit queue cannot be taken into use");
        }
    }
}
