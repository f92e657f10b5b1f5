//! What a process uses.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Seconds of processor time that all threads of a process have used, to the nanosecond; those that
/// have ended count.
///
/// # Errors
/// Fails when the process is gone.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32)).context("find its clock")?;
    let used = clock_gettime(clock).context("read its clock")?;
    Ok(Duration::from(used).as_secs_f64())
}

/// KiB of memory that are a process's own: written by it, and no guest's.
///
/// # Errors
/// Fails when the process is gone.
pub fn own_memory(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps")).context("read its maps")?;
    Ok(own(&text))
}

fn own(smaps: &str) -> u64 {
    let (mut sum, mut guests) = (0, false);
    for line in smaps.lines() {
        match line.split_once(':') {
            Some(("Private_Dirty", rest)) if !guests => sum += first_number(rest).unwrap_or(0),
            Some((field, _))
                if field
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_') => {}
            // The first line of the next area: addresses, then what is mapped there.
            _ => guests = line.contains("/memfd:"),
        }
    }
    sum
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_guest_has_written_is_not_the_daemons() {
        let smaps = "\
            7f-80 rw-p 00000000 00:00 0 \nRss:   99 kB\nPrivate_Dirty:   8 kB\nVmFlags: rd wr\n\
            80-90 rw-s 00000000 00:01 7 /memfd:guest-memory (deleted)\nPrivate_Dirty: 512 kB\n\
            a0-b0 rw-p 00000000 08:01 9 /usr/lib/libc.so.6\nPrivate_Dirty: 4 kB\n";
        assert_eq!(super::own(smaps), 12);
    }

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        assert!(super::own_memory(pid).unwrap() > 0);
        assert!(super::cpu_seconds(pid).unwrap() > 0.0);
    }
}
