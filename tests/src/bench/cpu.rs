//! Which core does what.

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, gettid};
use std::process::Command;
use std::time::Duration;

use crate::limits::HOST_COMMAND;
use crate::process::{self, Surroundings};

/// Niceness that goes before all others.
const MOST_PREFERRED: i32 = -20;

/// The cores of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Plays both guests.
    pub driver: usize,
    /// Forwards.
    pub forwarder: usize,
}

impl Cores {
    /// Takes the first two cores that this process may use.
    ///
    /// # Errors
    /// Fails on a machine with one core, where the two would only get in each other's way.
    pub fn choose() -> Result<Self> {
        let set = sched_getaffinity(Pid::from_raw(0)).context("ask for this process's cores")?;
        let allowed: Vec<usize> = (0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .collect();
        ensure!(
            allowed.len() >= 2,
            "the benchmark needs two cores, one for the guests"
        );
        Ok(Cores {
            driver: allowed[0],
            forwarder: allowed[1],
        })
    }
}

/// Undoes the pinning of a thread when dropped.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

/// Keeps the calling thread on one core until the result is dropped.
///
/// # Errors
/// Fails when the kernel refuses.
pub fn pin_this_thread(cpu: usize) -> Result<Pinned> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).context("ask for this thread's cores")?;
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("name core {cpu}"))?;
    sched_setaffinity(this, &set).with_context(|| format!("pin the driver to core {cpu}"))?;
    Ok(Pinned { before })
}

/// Gives the calling thread its usual priority again when dropped.
#[derive(Debug)]
pub struct Preferred(());

impl Drop for Preferred {
    fn drop(&mut self) {
        prefer_session(0);
        renice(&[gettid()], 0);
    }
}

/// Lets the calling thread go before others, so that a busy machine disturbs a measurement less.
/// Needs privilege; without it nothing happens.
pub fn prefer_this_thread() -> Preferred {
    prefer_session(MOST_PREFERRED);
    renice(&[gettid()], MOST_PREFERRED);
    Preferred(())
}

/// The same for all threads of a process.
///
/// # Errors
/// Fails when the process is gone.
pub fn prefer_process(pid: u32) -> Result<()> {
    renice(&threads(pid)?, MOST_PREFERRED);
    Ok(())
}

/// Where the kernel groups tasks by session, niceness counts within a session only, and the
/// session has one of its own. Contenders are children and of the same session.
fn prefer_session(niceness: i32) {
    let _ = std::fs::write("/proc/self/autogroup", niceness.to_string());
}

fn renice(threads: &[Pid], niceness: i32) {
    let mut command = Command::new("renice");
    command.arg("-n").arg(niceness.to_string()).arg("-p");
    command.args(threads.iter().map(Pid::to_string));
    // Best effort: a thread may have ended, or privilege may be missing.
    let _ = process::output(command, Surroundings::default(), HOST_COMMAND);
}

fn threads(pid: u32) -> Result<Vec<Pid>> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut threads = Vec::new();
    for task in tasks.with_context(|| format!("list the threads of {pid}"))? {
        let name = task?.file_name();
        let number = name
            .to_string_lossy()
            .parse()
            .context("a thread's number")?;
        threads.push(Pid::from_raw(number));
    }
    Ok(threads)
}

/// Keeps all threads of a process on one core; threads that they start later stay there, too.
///
/// # Errors
/// Fails when the process is gone or the kernel refuses.
pub fn pin_process(pid: u32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("name core {cpu}"))?;
    for thread in threads(pid)? {
        match sched_setaffinity(thread, &set) {
            // It may have ended since it was listed.
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("pin {pid} to core {cpu}")),
        }
    }
    Ok(())
}

/// Processor time that a process has used, all its threads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime(Duration);

impl CpuTime {
    /// As the scheduler has it now. Threads that have ended are not in it.
    ///
    /// # Errors
    /// Fails when the process is gone, or the kernel keeps no such statistics.
    pub fn of(pid: u32) -> Result<Self> {
        let mut total = Duration::ZERO;
        for thread in threads(pid)? {
            let text = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"));
            // It may have ended since it was listed.
            let Ok(text) = text else { continue };
            let time = text
                .split_whitespace()
                .next()
                .and_then(|ns| ns.parse().ok());
            total += Duration::from_nanos(time.context("unexpected schedstat")?);
        }
        ensure!(
            total > Duration::ZERO,
            "the kernel keeps no processor time of {pid}"
        );
        Ok(CpuTime(total))
    }

    /// What was used since an earlier look.
    pub fn since(self, before: Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_grows_and_never_shrinks() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while CpuTime::of(std::process::id()).unwrap().since(before) == Duration::ZERO {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(
            before.since(CpuTime::of(std::process::id()).unwrap()),
            Duration::ZERO
        );
    }
}
