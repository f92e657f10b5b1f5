//! Every bound of the guest tools, in one place.

use std::time::Duration;

/// Longest line (one message) that either side of the agent channel accepts, in bytes.
pub const MAX_LINE: usize = 8 << 20;

/// Most output kept of each of a command's two streams, in bytes; the rest is read and dropped.
pub const MAX_OUTPUT: usize = 1 << 20;

/// Most commands that one agent runs at the same time.
pub const MAX_RUNNING: usize = 64;

/// How long output pipes may stay open after a command has ended (a daemon may have inherited them).
pub const PIPE_GRACE: Duration = Duration::from_secs(1);

/// Frames sent or received by one system call.
pub const BURST: usize = 64;

/// Largest numbered frame, Ethernet header included, in bytes (MTU 9000 plus header and tag).
pub const MAX_FRAME: usize = 9018;

/// Receive buffer asked for by the frame receiver, in bytes.
pub const RECEIVE_BUFFER: usize = 64 << 20;

/// Sequence numbers that the tally remembers one by one; above it, duplicates go unnoticed.
pub const MAX_SEQUENCE: u64 = 1 << 28;

/// How often the receiver looks whether it was asked to stop, when nothing arrives.
pub const STOP_POLL: Duration = Duration::from_millis(100);
