//! The daemon as a process.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

/// What it uses. Absent is what the system does not tell.
#[derive(Clone, Debug, Default)]
pub struct ProcessShot {
    /// Seconds of processor time, of all threads.
    pub cpu_seconds: Option<f64>,
    /// Bytes of memory that is really there.
    pub resident_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// And how many there can be.
    pub max_files: Option<u64>,
}

impl ProcessShot {
    /// Now.
    pub fn take() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        let cpu = usage.map(|usage| usage.user_time() + usage.system_time());
        Self {
            cpu_seconds: cpu.map(|time| time.num_microseconds() as f64 / 1e6),
            resident_bytes: resident(),
            open_files: open_files(),
            max_files: getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .map(|(soft, _)| soft),
        }
    }
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Kernels since 6.2 tell the number as the directory's size; older ones have it counted.
fn open_files() -> Option<u64> {
    let told = fs::metadata("/proc/self/fd").ok()?.size();
    if told > 0 {
        return Some(told);
    }
    // One of them is the directory itself.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}
