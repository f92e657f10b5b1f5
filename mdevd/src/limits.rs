//! Every limit of the daemon, named once.

use std::time::Duration;

/// Time slice that threads ask the scheduler for; there is no shorter one.
pub const TIMESLICE: Duration = Duration::from_micros(100);
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
/// Most queue pairs whose counters one page holds, unless a single device has more.
pub const MAX_PAGE_PAIRS: usize = 4096;
/// Longest socket path: `sun_path` without its terminating NUL, in bytes.
pub const MAX_SOCKET_PATH: usize = 107;
/// Most digits of a memory size.
pub const MAX_MEMORY_DIGITS: usize = 15;
/// Longest text taken from a client for any one argument, in bytes.
pub const MAX_TEXT: usize = 256;
/// Names that are compared with one that is not there, to guess what was meant.
pub const MAX_COMPARED: usize = 1024;
/// Characters of such a text that are repeated in a refusal.
pub const MAX_SHOWN: usize = 80;
/// Most files with profiles that are read.
pub const MAX_PROFILES: usize = 256;
/// Most ranges of VLANs that a trunk is told by.
pub const MAX_TRUNK_RANGES: usize = 64;
/// Highest rate given to a device, in Mbit/s.
pub const MAX_RATE_MBIT: u32 = policies::limits::MAX_MBIT;
/// Most groups of devices that share a rate.
pub const MAX_RATE_GROUPS: usize = 256;
/// Highest rate given to a device, in frames per second.
pub const MAX_RATE_FRAMES: u32 = policies::limits::MAX_FRAMES;
/// Largest configuration file, in bytes.
pub const MAX_CONFIG: u64 = 1 << 20;
/// Most connections to the daemon's private bus socket at a time.
pub const MAX_BUS_CONNECTIONS: usize = 64;
/// Largest D-Bus message that is taken, in bytes.
pub const MAX_BUS_MESSAGE: usize = 1 << 20;
/// Events kept for listeners that are slow; who is slower misses the oldest.
pub const MAX_EVENTS_KEPT: usize = 4096;
/// Devices that have objects of their own on the system bus; the lists of the manager have all.
pub const MAX_EXPORTED_DEVICES: usize = 4096;
/// Events whose effects are looked at together.
pub const MAX_EVENTS_AT_ONCE: usize = 512;
/// Calls from the system bus in progress at a time.
pub const MAX_BUS_CALLS: usize = 1024;
/// Of those, calls of one connection.
pub const MAX_BUS_CALLS_OF_ONE: usize = 256;
/// Answers to calls from the system bus that may be large (lists, all objects) and are not yet sent.
pub const MAX_LARGE_ANSWERS: usize = 4;
/// Questions that polkit puts to persons for the daemon at a time; beyond, nobody is asked.
pub const MAX_PROMPTS: usize = 8;
/// Between two lines of the log about refusals on the system bus.
pub const DENIAL_LOG_PAUSE: Duration = Duration::from_secs(1);
/// Time the bus has to say who a caller is.
pub const CREDENTIALS_DEADLINE: Duration = Duration::from_secs(5);
/// Time polkit has to answer when no person is asked.
pub const POLKIT_DEADLINE: Duration = Duration::from_secs(5);
/// Time a person has to answer polkit.
pub const PROMPT_DEADLINE: Duration = Duration::from_secs(120);
/// Time a reply waits for the objects on the system bus to show what it tells.
pub const CATCH_UP_DEADLINE: Duration = Duration::from_secs(2);
/// Time to join the system bus.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// Pauses between attempts to join the system bus, growing from the first to the second.
pub const MIN_BUS_PAUSE: Duration = Duration::from_secs(1);
/// See [`MIN_BUS_PAUSE`].
pub const MAX_BUS_PAUSE: Duration = Duration::from_secs(60);
/// A stay on the system bus that long makes the pauses short again.
pub const STEADY_BUS: Duration = Duration::from_secs(60);
/// Most bytes a peer may send before it has authenticated.
pub const MAX_SASL_BYTES: usize = 1024;
/// Time a peer has to authenticate.
pub const SASL_DEADLINE: Duration = Duration::from_secs(5);
/// How often a device is reset within a minute for what its driver did; behind that it stays stopped.
pub const RESETS_A_MINUTE: u64 = 5;
/// Between two looks at what the guests of connected devices did wrong, and between two events about one of them.
pub const PATROL_PERIOD: Duration = Duration::from_secs(1);
/// Devices that are looked at before others get their turn.
pub const PATROL_BATCH: usize = 64;
/// Time the data plane has to leave memory or a device alone; then that client is cut off.
pub const QUIESCE_DEADLINE: Duration = libcvf::limits::QUIESCE_DEADLINE;
/// Time one command waits for another one that is changing the same device.
pub const CHANGE_DEADLINE: Duration = Duration::from_secs(10);
/// Time `cvfctl` waits for an answer, unless told otherwise.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Least that it can be told.
pub const MIN_CALL_DEADLINE: Duration = Duration::from_millis(100);
/// Most that it can be told.
pub const MAX_CALL_DEADLINE: Duration = Duration::from_secs(3600);
/// Most time between two looks of `cvfctl import` at how far it is.
pub const MAX_PROGRESS_PAUSE: Duration = Duration::from_millis(200);
/// Least time between two looks of `cvfctl top`.
pub const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Most time between two looks of `cvfctl top`.
pub const MAX_INTERVAL: Duration = Duration::from_secs(3600);
/// Threads for blocking work (store flushes, composing), at most.
pub const BLOCKING_THREADS: usize = 64;
/// Of those, threads for those who read.
pub const READERS_AT_ONCE: usize = 16;
/// Commands that may wait for scripts or for a device, at a time, beside the jobs that run and what the daemon starts by
/// itself.
pub const COMMANDS_AT_ONCE: usize = BLOCKING_THREADS - READERS_AT_ONCE - MAX_JOBS_AT_ONCE - 1;
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
/// Time that the daemon waits for the devices it starts by itself before it tells the service manager that it is ready.
pub const READY_PATIENCE: Duration = Duration::from_secs(10);
/// Time a client that asks the daemon to stop has to take the answer.
pub const FAREWELL_DEADLINE: Duration = Duration::from_secs(5);
/// Captures that run at a time, of all devices; of one [`libcvf::limits::MAX_TAPS`].
pub const MAX_CAPTURES: usize = 16;
/// Bytes of a frame that are captured unless told otherwise: its headers.
pub const DEFAULT_SNAPLEN: u64 = 256;
/// Least and most seconds that a capture is told to take.
pub const MIN_CAPTURE_SECONDS: f64 = 0.001;
/// See [`MIN_CAPTURE_SECONDS`].
pub const MAX_CAPTURE_SECONDS: f64 = 86_400.0;
/// How long a capture gathers frames after the first, before they are written.
pub const CAPTURE_GATHER: Duration = Duration::from_millis(20);
/// Bytes of a capture that are written in one go.
pub const CAPTURE_WRITE: usize = 64 << 10;
/// Connections a device's listener holds while nobody accepts.
pub const SOCKET_BACKLOG: i32 = 8;
/// Most scripts in the callout directory.
pub const MAX_CALLOUTS: usize = 64;
/// Most of them that run at a time; others wait for their turn.
pub const MAX_CALLOUTS_AT_ONCE: usize = 16;
/// Devices of one place in the order that the daemon starts at a time: a quarter of what may run scripts.
pub const STARTS_AT_ONCE: usize = MAX_CALLOUTS_AT_ONCE / 4;
/// Time that each has, unless configured otherwise.
pub const CALLOUT_DEADLINE: Duration = Duration::from_secs(5);
/// Most that can be configured.
pub const MAX_CALLOUT_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes that are kept of what a script prints.
pub const MAX_CALLOUT_TEXT: usize = 1024;
/// Time for what a script printed before it ended to arrive, where something it left behind holds its pipes.
pub const CALLOUT_LAST_WORDS: Duration = Duration::from_millis(200);
/// Most notifications that wait; more are left out, and logged.
pub const MAX_NOTIFICATIONS: usize = 1024;
/// Largest document that is imported at once, in bytes: it fits into a message.
pub const MAX_IMPORT: usize = 960 << 10;
/// Most definitions of one.
pub const MAX_IMPORTED: usize = 4096;
/// Differences that are named where a definition is not what somebody has read.
pub const MAX_DIFFERENCES: usize = 8;
/// Most jobs that are queued or run; commands that nobody asked for as jobs are not shown as ones beyond.
pub const MAX_JOBS: usize = 256;
/// Of those, jobs that one user asked for.
pub const MAX_JOBS_OF_ONE: usize = 32;
/// Jobs that were asked for and run at a time; others are queued. With what the daemon starts
/// by itself a quarter of the callouts is left for callers that wait.
pub const MAX_JOBS_AT_ONCE: usize = MAX_CALLOUTS_AT_ONCE / 2;
/// Most jobs that have ended and are shown still.
pub const MAX_ENDED_JOBS: usize = 128;
/// Time that they are.
pub const JOB_KEPT: Duration = Duration::from_secs(600);
/// Bytes of the sentence that says in lists and signals why a job has failed.
pub const MAX_JOB_REASON: usize = 2048;
/// Bytes of what they are about and of their answers, as JSON.
pub const MAX_JOB_BYTES: usize = 16 << 20;
/// News of jobs that are kept for listeners that are slow; who is slower looks at all jobs anew.
pub const MAX_JOB_NEWS: usize = 1024;
/// Time that commands have to go back, and the bus to tell it, when the daemon stops.
pub const WIND_UP_DEADLINE: Duration = Duration::from_secs(2);
