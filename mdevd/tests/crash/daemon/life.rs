//! One life of the daemon, and what it has found.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use mdevd::bus::ManagerClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::super::judge::Judge;
use super::super::support::House;

/// A daemon that is ready.
pub struct Life<'a> {
    house: &'a House,
    child: std::cell::RefCell<Child>,
    log: std::cell::RefCell<Option<std::thread::JoinHandle<String>>>,
}

/// Where a log says that the daemon killed itself.
fn place(log: &str) -> Option<String> {
    log.lines()
        .find_map(|line| line.strip_prefix("killed at: "))
        .map(str::to_owned)
}

impl<'a> Life<'a> {
    /// Starts it, to die at its `nth` step; zero: at none.
    ///
    /// # Errors
    /// The step at which it died before it was ready.
    pub fn start(house: &'a House, nth: u64) -> Result<Self, String> {
        let mut child = house
            .command(&["--pf", "soft:soft0,queue-pairs=256"])
            .env("MDEVD_CRASH_AT", nth.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut seen = String::new();
        while !seen.contains(" ready ") {
            if log.read_line(&mut seen).expect("readable") == 0 {
                child.wait().expect("it ends");
                return Err(place(&seen).unwrap_or_else(|| panic!("it ended by itself:\n{seen}")));
            }
        }
        let rest = std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = log.read_to_end(&mut rest);
            seen + &String::from_utf8_lossy(&rest)
        });
        Ok(Self {
            house,
            child: child.into(),
            log: Some(rest).into(),
        })
    }

    /// What it has, against what it may have.
    pub fn judge_found(&self, judge: &mut Judge) {
        judge.found(&look(self.house));
    }

    /// Kills it.
    pub fn kill(&self) {
        let child = &mut *self.child.borrow_mut();
        child.kill().expect("it is there");
        child.wait().expect("it ends");
    }

    /// Stops it in order. Gives the step at which it died, if it did, then or before.
    pub fn end(self) -> Option<String> {
        let child = &mut *self.child.borrow_mut();
        if child.try_wait().expect("it can be asked").is_none() {
            let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
            kill(pid, Signal::SIGTERM).expect("it is there");
        }
        let status = child.wait().expect("it ends");
        let log = self.log.take().expect("a log").join().expect("text");
        if status.success() {
            return None;
        }
        assert_eq!(status.signal(), Some(9), "{status}\n{log}");
        Some(place(&log).unwrap_or_else(|| panic!("{log}")))
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Every device by its name, as defined.
pub fn look(house: &House) -> BTreeMap<String, Value> {
    runtime().block_on(async {
        let manager = ManagerClient::connect(&house.bus())
            .await
            .expect("it answers");
        let (mut found, mut after) = (BTreeMap::new(), String::new());
        loop {
            let (devices, next) = manager.list(&after, 1000).await.expect("a page");
            for device in devices {
                let name = device["name"].as_str().expect("a name").to_owned();
                let state = device["state"].as_str().expect("a state");
                assert!(matches!(state, "ready" | "defined"), "{device:#}");
                let shown = manager.show(&name).await.expect("shown");
                found.insert(name, defined(&shown));
            }
            if next.is_empty() {
                return found;
            }
            after = next;
        }
    })
}

/// Of what `Show` says, what the definition decides.
fn defined(shown: &Value) -> Value {
    let keys = [
        "state",
        "uuid",
        "mac",
        "pf",
        "queue_pairs",
        "mtu",
        "vlan",
        "ring_format",
        "socket_mode",
        "socket",
        "sequence",
    ];
    let known: serde_json::Map<_, _> = keys
        .iter()
        .map(|key| {
            (
                (*key).to_owned(),
                shown.get(*key).cloned().unwrap_or_default(),
            )
        })
        .collect();
    json!(known)
}
