//! Devices that do nothing cost nothing.

use std::collections::HashMap;

use crate::common::{Host, introduce, pass};

/// Times that each thread of the daemon has gone to sleep or was made to.
fn switches(pid: u32) -> HashMap<String, u64> {
    let mut all = HashMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let path = task.unwrap().path();
        let text = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let count = text
            .lines()
            .filter_map(|line| {
                line.split_once("ctxt_switches:")?
                    .1
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        all.insert(path.display().to_string(), count);
    }
    all
}

/// An idle daemon sleeps: between two looks, which are separated by work of somebody else, none
/// of its threads has run more than a stray timer would make it.
#[test]
fn idle_devices_wake_nobody() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    for number in 0..100 {
        pass(&mut one, &mut two, number);
    }
    let pid = host.daemon.pid();
    // The worker spins a little after the last frame; wait until it has gone to sleep.
    lab::process::wait_for("the daemon to fall asleep", crate::common::SOON, || {
        let before = host.daemon.cpu_seconds()?;
        burn();
        Ok((host.daemon.cpu_seconds()? == before).then_some(()))
    })
    .unwrap();
    let (before, used) = (switches(pid), host.daemon.cpu_seconds().unwrap());
    for _ in 0..20 {
        burn();
    }
    let spent = host.daemon.cpu_seconds().unwrap() - used;
    for (thread, after) in switches(pid) {
        let woken = after - before.get(&thread).copied().unwrap_or(after);
        assert!(woken < 20, "{thread} woke {woken} times in about 2 s");
    }
    assert!(spent <= 0.02, "{spent} s of processor time in about 2 s");
    pass(&mut one, &mut two, 1000);
}

/// Keeps this thread busy for about a tenth of a second, so that time passes without a sleep.
fn burn() {
    let start = std::time::Instant::now();
    while start.elapsed().as_millis() < 100 {
        std::hint::spin_loop();
    }
}
