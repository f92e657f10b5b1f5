//! What a flow carries: messages of planned sizes, each with a pattern of its own, and after how many of
//! them the sender waits for the receiver. Both ends compute it from the same parts.

use serde::{Deserialize, Serialize};

/// Some messages of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Size of the first message, in bytes.
    pub from: u32,
    /// The last size; sizes go up by one and begin anew behind it.
    pub to: u32,
    /// Messages.
    pub count: u32,
    /// Messages under way before the sender waits for the receiver.
    pub window: u32,
    /// Over UDP, each message is handed to the kernel as one send to be cut into datagrams of so many
    /// bytes; 0 sends it as one datagram.
    #[serde(default)]
    pub segment: u16,
}

/// One message of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number, from 0.
    pub number: u64,
    /// Its size in bytes.
    pub size: usize,
    /// As [`Part::segment`].
    pub segment: u16,
    /// The sender waits behind it until the receiver has it.
    pub wait: bool,
}

impl Part {
    /// Messages that all have one size.
    #[must_use]
    pub fn of(size: u32, count: u32, window: u32) -> Self {
        Part {
            from: size,
            to: size,
            count,
            window,
            segment: 0,
        }
    }
}

impl Message {
    /// Names the pattern of this message's bytes.
    #[must_use]
    pub fn seed(&self) -> u64 {
        0x666c_6f77 ^ (self.number << 32)
    }

    /// The datagrams of this message: where each begins, and its size.
    pub fn datagrams(self) -> impl Iterator<Item = (usize, usize)> {
        let step = match self.segment {
            0 => self.size.max(1),
            segment => usize::from(segment),
        };
        (0..self.size)
            .step_by(step)
            .map(move |at| (at, step.min(self.size - at)))
    }
}

/// The messages of a flow, in order.
pub fn messages(parts: &[Part]) -> impl Iterator<Item = Message> {
    let each = parts.iter().flat_map(|part| {
        (0..part.count).map(move |nth| {
            let sizes = part.to.saturating_sub(part.from) + 1;
            let last = nth + 1 == part.count;
            Message {
                number: 0,
                size: (part.from + nth % sizes) as usize,
                segment: part.segment,
                wait: last || (nth + 1).is_multiple_of(part.window.max(1)),
            }
        })
    });
    (0..)
        .zip(each)
        .map(|(number, message)| Message { number, ..message })
}

#[cfg(test)]
mod tests;
