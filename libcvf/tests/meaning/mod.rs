//! Drivers of both kinds, and frames without the form of either.

pub mod avf;
pub mod frames;
pub mod hash;
pub mod virtio;

use frames::{Frame, TCP, get, put};

/// What a sender leaves to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Nothing,
    /// The transport's checksum.
    Checksum,
    /// To cut it into segments of so many bytes.
    Tcp(u16),
    /// To cut it into datagrams of so many bytes.
    Udp(u16),
    /// To cut it into IP fragments of so many bytes.
    Fragments(u16),
}

/// What a receiver is told of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Valid,
    Partial,
}

/// A frame as it arrived, finished if that was left to the receiver.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub frame: Frame,
    /// How it is to be cut, if it is a large one.
    pub large: Ask,
    pub told: Told,
}

/// How a frame lies in a sender's memory.
#[derive(Clone, Debug)]
pub struct Layout {
    pub cuts: Vec<u16>,
    pub header_alone: bool,
    pub indirect: bool,
}

impl Layout {
    /// Lengths of the parts of `total` bytes, at most so many.
    pub fn cut(&self, total: usize, most: usize) -> Vec<usize> {
        let mut at: Vec<usize> = self
            .cuts
            .iter()
            .map(|cut| 1 + usize::from(*cut) % (total - 1))
            .collect();
        at.truncate(most - 1);
        at.extend([0, total]);
        at.sort_unstable();
        at.dedup();
        at.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// One frame out of what it was cut into by a device that was asked to.
pub fn join(arrived: &[Arrived], ask: Ask) -> Frame {
    let first = &arrived[0].frame;
    if let [one] = arrived {
        if one.large != Ask::Nothing {
            assert_eq!(one.large, ask, "how it is to be cut");
        }
        return first.clone();
    }
    assert!(
        arrived.iter().all(|one| one.large == Ask::Nothing),
        "cut or not"
    );
    let last = arrived.len() - 1;
    let size = match ask {
        Ask::Tcp(size) | Ask::Udp(size) | Ask::Fragments(size) => usize::from(size),
        other => panic!("{} frames of {other:?}", arrived.len()),
    };
    let mut whole = first.clone();
    let mut at = 0;
    for (nth, Arrived { frame, .. }) in arrived.iter().enumerate() {
        let payload = if matches!(ask, Ask::Fragments(_)) {
            assert_eq!(frame.fragment, Some((at, nth < last)), "fragment {nth}");
            &frame.bytes[frame.l4..]
        } else {
            &frame.bytes[frame.end..]
        };
        assert!(
            if nth < last {
                payload.len() == size
            } else {
                (1..=size).contains(&payload.len())
            },
            "segment {nth} has {} bytes of {size}",
            payload.len()
        );
        let (mut is, mut was) = (frame.meaning(), first.meaning());
        if frame.v6 {
            if matches!(ask, Ask::Fragments(_)) {
                for ip in [&mut is.ip, &mut was.ip] {
                    // Offset; the number is that of all.
                    let at = ip.len() - 6;
                    put(ip, at, 0);
                }
            }
        } else {
            let step = if matches!(ask, Ask::Fragments(_)) {
                0
            } else {
                nth as u16
            };
            assert_eq!(
                get(&is.ip, 4),
                get(&was.ip, 4).wrapping_add(step),
                "identification"
            );
            for ip in [&mut is.ip, &mut was.ip] {
                put(ip, 4, 0);
                if matches!(ask, Ask::Fragments(_)) {
                    put(ip, 6, 0);
                }
            }
        }
        if frame.protocol == TCP {
            let sequence =
                |transport: &[u8]| u32::from_be_bytes(transport[4..8].try_into().expect("4"));
            assert_eq!(
                sequence(&is.transport),
                sequence(&was.transport).wrapping_add(at as u32)
            );
            let flags = is.transport[13];
            // FIN and PSH are of the last, CWR of the first.
            assert!(
                nth == last || flags & 0x09 == 0,
                "flags {flags:#x} of segment {nth}"
            );
            assert!(nth == 0 || flags & 0x80 == 0, "CWR of segment {nth}");
            whole.bytes[whole.l4 + 13] |= flags;
            for transport in [&mut is.transport, &mut was.transport] {
                transport[4..8].fill(0);
                transport[13] &= !0x89;
            }
        }
        assert_eq!(
            (is.link, is.ip),
            (was.link, was.ip),
            "headers of segment {nth}"
        );
        assert_eq!(is.transport, was.transport, "headers of segment {nth}");
        if nth > 0 {
            whole.bytes.extend(payload);
        }
        at += payload.len();
    }
    uncut(whole)
}

/// Makes one packet's headers those of all of it.
fn uncut(mut frame: Frame) -> Frame {
    let l3 = frame.l3;
    if frame.fragment.is_some() && frame.v6 {
        frame.bytes[l3 + 6] = frame.bytes[frame.l4 - 8];
        frame.bytes.drain(frame.l4 - 8..frame.l4);
    } else if frame.fragment.is_some() {
        put(&mut frame.bytes, l3 + 6, 0);
    }
    let total = frame.bytes.len();
    if frame.v6 {
        put(&mut frame.bytes, l3 + 4, (total - l3 - 40) as u16);
    } else {
        put(&mut frame.bytes, l3 + 2, (total - l3) as u16);
        put(&mut frame.bytes, l3 + 10, 0);
        let sum = !frames::sum(&frame.bytes[l3..frame.l4]);
        put(&mut frame.bytes, l3 + 10, sum);
    }
    if frame.fragment.take().is_none() {
        // That of a fragmented datagram stands there already, and is about all of it.
        frame.refinish();
    }
    Frame::read(&frame.bytes)
}
