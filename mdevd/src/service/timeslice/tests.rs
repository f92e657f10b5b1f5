use std::thread;

use nix::libc;

use super::*;

const SHORT: Duration = Duration::from_micros(100);

/// Of the calling thread: policy, `nice`, nanoseconds of a turn (0: a kernel that does not tell).
fn of_this_thread() -> (u32, i32, u64) {
    let attr = sys::get().expect("sched_getattr");
    (attr.sched_policy, attr.sched_nice, attr.sched_runtime)
}

#[test]
fn threads_started_afterwards_have_it_too_and_nothing_else_changes() {
    let check = || {
        let mut attr = sys::get().expect("sched_getattr");
        let tells = attr.sched_runtime != 0;
        attr.sched_policy = libc::SCHED_BATCH as u32;
        let nice_before = attr.sched_nice.max(7);
        attr.sched_nice = nice_before;
        sys::set(&attr).expect("sched_setattr");
        assert_eq!(shorten(SHORT), Ok(true));
        let wanted = (libc::SCHED_BATCH as u32, nice_before, 100_000);
        let (policy, nice, nanos) = of_this_thread();
        assert_eq!((policy, nice, if tells { nanos } else { 100_000 }), wanted);
        let (policy, nice, nanos) = thread::spawn(of_this_thread).join().expect("a thread");
        assert_eq!((policy, nice, if tells { nanos } else { 100_000 }), wanted);
        assert_eq!(shorten(SHORT), Ok(!tells), "it asks for no more already");
    };
    thread::spawn(check).join().expect("a thread");
}

#[test]
fn who_starts_threads_without_it_is_left_alone() {
    let check = || {
        let mut attr = sys::get().expect("sched_getattr");
        attr.sched_flags |= libc::SCHED_FLAG_RESET_ON_FORK as u64;
        sys::set(&attr).expect("sched_setattr");
        assert_eq!(shorten(SHORT), Ok(false));
    };
    thread::spawn(check).join().expect("a thread");
}

#[test]
fn who_does_not_share_by_turns_is_left_alone() {
    let check = || {
        let mut attr = sys::get().expect("sched_getattr");
        attr.sched_policy = libc::SCHED_IDLE as u32;
        sys::set(&attr).expect("sched_setattr");
        let before = of_this_thread();
        assert_eq!(shorten(SHORT), Ok(false));
        assert_eq!(of_this_thread(), before);
    };
    thread::spawn(check).join().expect("a thread");
}
