//! How much a port may send and receive.

use std::time::Duration;

/// A port's rates; `None`: no limit. Bytes are those of frames in their rings, as counters count them: without the
/// header of virtio, without preamble, gap and check sequence, and a large-send frame with all of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRates {
    /// From the guest, in bits per second.
    pub transmit_bits: Option<u64>,
    /// To the guest, in bits per second.
    pub receive_bits: Option<u64>,
    /// From the guest, in frames per second.
    pub transmit_frames: Option<u64>,
    /// To the guest, in frames per second.
    pub receive_frames: Option<u64>,
    /// From the guest to everybody, to groups and to addresses that nobody is known to have, in frames per second.
    pub flood_frames: Option<u64>,
    /// How long a rate may be used that was not used before. Of bytes there is always enough for the largest frame,
    /// of frames for one.
    pub burst: Duration,
}

impl PortRates {
    /// Every rate with its name.
    pub const fn all(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("transmit-bits", self.transmit_bits),
            ("receive-bits", self.receive_bits),
            ("transmit-frames", self.transmit_frames),
            ("receive-frames", self.receive_frames),
            ("flood-frames", self.flood_frames),
        ]
    }
}
