//! `sched_getattr(2)` and `sched_setattr(2)` of the calling thread, which the C library has no functions for.

use std::mem::size_of;

use nix::errno::Errno;
use nix::libc::{self, sched_attr};

/// How the calling thread is scheduled.
pub(super) fn get() -> nix::Result<sched_attr> {
    let mut attr = sched_attr {
        size: size_of::<sched_attr>() as u32,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `size` bytes to a live local of that size, which is plain data.
    let done = unsafe {
        let (attr, size) = (&raw mut attr, size_of::<sched_attr>() as u32);
        libc::syscall(libc::SYS_sched_getattr, 0, attr, size, 0)
    };
    Errno::result(done)?;
    Ok(attr)
}

/// Has the calling thread scheduled so.
pub(super) fn set(attr: &sched_attr) -> nix::Result<()> {
    // SAFETY: the kernel reads `attr.size` bytes of a live local, and that is its size: `get` made it.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attr, 0) };
    Errno::result(done).map(drop)
}
