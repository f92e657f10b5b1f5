//! Points that count, and kill.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How many points are passed until the process dies at one; not a number, or absent: for ever.
pub const VARIABLE: &str = "MDEVD_CRASH_AT";

/// Points left until death. Zero: none is near.
static LEFT: AtomicU64 = AtomicU64::new(0);
static STARTED: OnceLock<()> = OnceLock::new();

/// Dies at the `nth` point from here, counting from 1. Any thread's points count.
pub fn arm(nth: u64) {
    STARTED.get_or_init(|| ());
    LEFT.store(nth, Ordering::SeqCst);
}

/// A place to die at. Says its name on standard error before it does.
pub fn point(name: &str) {
    STARTED.get_or_init(|| {
        let nth = std::env::var(VARIABLE).ok();
        let nth = nth.and_then(|nth| nth.parse().ok()).unwrap_or(0);
        LEFT.store(nth, Ordering::SeqCst);
    });
    let less = |left: u64| left.checked_sub(1);
    if LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) != Ok(1) {
        return;
    }
    let _ = writeln!(std::io::stderr(), "killed at: {name}");
    let _ = kill(Pid::this(), Signal::SIGKILL);
    // Not reached: the signal is delivered before kill(2) returns to the only thread it can be for,
    // and to the process in any case.
    std::process::abort();
}
