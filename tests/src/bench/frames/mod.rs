//! Frames from guest to guest: the driver that plays both, and the families that use it.

pub mod direction;
pub mod peak;
pub mod traffic;

/// What two guests do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Bytes of a frame on a wire, with the 4 bytes of its check sequence, which rings never
    /// carry (RFC 2544).
    pub wire_len: usize,
    /// Whether both guests send, or the first alone.
    pub both_ways: bool,
}

impl Workload {
    /// Name in those of rows.
    pub fn name(self) -> String {
        let ways = if self.both_ways {
            "both-ways"
        } else {
            "one-way"
        };
        format!("{}B-{ways}", self.wire_len)
    }
}
