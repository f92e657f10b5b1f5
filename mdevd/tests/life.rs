//! The daemon's own life: start, stop, restart, and everything that forbids it to start.

mod support;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::signal::Signal;
use support::{House, Said};

fn sockets(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sockets(&path));
        } else if path.extension().is_some_and(|ext| ext == "sock") {
            found.push(path.display().to_string());
        }
    }
    found
}

fn refused(said: &Said, part: &str) {
    assert_eq!(said.code, 1, "{said:?}");
    let complaint = said.err.lines().last().unwrap_or_default();
    assert!(
        complaint.starts_with("mdevd: ") && complaint.contains(part),
        "{part}: {said:?}"
    );
}

#[test]
fn an_orderly_stop_takes_the_sockets_away() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let house = House::new();
        let mut daemon = house.start(&[]);
        daemon.json(&["create", "vm1"]);
        assert_eq!(sockets(&house.runtime()).len(), 2);
        daemon.signal(signal);
        assert!(daemon.child.wait().expect("it ends").success());
        assert_eq!(sockets(&house.runtime()), [""; 0]);
    }
}

#[test]
fn definitions_come_back_after_stop_and_after_kill() {
    let house = House::new();
    let daemon = house.start(&[]);
    for name in ["b", "a"] {
        daemon.json(&["create", name, "--queue-pairs", "2", "--vlan", "9"]);
    }
    daemon.json(&["create", "gone"]);
    daemon.json(&["destroy", "gone"]);
    let before = daemon.json(&["show", "a"]);
    daemon.stop();
    let daemon = house.start(&[]);
    assert_eq!(daemon.json(&["show", "a"]), before);
    assert_eq!(daemon.json(&["list"]).as_array().expect("a list").len(), 2);
    let socket = before["socket"].as_str().expect("a path");
    UnixStream::connect(socket).expect("listening again");
    daemon.json(&["create", "c"]);
    // Stale sockets stay behind, and are no obstacle.
    daemon.kill();
    assert_eq!(sockets(&house.runtime()).len(), 4);
    let daemon = house.start(&[]);
    assert_eq!(daemon.json(&["list"]).as_array().expect("a list").len(), 3);
    UnixStream::connect(socket).expect("listening again");
    let log = daemon.stop();
    assert!(
        log.contains("devices restored") && log.contains("ready=3"),
        "{log}"
    );
}

#[test]
fn what_cannot_be_rebuilt_is_kept_and_explained() {
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:soft0", "--pf", "soft:extra"]);
    daemon.json(&["create", "a"]);
    daemon.json(&["create", "b", "--pf", "extra"]);
    daemon.stop();
    let daemon = house.start(&["--pf", "soft:soft0"]);
    let list = daemon.json(&["list"]);
    assert_eq!(
        (&list[0]["state"], &list[1]["state"]),
        (&"ready".into(), &"failed".into())
    );
    let shown = daemon.cvfctl(&["show", "b"]).out;
    assert!(shown.contains("PF 'extra' is not configured"), "{shown}");
    assert_eq!(daemon.cvfctl(&["show", "b", "--qemu"]).code, 1);
    daemon.json(&["stats", "b"]);
    daemon.json(&["destroy", "b"]);
    assert_eq!(daemon.json(&["list"]).as_array().expect("a list").len(), 1);
}

#[test]
fn a_second_daemon_on_the_same_directories_is_refused() {
    let house = House::new();
    let daemon = house.start(&[]);
    let pid = format!(
        "another mdevd (process {}) uses the runtime directory",
        daemon.pid()
    );
    refused(&Said::of(house.run(&[])), &pid);
    // Its own runtime directory, the same state directory.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let runtime = elsewhere.path().display().to_string();
    let state = format!("(process {}) uses the state directory", daemon.pid());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mdevd"));
    command
        .arg("--state-dir")
        .arg(house.state())
        .args(["--runtime-dir", &runtime]);
    refused(&Said::of(command.output().expect("it runs")), &state);
    assert_eq!(
        daemon.json(&["list"]),
        serde_json::json!([]),
        "the first is unharmed"
    );
}

#[test]
fn directories_that_cannot_be_used_are_named() {
    let house = House::new();
    // Root may write everywhere: a file where the directory should be, and a file in its way.
    std::fs::write(house.state(), "").expect("write");
    refused(&Said::of(house.run(&[])), "cannot make the state directory");
    std::fs::remove_file(house.state()).expect("remove");
    std::fs::write(house.runtime(), "").expect("write");
    refused(
        &Said::of(house.run(&[])),
        "cannot make the runtime directory",
    );
    std::fs::remove_file(house.runtime()).expect("remove");
    std::fs::create_dir_all(house.state().join("state.lock")).expect("mkdir");
    refused(
        &Said::of(house.run(&[])),
        "cannot write in the state directory",
    );
}

#[test]
fn a_read_only_state_directory_is_named() {
    // No process, root included, writes below /proc.
    let house = House::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mdevd"));
    command
        .args(["--state-dir", "/proc/sys"])
        .arg("--runtime-dir")
        .arg(house.runtime());
    refused(
        &Said::of(command.output().expect("it runs")),
        "state directory /proc/sys",
    );
}

#[test]
fn a_taken_control_socket_is_left_alone() {
    let house = House::new();
    std::fs::create_dir(house.runtime()).expect("mkdir");
    let _listener = UnixListener::bind(house.bus()).expect("bind");
    refused(&Said::of(house.run(&[])), "another process listens at");
    UnixStream::connect(house.bus()).expect("the other's socket stays");
}

#[test]
fn a_taken_device_socket_fails_that_device_only() {
    let house = House::new();
    let daemon = house.start(&[]);
    let made = daemon.json(&["create", "a"]);
    daemon.json(&["create", "b"]);
    daemon.stop();
    let _other = UnixListener::bind(made["socket"].as_str().expect("a path")).expect("bind");
    let daemon = house.start(&[]);
    let list = daemon.json(&["list"]);
    assert_eq!(
        (&list[0]["state"], &list[1]["state"]),
        (&"failed".into(), &"ready".into())
    );
    assert!(
        list[0]["reason"]
            .as_str()
            .expect("a reason")
            .contains("another process listens")
    );
    let taken = house.runtime().join("cvf/c.sock");
    std::fs::write(&taken, "mine").expect("write");
    let said = daemon.cvfctl(&["create", "c"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("is not a socket"), "{said:?}");
    assert_eq!(std::fs::read(&taken).expect("read"), b"mine");
}

#[test]
fn names_too_long_for_a_socket_path_are_explained() {
    let house = House::new();
    let daemon = house.start(&[]);
    let room = 107 - house.runtime().join("cvf/.sock").as_os_str().len();
    let name = "x".repeat(room.min(63));
    daemon.json(&["create", &name]);
    if room < 63 {
        let said = daemon.cvfctl(&["create", &"y".repeat(room + 1)]);
        assert_eq!(said.code, 1);
        assert!(said.err.contains("108 bytes"), "{said:?}");
    }
}

#[test]
fn wrong_configuration_is_refused_with_its_place() {
    let house = House::new();
    let file = house.dir.path().join("mdevd.toml");
    std::fs::write(
        &file,
        "log = \"info\"\n\n[[pf]]\nname = \"soft0\"\nqueue-pair = 4\n",
    )
    .expect("write");
    let path = file.display().to_string();
    refused(
        &Said::of(house.run(&["--config", &path])),
        &format!("{path}:5: there is no key 'queue-pair'; did you mean 'queue-pairs'?"),
    );
    refused(
        &Said::of(house.run(&["--log", "mdevd=loudly"])),
        "log level 'mdevd=loudly' cannot be",
    );
    refused(
        &Said::of(house.run(&["--log", "loud"])),
        "'loud' is none of off, error, warn",
    );
    refused(
        &Said::of(house.run(&["--pf", "soft:a,workers=0"])),
        "--pf 'soft:a,workers=0' cannot be",
    );
    refused(
        &Said::of(house.run(&["--pf", "soft:a,queue-pairs=70000"])),
        "70000",
    );
    refused(
        &Said::of(house.run(&["--pf", "soft:a", "--pf", "soft:a,workers=2"])),
        "PF 'a' is given twice",
    );
    let file = house.dir.path().join("mdevd.toml");
    std::fs::write(&file, "\nsocket-owner = \"no-such-user\"\n").expect("write");
    let file = file.display().to_string();
    for check in [&["--config", &file, "--check"][..], &["--config", &file]] {
        refused(
            &Said::of(house.run(check)),
            "mdevd.toml:2: 'socket-owner': there is no user 'no-such-user' on this host",
        );
    }
    assert_eq!(Said::of(house.run(&["--nonsense"])).code, 2);
    assert!(!house.state().exists(), "nothing was made");
}

#[test]
fn a_good_configuration_is_checked_and_printed() {
    let house = House::new();
    let file = house.dir.path().join("mdevd.toml");
    std::fs::write(
        &file,
        "socket-mode = \"0600\"\n[[pf]]\nname = \"big\"\nqueue-pairs = 512\n",
    )
    .expect("write");
    let said = Said::of(house.run(&["--config", &file.display().to_string(), "--check"]));
    assert_eq!(said.code, 0, "{said:?}");
    for part in [
        "socket-mode = 0600",
        "pf = soft:big,queue-pairs=512,workers=1",
    ] {
        assert!(said.out.contains(part), "{said:?}");
    }
    assert!(
        !house.state().exists() && !house.runtime().exists(),
        "checking makes nothing"
    );
    let version = Said::of(house.run(&["--version"]));
    assert!(version.out.starts_with("mdevd "), "{version:?}");
}

#[test]
fn the_shipped_examples_are_good() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut checked = 0;
    for entry in std::fs::read_dir(examples).expect("examples").flatten() {
        if entry.path().extension().is_some_and(|ext| ext == "toml")
            && entry.file_name().to_string_lossy().starts_with("mdevd")
        {
            let house = House::new();
            let path = entry.path().display().to_string();
            let said = Said::of(house.run(&["--config", &path, "--check"]));
            assert_eq!(said.code, 0, "{said:?}");
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked} examples");
}

#[test]
fn the_service_manager_is_told() {
    let house = House::new();
    let path = house.dir.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("bind");
    let mut child = house
        .command(&[])
        .env("NOTIFY_SOCKET", &path)
        .spawn()
        .expect("it starts");
    let mut buf = [0; 64];
    let len = manager.recv(&mut buf).expect("told");
    assert_eq!(&buf[..len], b"READY=1\nSTATUS=0 devices, 0 connected");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("it is there");
    let len = manager.recv(&mut buf).expect("told");
    assert_eq!(&buf[..len], b"STOPPING=1");
    assert!(child.wait().expect("it ends").success());
}

/// `mdevd 2>&1 | head`: who reads the log may leave.
#[test]
fn a_log_that_nobody_reads_harms_nothing() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let house = House::new();
    let mut command = house.command(&["--log", "debug"]);
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut seen = String::new();
    while !seen.contains(" ready ") {
        assert!(log.read_line(&mut seen).expect("readable") > 0, "{seen}");
    }
    drop(log);
    let said = support::cvfctl(&house.bus(), &["create", "vm1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let path = house.runtime().join("cvf").join("vm1.sock");
    drop(UnixStream::connect(path).expect("it listens"));
    let said = support::cvfctl(&house.bus(), &["destroy", "vm1", "--force"]);
    assert_eq!(said.code, 0, "{said:?}");
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().expect("a pid"));
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("it is there");
    assert!(child.wait().expect("it ends").success());
}
