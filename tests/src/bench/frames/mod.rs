//! Frames from guest to guest: the driver that plays both, and the families that use it.

pub mod callgrind;
pub mod campaign;
pub mod direction;
pub mod events;
pub mod inside;
pub mod large;
pub mod latency;
pub mod load;
pub mod pace;
pub mod paced;
pub mod peak;
pub mod traffic;

use self::load::Load;
use super::limits::{LARGE_PAYLOAD, MSS};
use super::peers::Frames;

/// What two guests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Bytes of a frame on a wire, with the 4 bytes of its check sequence, which rings never
    /// carry (RFC 2544).
    Wire(usize),
    /// Large-send frames of 64 KiB.
    Large,
}

/// What two guests do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workload {
    /// What they send.
    pub size: Size,
    /// Whether both guests send, or the first alone.
    pub both_ways: bool,
}

impl Workload {
    /// Name in those of rows.
    pub fn name(self) -> String {
        let size = match self.size {
            Size::Wire(bytes) => format!("{bytes}B"),
            Size::Large => "64KiB".into(),
        };
        let ways = if self.both_ways {
            "both-ways"
        } else {
            "one-way"
        };
        format!("{size}-{ways}")
    }

    /// What guests have to carry for it.
    pub fn frames(self) -> Frames {
        match self.size {
            Size::Wire(bytes) if bytes <= 1518 => Frames::Plain,
            Size::Wire(_) => Frames::Jumbo,
            Size::Large => Frames::Large,
        }
    }

    /// Its frame.
    pub fn load(self, to: [u8; 6], from: [u8; 6]) -> Load {
        match self.size {
            Size::Wire(bytes) => Load::plain(to, from, bytes),
            Size::Large => Load::large(to, from, LARGE_PAYLOAD, MSS),
        }
    }
}
