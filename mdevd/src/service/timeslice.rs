//! How long a turn at a processor this process's threads ask for.
//!
//! What a guest waits for is done in some ten microseconds by a thread that slept until then. On a busy machine it waits for a
//! processor several times as long, for the scheduler (EEVDF, Linux 6.12 and later) gives that to who asks for the shortest turn
//! first. So threads here ask for the shortest that there is. None has more of the processor by that than its share; workers
//! that poll make way for others sooner, too.

mod sys;

use std::time::Duration;

use nix::libc;

/// Has this thread, and threads that it starts from here on, ask for turns of `timeslice`. False: it is not of those that share by
/// turns (an operator gave it another policy), its threads would not have it (`SCHED_FLAG_RESET_ON_FORK`), or it asks for no
/// more already. What else it has (policy, `nice`) stays. Earlier kernels take that without a word and go on as before.
///
/// # Errors
/// The kernel's, or a system call filter's.
pub fn shorten(timeslice: Duration) -> nix::Result<bool> {
    let mut attr = sys::get()?;
    let shares = [libc::SCHED_OTHER, libc::SCHED_BATCH].map(|policy| policy as u32);
    let nanos = timeslice.as_nanos() as u64;
    let is_short = (1..=nanos).contains(&attr.sched_runtime);
    let is_kept = attr.sched_flags & libc::SCHED_FLAG_RESET_ON_FORK as u64 == 0;
    if !shares.contains(&attr.sched_policy) || is_short || !is_kept {
        return Ok(false);
    }
    attr.sched_runtime = nanos;
    sys::set(&attr)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
