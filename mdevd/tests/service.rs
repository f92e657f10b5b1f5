//! The daemon as a service: notification, watchdog, activation, reload, and a stop that asks first.

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{House, Said, cvfctl, manager::Manager, tools};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_manager_is_told_of_start_reload_life_and_stop() {
    let house = House::new();
    let manager = Manager::new(house.dir.path());
    let file = house.file("log = \"info\"\n");
    let daemon = house.start_with(&["--config", &file], |command| {
        command
            .env("NOTIFY_SOCKET", manager.path())
            .env("WATCHDOG_USEC", "200000");
    });
    assert_eq!(manager.next(), "READY=1\nSTATUS=0 devices, 0 connected");
    assert_eq!(manager.next(), "WATCHDOG=1\nSTATUS=0 devices, 0 connected");
    let made = daemon.json(&["create", "vm1"]);
    let client = UnixStream::connect(made["socket"].as_str().expect("a path")).expect("connected");
    manager.until("WATCHDOG=1\nSTATUS=1 device, 1 connected");
    drop(client);
    manager.until("WATCHDOG=1\nSTATUS=1 device, 0 connected");

    let before = uptime();
    daemon.signal(Signal::SIGHUP);
    let reloading = manager.until_start("RELOADING=1\n");
    let stamp = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .expect("a time");
    let stamp: u128 = stamp.parse().expect("a number");
    assert!((before..=uptime()).contains(&stamp), "{before} {stamp}");
    manager.until("READY=1\nSTATUS=1 device, 0 connected");
    fs::write(&file, "lgo = \"x\"\n").expect("written");
    assert_eq!(daemon.cvfctl(&["reload"]).code, 1);
    manager.until_start("RELOADING=1\n");
    manager.until_start("READY=1\n");
    let log = daemon.stop();
    manager.until("STOPPING=1");
    assert!(log.contains("configuration read again"), "{log}");
    assert!(
        log.contains(&format!(
            "the configuration stays as it was: {file}:1: there is no key 'lgo'"
        )),
        "{log}"
    );
}

/// What is ordered behind the daemon, a VM for example, finds the devices that it starts; a script that hangs delays that,
/// and not for long.
#[test]
fn it_is_ready_when_its_devices_are_or_when_they_take_too_long() {
    let house = House::new();
    let manager = Manager::new(house.dir.path());
    let hold = house.dir.path().join("hold");
    house.callout(
        "10-slow",
        &format!(
            "[ $6 = start ] && [ $4 = pre ] || exit 0\nwhile [ -e {} ]; do sleep 0.01; done\n",
            hold.display()
        ),
    );
    let file = house.file("callout-timeout = 60\n");
    let boot = |n: u32| format!("{n:08}-0000-0000-0000-000000000000");
    let start = |n| {
        house.start_with(&["--config", &file, "--boot-id", &boot(n)], |command| {
            command.env("NOTIFY_SOCKET", manager.path());
        })
    };
    let daemon = start(1);
    assert_eq!(manager.next(), "READY=1\nSTATUS=0 devices, 0 connected");
    daemon.json(&["define", "vm1", "--start", "auto"]);
    daemon.stop();
    manager.until("STOPPING=1");

    fs::write(&hold, "").expect("written");
    let daemon = start(2);
    daemon.until("it is asked", || {
        daemon.json(&["show", "vm1"])["state"] == "changing"
    });
    assert_eq!(manager.told(), None, "served, and not ready");
    fs::remove_file(&hold).expect("let go");
    assert_eq!(manager.next(), "READY=1\nSTATUS=1 device, 0 connected");
    assert_eq!(daemon.json(&["show", "vm1"])["state"], "ready");
    daemon.stop();
    manager.until("STOPPING=1");

    fs::write(&hold, "").expect("written");
    let daemon = start(3);
    assert!(manager.next().starts_with("READY=1\n"));
    assert_eq!(daemon.json(&["show", "vm1"])["state"], "changing");
    let log = daemon.stop();
    assert!(log.contains("devices wait to be started"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    manager.until("STOPPING=1");

    // Neither a reload nor a stop meanwhile has it be ready.
    let daemon = start(4);
    daemon.until("it is asked", || {
        daemon.json(&["show", "vm1"])["state"] == "changing"
    });
    daemon.json(&["reload"]);
    assert_eq!(
        manager.told(),
        None,
        "not ready, and no reload of what is not"
    );
    let log = daemon.stop();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(manager.next(), "STOPPING=1");
    assert_eq!(manager.told(), None);
}

/// Microseconds of the monotonic clock.
fn uptime() -> u128 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
    Duration::from(now).as_micros()
}

#[test]
fn a_watchdog_for_another_process_or_none_is_left_alone() {
    let house = House::new();
    let manager = Manager::new(house.dir.path());
    let daemon = house.start_with(&[], |command| {
        command
            .env("NOTIFY_SOCKET", manager.path())
            .env("WATCHDOG_USEC", "1000")
            .env("WATCHDOG_PID", "1");
    });
    assert!(manager.next().starts_with("READY=1\n"));
    daemon.json(&["create", "vm1"]);
    daemon.stop();
    assert_eq!(manager.next(), "STOPPING=1", "and no life in between");
}

/// Starts mdevd as a service manager does: with `socket` as descriptor 3, and an environment for its pid.
fn activated(house: &House, socket: impl Into<OwnedFd>, names: &str) -> Command {
    let mdevd = house.command(&[]);
    let mut command = Command::new("sh");
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=$0 exec \"$@\" 3<&0 0</dev/null";
    command
        .args(["-c", script, names])
        .arg(mdevd.get_program())
        .args(mdevd.get_args());
    command.env_remove("MDEVD_LOG").env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::from(socket.into()));
    command
}

#[test]
fn a_control_socket_that_is_handed_over_is_served_and_left_where_it_is() {
    let house = House::new();
    let path = house.dir.path().join("handed.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    // Asked before anybody is there: it waits, and is answered.
    let early = std::thread::spawn({
        let path = path.clone();
        move || cvfctl(&path, &["list"])
    });
    let daemon = house.wait_ready(
        activated(&house, socket, "control")
            .stderr(Stdio::piped())
            .spawn()
            .expect("started"),
    );
    let said = early.join().expect("no panic");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!house.bus().exists(), "none of its own");
    assert_eq!(cvfctl(&path, &["create", "vm1"]).code, 0);
    let log = daemon.stop();
    assert!(log.contains(&format!("socket={}", path.display())), "{log}");
    assert!(path.exists(), "whose it is removes it");
}

#[test]
fn what_is_handed_over_by_mistake_is_explained() {
    let house = House::new();
    let refused = |said: Said, part: &str| {
        assert!(
            said.code == 1 && said.err.contains(part),
            "{part}: {said:?}"
        );
    };
    let listening = UnixListener::bind(house.dir.path().join("a")).expect("a socket");
    let said = Said::of(
        activated(&house, listening, "http")
            .output()
            .expect("it runs"),
    );
    refused(said, "is named 'control'; set FileDescriptorName=control");
    let datagrams = UnixDatagram::bind(house.dir.path().join("b")).expect("a socket");
    let said = Said::of(
        activated(&house, datagrams, "control")
            .output()
            .expect("it runs"),
    );
    refused(said, "is no listening UNIX stream socket");
}

#[test]
fn systemds_own_activation_starts_it_at_the_first_call() {
    let Some(program) = tools::program("systemd-socket-activate", "systemd") else {
        return;
    };
    let house = House::new();
    let path = house.dir.path().join("s.sock");
    let mdevd = house.command(&[]);
    let mut command = Command::new(program);
    command
        .arg("-l")
        .arg(&path)
        .arg("--fdname=control")
        .arg(mdevd.get_program())
        .args(mdevd.get_args());
    let mut child = command.stderr(Stdio::null()).spawn().expect("started");
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < PATIENCE, "no socket");
        std::thread::yield_now();
    }
    assert!(!house.state().exists(), "nobody has asked yet");
    let said = cvfctl(&path, &["create", "vm1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = cvfctl(&path, &["shutdown"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_reload_changes_what_can_live_and_names_what_waits() {
    let house = House::new();
    let file = house.file("log = \"warn\"\nsocket-mode = \"0660\"\n");
    let daemon = house.start_quiet(&["--config", &file]);
    daemon.json(&["create", "before"]);
    fs::write(
        &file,
        "log = \"info\"\nsocket-mode = \"0600\"\nlog-format = \"json\"\n[[pf]]\nname = \"x\"\n",
    )
    .expect("written");
    let outcome = daemon.json(&["reload"]);
    assert_eq!(
        outcome["changed"],
        serde_json::json!(["log", "socket-mode"])
    );
    assert_eq!(outcome["restart"], serde_json::json!(["log-format", "pf"]));
    assert_eq!(outcome["file"], file);
    let text = daemon.cvfctl(&["reload"]).out;
    assert!(
        text.contains("needs a restart") && text.contains("log-format, pf"),
        "{text}"
    );
    let mode = |made: &serde_json::Value| {
        let path = made["socket"].as_str().expect("a path");
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    };
    let after = daemon.json(&["create", "after"]);
    assert_eq!(mode(&after), 0o600);
    assert_eq!(
        mode(&daemon.json(&["show", "before"])),
        0o660,
        "it keeps what it has"
    );

    fs::write(&file, "log = \"info\"\nsocket-mode = \"9\"\n").expect("written");
    let said = daemon.cvfctl(&["reload"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains(&format!("{file}:2: socket-mode '9'")),
        "{said:?}"
    );
    assert!(said.err.contains("what was in force stays"), "{said:?}");
    let json = daemon.cvfctl(&["--json", "reload"]);
    assert!(
        json.out.contains("\"kind\":\"bad-configuration\""),
        "{json:?}"
    );
    assert_eq!(mode(&daemon.json(&["create", "later"])), 0o600, "as before");
    let log = daemon.stop();
    assert!(!log.contains("before"), "not at this level: {log}");
    assert!(
        log.contains("created") && log.contains("device=\"after\""),
        "at this one: {log}"
    );
}

#[test]
fn a_reload_reads_profiles_one_by_one() {
    let house = House::new();
    let file = house.file("log = \"info\"\n");
    let profiles = house.profiles();
    fs::create_dir_all(&profiles).expect("made");
    let daemon = house.start(&["--config", &file]);
    let nothing = daemon.cvfctl(&["reload"]).out;
    assert!(nothing.contains("nothing has changed"), "{nothing}");
    let good = "description = \"one of ours\"\n";
    fs::write(profiles.join("ours.toml"), good).expect("written");
    fs::write(profiles.join("torn.toml"), "description = \n").expect("written");
    let said = daemon.cvfctl(&["--json", "reload"]);
    assert_eq!(said.code, 1, "not all was taken: {said:?}");
    let outcome: serde_json::Value = serde_json::from_str(&said.out).expect("an object");
    assert_eq!(outcome["changed"], serde_json::json!(["profile ours"]));
    let refused = outcome["refused"].as_array().expect("a list");
    assert_eq!(refused.len(), 1);
    let why = refused[0].as_str().expect("a text");
    assert!(why.contains("torn.toml:1:"), "{why}");
    assert_eq!(
        daemon.json(&["policy", "show", "ours"])["description"],
        "one of ours"
    );
    fs::remove_file(profiles.join("torn.toml")).expect("removed");
    assert_eq!(daemon.cvfctl(&["reload"]).code, 0);
}

#[test]
fn a_daemon_without_a_file_says_so() {
    let house = House::new();
    let daemon = house.start(&[]);
    let said = daemon.cvfctl(&["reload"]);
    assert!(
        said.code == 0 && said.out.contains("without a configuration file"),
        "{said:?}"
    );
}

#[test]
fn a_stop_is_refused_while_somebody_is_connected_unless_it_is_forced() {
    let house = House::new();
    let mut daemon = house.start(&[]);
    let made = daemon.json(&["create", "vm1"]);
    let socket = PathBuf::from(made["socket"].as_str().expect("a path"));
    let client = UnixStream::connect(&socket).expect("connected");
    daemon.until("connected", || {
        daemon.json(&["show", "vm1"])["state"] == "connected"
    });
    let said = daemon.cvfctl(&["shutdown"]);
    assert_eq!(said.code, 1, "{said:?}");
    let own = format!("vm1 (process {} ", std::process::id());
    assert!(
        said.err.contains(&own) && said.err.contains("--force"),
        "{said:?}"
    );
    let json = daemon.cvfctl(&["--json", "shutdown"]);
    assert!(json.out.contains("\"kind\":\"busy\""), "{json:?}");
    // Also while a command is at work on the device: its VM is there all the same.
    let hold = house.dir.path().join("hold");
    let asked = house.dir.path().join("asked");
    fs::write(&hold, "").expect("written");
    let [at, held] = [&asked, &hold].map(|path| path.display());
    let body =
        format!("[ $4 = pre ] || exit 0\n: > {at}\nwhile [ -e {held} ]; do sleep 0.01; done\n");
    let script = house.callout("10-slow", &body);
    std::thread::scope(|scope| {
        let set = scope.spawn(|| daemon.cvfctl(&["set", "vm1", "link=down"]));
        daemon.until("asked", || asked.exists());
        let said = daemon.cvfctl(&["shutdown"]);
        assert!(said.code == 1 && said.err.contains(&own), "{said:?}");
        fs::remove_file(&hold).expect("let go");
        assert_eq!(set.join().expect("no panic").code, 0);
    });
    fs::remove_file(script).expect("removed");
    daemon.json(&["create", "vm2"]);

    let forced = daemon.json(&["shutdown", "--force"]);
    assert_eq!(
        forced,
        serde_json::json!({"result": "stopping", "devices": 2, "connected": 1})
    );
    assert!(daemon.child.wait().expect("it ends").success());
    assert!(!socket.exists() && !house.bus().exists());
    drop(client);
    let daemon = house.start(&[]);
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(2));
    let said = daemon.cvfctl(&["shutdown"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "mdevd is stopping\n"),
        "nobody is connected: {said:?}"
    );
}
