//! Every limit of the daemon, named once.

use std::time::Duration;

/// Longest name of a device or PF, in bytes.
pub const MAX_NAME: usize = 63;
/// Most devices one daemon defines, ready or failed.
pub const MAX_DEVICES: usize = 65_536;
/// Most PFs one daemon is configured with.
pub const MAX_PFS: usize = 64;
/// Most of anything else than queue pairs and workers that a PF counts.
pub const MAX_PF_COUNT: u32 = 1 << 24;
/// Most entries of one page of a list.
pub const MAX_PAGE: usize = 1000;
/// Longest socket path: `sun_path` without its terminating NUL, in bytes.
pub const MAX_SOCKET_PATH: usize = 107;
/// Most digits of a memory size.
pub const MAX_MEMORY_DIGITS: usize = 15;
/// Longest text taken from a client for any one argument, in bytes.
pub const MAX_TEXT: usize = 256;
/// Characters of such a text that are repeated in a refusal.
pub const MAX_SHOWN: usize = 80;
/// Largest configuration file, in bytes.
pub const MAX_CONFIG: u64 = 1 << 20;
/// Most connections to the daemon's private bus socket at a time.
pub const MAX_BUS_CONNECTIONS: usize = 64;
/// Largest D-Bus message that is taken, in bytes.
pub const MAX_BUS_MESSAGE: usize = 256 << 10;
/// Most bytes a peer may send before it has authenticated.
pub const MAX_SASL_BYTES: usize = 1024;
/// Time a peer has to authenticate.
pub const SASL_DEADLINE: Duration = Duration::from_secs(5);
/// Time the data plane has to leave memory or a device alone; then that client is cut off.
pub const QUIESCE_DEADLINE: Duration = libcvf::limits::QUIESCE_DEADLINE;
/// Time one command waits for another one that is changing the same device.
pub const CHANGE_DEADLINE: Duration = Duration::from_secs(10);
/// Time `cvfctl` waits for an answer.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Threads for blocking work (store flushes, composing), at most.
pub const BLOCKING_THREADS: usize = 32;
/// Pauses between attempts, growing from the first to the second: to accept while the system has no
/// descriptors, to connect while the daemon's backlog is full.
pub const MIN_PAUSE: Duration = Duration::from_millis(5);
/// See [`MIN_PAUSE`].
pub const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Open files of a device with one queue pair and a usual client: listener, connection, memory, and
/// an eventfd for each of four vectors. More queue pairs have more vectors.
pub const FILES_PER_DEVICE: u64 = 8;
/// Most sockets that a service manager hands over.
pub const MAX_HANDED_OVER: usize = 64;
/// Most connections for metrics at a time; more wait to be accepted.
pub const MAX_SCRAPERS: usize = 16;
/// Most scrapes that are answered at a time; others are told to come back.
pub const MAX_SCRAPES: usize = 2;
/// Largest head of a request for metrics, in bytes.
pub const MAX_REQUEST_HEAD: usize = 8 << 10;
/// Most header lines of such a request.
pub const MAX_REQUEST_LINES: usize = 64;
/// Time for the head of such a request to arrive.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// Time for the whole connection, the answer read by the peer included.
pub const SCRAPE_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of metrics that are made at a time.
pub const METRICS_CHUNK: usize = 16 << 10;
/// Time a count of the devices waits for others who look at their names.
pub const PULSE_PATIENCE: Duration = Duration::from_secs(1);
/// Time a client that asks the daemon to stop has to take the answer.
pub const FAREWELL_DEADLINE: Duration = Duration::from_secs(5);
/// Connections a device's listener holds while nobody accepts.
pub const SOCKET_BACKLOG: i32 = 8;
