//! Times and sizes of the benchmarks.

use std::time::Duration;

/// How often every contender takes its turn, unless told otherwise.
pub const REPETITIONS: u32 = 5;
/// How long traffic runs before it counts.
pub const WARM_UP: Duration = Duration::from_millis(300);
/// How long it counts.
pub const MEASURE: Duration = Duration::from_millis(900);
/// How long it counts at a time, and how long traffic runs again before it does.
pub const SLICE: Duration = Duration::from_millis(150);
/// See [`SLICE`].
pub const SLICE_WARM_UP: Duration = Duration::from_millis(10);
/// How long enough quiet slices are waited for; where there are none by then, all count.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// How long a look at the cores takes, and looks at the start of a run.
pub const LOOK: Duration = Duration::from_millis(4);
/// See [`LOOK`].
pub const ACQUAINTANCE: Duration = Duration::from_secs(3);
/// Share of their best speed that the cores must have for a slice to count.
pub const QUIET: f64 = 0.8;
/// How long a rate is tried before it counts, and for how long it counts.
pub const TRIAL_WARM_UP: Duration = Duration::from_millis(30);
/// See [`TRIAL_WARM_UP`].
pub const TRIAL: Duration = Duration::from_millis(120);
/// How long half of the loss-free rate is offered.
pub const HALF_LOAD: Duration = Duration::from_millis(500);
/// The highest rate that is tried, in frames a second, both ways together.
pub const HIGHEST_RATE: f64 = 50e6;
/// How often the range of rates is halved: to one part in 500 of the highest.
pub const SEARCH_STEPS: u32 = 9;
/// How long nothing may arrive before new frames are sent in place of those under
/// way.
pub const STALL: Duration = Duration::from_millis(50);
/// How long nothing may arrive after the last frame was sent before the rest counts as lost.
pub const DRAIN: Duration = Duration::from_millis(500);
/// How long nothing may arrive before the contender counts as broken.
pub const BROKEN: Duration = Duration::from_secs(5);
/// How long a contender may take to listen.
pub const START: Duration = Duration::from_secs(30);
/// Entries of every ring.
pub const RING_SIZE: u16 = 1024;
/// One frame of so many is compared byte by byte; of all others the number is.
pub const COMPARE_ONE_OF: u64 = 1021;
/// Rounds of the driver between two looks at the clock.
pub const ROUNDS_PER_LOOK: u32 = 64;
/// Bytes of a buffer for frames of 9000 bytes, header included.
pub const JUMBO_BUFFER: usize = 9216;
/// Bytes of a buffer for frames of 64 KiB, header included.
pub const LARGE_BUFFER: usize = 65_536 + 64;
/// Payload of the large frame: with its headers it takes exactly 64 KiB.
pub const LARGE_PAYLOAD: usize = 65_536 - 14 - 20 - 20;
/// Segments that a large frame says it is made of.
pub const MSS: u16 = 1448;
/// Size of the last-level cache where the kernel does not tell.
pub const LAST_LEVEL_CACHE: u64 = 64 << 20;
/// Huge pages of 2 MiB for DPDK's own buffers.
pub const DPDK_PAGES: u64 = 512;
/// Huge pages of 2 MiB for everything else at least: two guests with large frames, and plain buffers to
/// compare with.
pub const GUEST_PAGES: u64 = 512;
/// Bursts of a short and of a long run whose instructions are counted.
pub const COUNTED_BURSTS: [u32; 2] = [2_048, 10_240];
