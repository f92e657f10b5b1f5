//! `cvfctl monitor` on a real daemon.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{House, Said};

struct Monitor {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Monitor {
    fn start(house: &House, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cvfctl"))
            .arg("monitor")
            .args(args)
            .env("MDEVD_ADDRESS", house.bus())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cvfctl runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out }
    }

    /// One that is known to listen: it has told of a device that comes and goes.
    fn listening(house: &House, daemon: &support::Daemon<'_>, args: &[&str]) -> Self {
        let mut monitor = Self::start(house, args);
        let (seen, wait) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // Until one of them is told of, the monitor may not have connected yet.
                while wait.try_recv().is_err() {
                    daemon.json(&["create", "probe"]);
                    daemon.json(&["destroy", "probe"]);
                }
            });
            monitor.line();
            let _ = seen.send(());
        });
        daemon.json(&["create", "begin"]);
        while !monitor.line().contains("begin") {}
        monitor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("readable");
        line
    }

    fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn interrupt(&self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("it is there");
    }

    fn end(mut self) -> Said {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("readable");
        let mut said = Said::of(self.child.wait_with_output().expect("it ends"));
        said.out = rest;
        said
    }
}

#[test]
fn a_devices_life_is_printed() {
    let house = House::new();
    let daemon = house.start(&[]);
    let mut monitor = Monitor::listening(&house, &daemon, &["--json"]);
    let made = daemon.json(&["create", "vm1"]);
    let event = monitor.json();
    assert_eq!(event["event"], "created");
    for (key, same) in [
        ("device", "name"),
        ("uuid", "uuid"),
        ("mac", "mac"),
        ("pf", "pf"),
    ] {
        assert_eq!(event[key], made[same], "{event}");
    }
    let first = event["sequence"].as_u64().expect("a number");
    let client = UnixStream::connect(made["socket"].as_str().expect("a path")).expect("connected");
    let event = monitor.json();
    assert_eq!(event["event"], "connected");
    assert_eq!(event["client"]["pid"], std::process::id());
    assert_eq!(event["sequence"], first + 1);
    drop(client);
    assert_eq!(monitor.json()["event"], "disconnected");
    daemon.json(&["set", "vm1", "link=down"]);
    let event = monitor.json();
    assert_eq!(event["event"], "changed");
    assert_eq!(event["attributes"][0], "link");
    daemon.json(&["destroy", "vm1"]);
    assert_eq!(monitor.json()["event"], "destroyed");
    monitor.interrupt();
    let said = monitor.end();
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
}

#[test]
fn it_ends_after_a_count_or_a_time_and_says_which() {
    let house = House::new();
    let daemon = house.start(&[]);
    let said = daemon.cvfctl(&["monitor", "--timeout", "0.1"]);
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (0, "", "")
    );
    let said = daemon.cvfctl(&["monitor", "--timeout", "0.1", "--count", "1"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("0 of 1 events"), "{said:?}");
    let said = daemon.cvfctl(&["--json", "monitor", "--timeout", "0.1", "--count", "1"]);
    let error: Value = serde_json::from_str(&said.out).expect("an object");
    assert_eq!((said.code, &error["error"]["kind"]), (1, &"failed".into()));
    for wrong in [
        ["--count", "0"],
        ["--count", "x"],
        ["--timeout", "-1"],
        ["--timeout", "0"],
        ["--timeout", "x"],
    ] {
        let args: Vec<_> = ["monitor"].iter().chain(&wrong).copied().collect();
        assert_eq!(daemon.cvfctl(&args).code, 2, "{wrong:?}");
    }
    let mut monitor = Monitor::listening(&house, &daemon, &["--count", "1000000"]);
    daemon.json(&["create", "vm1"]);
    assert!(monitor.line().contains(" vm1 created: "));
    daemon.stop();
    let said = monitor.end();
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("connection has ended"), "{said:?}");
}

#[test]
fn one_that_does_not_read_is_told_what_it_missed() {
    let house = House::new();
    let daemon = house.start(&[]);
    let mut monitor = Monitor::listening(&house, &daemon, &["--json"]);
    // More than the daemon keeps and all buffers on the way hold together.
    let toggles = ["set", "begin", "link=down"];
    let bus = house.bus();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = mdevd::bus::ManagerClient::connect(&bus)
            .await
            .expect("connected");
        for n in 0..20_000 {
            let word = if n % 2 == 0 { "down" } else { "up" };
            let options = [("link", word.into())].into_iter().collect();
            client.set(toggles[1], options).await.expect("set");
        }
    });
    let mut seen = 0;
    let mut last = 0;
    let missed = loop {
        let event = monitor.json();
        if event["event"] == "missed" {
            break event["count"].as_u64().expect("a number");
        }
        last = event["sequence"].as_u64().expect("a number");
        seen += 1;
    };
    assert!(missed > 0 && seen < 20_000);
    assert_eq!(
        monitor.json()["sequence"],
        last + missed + 1,
        "what it was not told is counted exactly"
    );
    monitor.interrupt();
    assert_eq!(monitor.end().code, 0);
}
