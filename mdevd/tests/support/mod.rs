//! A real daemon for a test, and the two programs.
#![allow(dead_code)]

pub mod bus;
pub mod manager;
pub mod schema;
pub mod tools;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Directories of a daemon; outlives it, so that another can be started on them.
pub struct House {
    pub dir: TempDir,
}

impl House {
    pub fn new() -> Self {
        Self {
            dir: TempDir::new().expect("a directory"),
        }
    }

    /// Lets other users reach the directories in it that let them.
    pub fn let_all_in(&self) {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.dir.path(), open).expect("opened");
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn runtime(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Where the daemon looks for profiles; made by who puts some there.
    pub fn profiles(&self) -> PathBuf {
        self.dir.path().join("profiles")
    }

    /// Where it looks for callouts.
    pub fn callouts(&self) -> PathBuf {
        self.dir.path().join("callouts.d")
    }

    /// Puts a callout there: these lines of shell, in place of one of that name.
    pub fn callout(&self, name: &str, lines: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let script = self.callouts().join(name);
        std::fs::create_dir_all(self.callouts()).expect("made");
        std::fs::write(&script, format!("#!/bin/sh\n{lines}")).expect("written");
        for path in [&script, &self.callouts()] {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("set");
        }
        script
    }

    pub fn bus(&self) -> PathBuf {
        self.runtime().join("mdevd.sock")
    }

    /// `mdevd` on these directories, with these further arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mdevd"));
        command
            .arg("--state-dir")
            .arg(self.state())
            .arg("--runtime-dir")
            .arg(self.runtime())
            .arg("--profile-dir")
            .arg(self.profiles())
            .arg("--callout-dir")
            .arg(self.callouts());
        // What a test is about is not what a profile lets be, unless it says so.
        if !args.contains(&"--default-profile") {
            command.args(["--default-profile", "lab"]);
        }
        // A test never joins the machine's own bus.
        if !args.contains(&"--system-bus") {
            command.args(["--system-bus", "off"]);
        }
        command
            .args(args)
            .env_remove("MDEVD_LOG")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("DBUS_SYSTEM_BUS_ADDRESS");
        command
    }

    /// A daemon that is ready.
    pub fn start(&self, args: &[&str]) -> Daemon<'_> {
        self.start_command(self.command(args))
    }

    /// The daemon that `command` is, when it is ready.
    pub fn start_command(&self, mut command: Command) -> Daemon<'_> {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        self.wait_ready(command.spawn().expect("the daemon starts"))
    }

    /// The same, with a command that `prepare` changes first.
    pub fn start_with(&self, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Daemon<'_> {
        let mut command = self.command(args);
        prepare(&mut command);
        self.start_command(command)
    }

    /// A daemon that does not log that it is ready: it answers.
    pub fn start_quiet(&self, args: &[&str]) -> Daemon<'_> {
        let mut command = self.command(args);
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut log = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut seen = String::new();
            let _ = log.read_to_string(&mut seen);
            seen
        });
        let daemon = Daemon {
            house: self,
            child,
            log: Some(log),
        };
        daemon.until("answers", || daemon.cvfctl(&["list"]).code == 0);
        daemon
    }

    /// A configuration file with this text.
    pub fn file(&self, text: &str) -> String {
        let path = self.dir.path().join("mdevd.toml");
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// Waits until a daemon, whose standard error is a pipe, says that it is ready.
    pub fn wait_ready(&self, mut child: Child) -> Daemon<'_> {
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut seen = String::new();
        while !seen.contains(" ready ") && !seen.contains("\"ready\"") {
            let read = log.read_line(&mut seen).expect("readable");
            assert!(read > 0, "the daemon ended before it was ready:\n{seen}");
        }
        // Drained, so that it never waits for us.
        let rest = std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = log.read_to_end(&mut rest);
            seen + &String::from_utf8_lossy(&rest)
        });
        Daemon {
            house: self,
            child,
            log: Some(rest),
        }
    }

    /// Runs it where it is expected to end by itself.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the daemon runs")
    }
}

pub struct Daemon<'a> {
    house: &'a House,
    pub child: Child,
    log: Option<std::thread::JoinHandle<String>>,
}

impl Daemon<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `cvfctl` on this daemon.
    pub fn cvfctl(&self, args: &[&str]) -> Said {
        cvfctl(&self.house.bus(), args)
    }

    /// `cvfctl --json`, expected to succeed.
    pub fn json(&self, args: &[&str]) -> Value {
        let args: Vec<_> = ["--json"].iter().chain(args).copied().collect();
        let said = self.cvfctl(&args);
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begun = std::time::Instant::now();
        while !so() {
            assert!(
                begun.elapsed().as_secs() < 30,
                "it is not so in time: {what}"
            );
            std::thread::yield_now();
        }
    }

    /// Descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.pid());
        std::fs::read_dir(dir).expect("a process").count()
    }

    /// Memory maps it has.
    pub fn maps(&self) -> usize {
        let maps = format!("/proc/{}/maps", self.pid());
        std::fs::read_to_string(maps)
            .expect("a process")
            .lines()
            .count()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a pid"));
        kill(pid, signal).expect("the daemon is there");
    }

    /// Stops it in order; returns its log.
    pub fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().expect("the daemon ends");
        let log = self.log.take().expect("a log").join().expect("readable");
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// Kills it without warning.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon is there");
        self.child.wait().expect("the daemon ends");
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// `cvfctl` on the socket `bus`.
pub fn cvfctl(bus: &Path, args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_cvfctl"))
        .args(args)
        .env("MDEVD_ADDRESS", bus)
        .env_remove("NO_COLOR")
        .output()
        .expect("cvfctl runs");
    Said::of(output)
}
