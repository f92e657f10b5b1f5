//! `cvfctl capture` on a real daemon: who may look, how many, when it ends, and what is told of it. What is seen, the
//! fake VM's tests say.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mdevd::pcapng::{Block, Blocks, Statistics};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::schema::{check, published};
use support::{Daemon, House, Said, tools};

/// What a capture's statistics are; `None`: it has none, or not whole blocks only.
fn statistics(bytes: &[u8]) -> Option<Statistics> {
    let mut blocks = Blocks::default();
    blocks.feed(bytes);
    let (mut told, mut whole) = (None, 0);
    while let Some((block, what)) = blocks.take().expect("pcapng") {
        whole += block.len();
        if let Block::Statistics(statistics) = what {
            told = Some(statistics);
        }
    }
    told.filter(|_| whole == bytes.len())
}

fn captures(daemon: &Daemon<'_>) -> u64 {
    let shown = daemon.json(&["show", "vm1"]);
    shown["health"]["captures"].as_u64().expect("a number")
}

fn begin(house: &House, daemon: &Daemon<'_>, args: &[&str]) -> Child {
    let before = captures(daemon);
    let child = Command::new(env!("CARGO_BIN_EXE_cvfctl"))
        .args(["capture", "vm1"])
        .args(args)
        .env("MDEVD_ADDRESS", house.bus())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cvfctl runs");
    daemon.until("a capture", || captures(daemon) == before + 1);
    child
}

fn end(child: Child) -> (Option<i32>, Vec<u8>, String) {
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), output.stdout, said)
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

#[test]
fn it_ends_with_its_time_a_signal_its_reader_or_its_device() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1"]);
    let open = daemon.descriptors();

    let said = daemon.cvfctl(&["capture", "vm1", "--seconds", "0.05", "--text"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    assert!(said.err.contains("0 frames of vm1 captured"), "{said:?}");

    for by in [Signal::SIGINT, Signal::SIGTERM] {
        let child = begin(&house, &daemon, &[]);
        signal(&child, by);
        let (code, out, said) = end(child);
        assert_eq!(code, Some(0), "{said}");
        assert!(statistics(&out).is_some(), "the file is whole");
        daemon.until("its end", || captures(&daemon) == 0);
    }

    let mut child = begin(&house, &daemon, &[]);
    drop(child.stdout.take());
    signal(&child, Signal::SIGKILL);
    child.wait().expect("killed");
    daemon.until("its end", || captures(&daemon) == 0);

    let child = begin(&house, &daemon, &[]);
    daemon.json(&["destroy", "vm1"]);
    let (code, out, said) = end(child);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(statistics(&out).map(|told| told.seen), Some(0));
    daemon.json(&["create", "vm1"]);
    daemon.until("as many descriptors as before", || {
        daemon.descriptors() <= open
    });
}

#[test]
fn its_begin_and_end_are_told_and_logged() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1"]);
    let mut monitor = Command::new(env!("CARGO_BIN_EXE_cvfctl"))
        .args(["--json", "monitor"])
        .env("MDEVD_ADDRESS", house.bus())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cvfctl runs");
    let mut lines = BufReader::new(monitor.stdout.take().expect("a pipe")).lines();
    let mut next = || -> serde_json::Value {
        let line = lines.next().expect("an event").expect("readable");
        serde_json::from_str(&line).expect("JSON")
    };
    // Until the monitor is known to listen.
    let (heard, waits) = std::sync::mpsc::channel();
    let first = std::thread::scope(|scope| {
        let daemon = &daemon;
        scope.spawn(move || {
            while waits.try_recv().is_err() {
                daemon.json(&["set", "vm1", "link=down"]);
                daemon.json(&["set", "vm1", "link=up"]);
            }
        });
        let first = next();
        heard.send(()).expect("it waits");
        first
    });
    assert_eq!(first["event"], "changed");
    daemon.cvfctl(&["capture", "vm1", "--seconds", "0.01", "--text"]);
    let mut about = || loop {
        let event = next();
        if event["event"] != "changed" {
            return event;
        }
    };
    let schema = published();
    let begun = about();
    assert_eq!(begun["event"], "capture-begun");
    let by = begun["by"].as_str().expect("a text").to_owned();
    assert!(by.ends_with("at the control socket"), "{by}");
    let ended = about();
    assert_eq!(
        (&ended["event"], &ended["device"]),
        (&"capture-ended".into(), &"vm1".into())
    );
    assert_eq!((&ended["frames"], &ended["lost"]), (&0.into(), &0.into()));
    assert_eq!(ended["reason"], "its time is over");
    for event in [begun, ended] {
        check(&schema, "event", &event).expect("documented");
    }
    signal(&monitor, Signal::SIGINT);
    monitor.wait().expect("it ends");
    let log = daemon.stop();
    for what in ["a capture has begun", "a capture has ended"] {
        let line = log.lines().find(|line| line.contains(what)).expect(what);
        assert!(line.contains(&by) && line.contains("vm1"), "{line}");
    }
}

#[test]
fn there_are_only_so_many_and_only_what_can_be() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1"]);
    let mut running: Vec<_> = (0..4).map(|_| begin(&house, &daemon, &[])).collect();
    let refused = |args: &[&str], code: i32, kind: &str, words: &str| {
        let args: Vec<_> = ["--json", "capture"].iter().chain(args).copied().collect();
        let said = daemon.cvfctl(&args);
        assert_eq!(said.code, code, "{said:?}");
        let answer: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!(answer["error"]["kind"], kind, "{answer}");
        assert!(
            answer["error"]["message"]
                .as_str()
                .expect("a text")
                .contains(words),
            "{answer}"
        );
    };
    refused(
        &["vm1"],
        1,
        "no-resources",
        "cannot capture 'vm1': 4 captures of it are running",
    );
    let first = running.remove(0);
    signal(&first, Signal::SIGINT);
    end(first);
    daemon.until("a place", || captures(&daemon) == 3);
    running.push(begin(&house, &daemon, &[]));
    for child in &running {
        signal(child, Signal::SIGINT);
    }
    running.into_iter().for_each(|child| {
        end(child);
    });
    refused(&["nobody"], 1, "not-found", "cannot capture 'nobody'");
    refused(
        &["vm1", "--snaplen", "70000"],
        2,
        "invalid-argument",
        "give 1 to 65535",
    );
    refused(&["vm1", "--count", "0"], 2, "invalid-argument", "count");
    refused(&["vm1", "--seconds", "-1"], 2, "usage", "");
    refused(&["vm1", "--direction", "up"], 2, "usage", "up");
    refused(&["vm1", "--write", "-"], 2, "usage", "not both");
    refused(
        &["vm1", "--write", "/nonexistent/x"],
        1,
        "failed",
        "cannot write /nonexistent/x",
    );
}

#[test]
fn a_file_is_its_owners_and_the_answer_says_what_is_in_it() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "vm1"]);
    let path = house.dir.path().join("vm1.pcapng");
    let file = path.to_str().expect("text");
    let answer = daemon.json(&["capture", "vm1", "--write", file, "--seconds", "0.01"]);
    check(&published(), "captured", &answer).expect("documented");
    assert_eq!(answer["file"], file);
    let mode = std::fs::metadata(&path)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.expect("readable");
    assert!(statistics(&bytes).is_some());
    tcpdump_reads(&path);
}

fn tcpdump_reads(path: &Path) {
    let Some(tcpdump) = tools::program("tcpdump", "tcpdump") else {
        return;
    };
    let output = Command::new(tcpdump).arg("-r").arg(path).output();
    let said = Said::of(output.expect("tcpdump runs"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("EN10MB"), "{said:?}");
}
