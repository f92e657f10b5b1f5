//! System calls the standard library has no word for; the only `unsafe` of the lab's harness.

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the child die with the thread that spawns it, leave the terminal's process group, enter
/// `netns` if given, and inherit `keep` although they are close-on-exec here.
///
/// The caller keeps `netns` and `keep` open until the child has been spawned.
pub fn prepare_child(command: &mut Command, netns: Option<RawFd>, keep: Vec<RawFd>) {
    command.process_group(0);
    command.env_remove("LD_LIBRARY_PATH");
    let setup = move || -> io::Result<()> {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The stop signals that this process blocks are inherited; children take them as usual.
        nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        if let Some(fd) = netns {
            // SAFETY: the caller keeps the descriptor open until after the spawn.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            setns(fd, CloneFlags::CLONE_NEWNET)?;
        }
        for fd in &keep {
            // SAFETY: changes a flag of this process's own descriptor table entry.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes only async-signal-safe system calls (prctl, sigmask, setns, fcntl), does
    // not allocate and takes no lock, as is required between fork and exec.
    unsafe { command.pre_exec(setup) };
}

/// Makes a network namespace that exists only as long as the returned descriptor (or a process in
/// it) does, so that nothing of it can stay behind.
pub fn new_netns() -> io::Result<OwnedFd> {
    // The calling thread must stay where it is: a thread of its own makes the namespace.
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(OwnedFd::from(File::open("/proc/thread-self/ns/net")?))
    })
    .join()
    .map_err(|_| io::Error::other("the thread that makes namespaces died"))?
}

/// Blocks SIGINT, SIGTERM and SIGHUP in this thread and all it starts; returns the set.
pub fn block_stop_signals() -> io::Result<SigSet> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(set)
}

/// Clock ticks a second of `/proc/PID/stat`.
#[must_use]
pub fn clock_ticks() -> u64 {
    // SAFETY: takes and returns plain numbers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100).max(1)
}

/// The number behind a descriptor that stays owned by the caller.
#[must_use]
pub fn raw(fd: &impl AsRawFd) -> RawFd {
    fd.as_raw_fd()
}
