//! Jobs at the private socket: `cvfctl jobs`, what a terminal shows of an import, and signals to peers that watch.

mod support;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use futures_lite::StreamExt;
use mdevd::bus::{ManagerClient, Options};
use serde_json::{Value, json};
use support::House;
use support::schema::{check, published};
use zbus::zvariant::OwnedObjectPath;

/// A script that waits, before anything is done, until it is let go.
struct Gate(PathBuf);

impl Gate {
    fn of(house: &House) -> Self {
        let gate = house.dir.path().join("gate");
        std::fs::create_dir(&gate).expect("made");
        let body = format!(
            "[ $4 = pre ] || exit 0\ncd {gate} && : > asked\n\
             while [ -e asked ] && [ ! -e open ]; do sleep 0.02; done\n",
            gate = gate.display()
        );
        house.callout("10-gate", &body);
        Self(gate)
    }

    fn open(&self) {
        std::fs::write(self.0.join("open"), "").expect("written");
    }

    fn asked(&self) -> bool {
        self.0.join("asked").exists()
    }
}

fn patient(house: &House) -> support::Daemon<'_> {
    let file = house.file("callout-timeout = 60\n");
    house.start(&["--config", &file])
}

#[test]
fn a_command_that_waits_is_listed_cancelled_and_asked_for_its_result() {
    let house = House::new();
    let gate = Gate::of(&house);
    let daemon = patient(&house);
    let schema = published();
    let none = daemon.cvfctl(&["jobs"]);
    assert!(none.out.starts_with("no jobs"), "{none:?}");
    std::thread::scope(|scope| {
        let define = || daemon.cvfctl(&["define", "vm1"]);
        let waits = scope.spawn(define);
        daemon.until("asked", || gate.asked());
        let jobs = daemon.json(&["jobs"]);
        check(&schema, "jobs", &jobs).expect("documented");
        assert_eq!(
            (&jobs[0]["method"], &jobs[0]["device"], &jobs[0]["state"]),
            (&json!("Define"), &json!("vm1"), &json!("running"))
        );
        let early = daemon.cvfctl(&["jobs", "--result", "1"]);
        assert_eq!(early.code, 1);
        assert!(
            early.err.contains("job 1 (Define 'vm1') is running"),
            "{early:?}"
        );
        let asked = daemon.json(&["jobs", "--cancel", "1"]);
        check(&schema, "job-asked", &asked).expect("documented");
        let said = waits.join().expect("it ends");
        assert_eq!(said.code, 1);
        assert!(
            said.err.contains("cannot define 'vm1': it was cancelled"),
            "{said:?}"
        );
    });
    let jobs = daemon.json(&["jobs"]);
    check(&schema, "jobs", &jobs).expect("documented");
    assert_eq!(jobs[0]["error"]["kind"], "cancelled", "{jobs}");
    let late = daemon.cvfctl(&["--json", "jobs", "--cancel", "1"]);
    let late: Value = serde_json::from_str(&late.out).expect("JSON");
    assert_eq!(late["error"]["kind"], "not-cancellable", "{late}");
    let none = daemon.cvfctl(&["--json", "jobs", "--cancel", "9"]);
    let none: Value = serde_json::from_str(&none.out).expect("JSON");
    assert_eq!(none["error"]["kind"], "not-found", "{none}");
    gate.open();
    let made = daemon.json(&["define", "vm1"]);
    let same = daemon.json(&["jobs", "--result", "2"]);
    check(&schema, "job-answer", &same).expect("documented");
    assert_eq!(same, made);
}

/// `cvfctl import` of two devices on a pseudo-terminal, by `script` of util-linux, while a script is asked about the
/// first.
struct Import {
    child: Child,
    out: ChildStdout,
    seen: String,
}

impl Import {
    fn start(house: &House) -> Self {
        let file = house.dir.path().join("devices.json");
        let document = json!({
            "format": "mdevd-definitions", "version": 1,
            "definitions": [{ "name": "a" }, { "name": "b" }],
        });
        std::fs::write(&file, document.to_string()).expect("written");
        let cvfctl = env!("CARGO_BIN_EXE_cvfctl");
        // In place of the shell, whose own end by the key would be what is seen.
        let line = format!("exec {cvfctl} import {}", file.display());
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("MDEVD_ADDRESS", house.bus())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) runs");
        let out = child.stdout.take().expect("a pipe");
        let seen = String::new();
        Self { child, out, seen }
    }

    fn until(&mut self, part: &str) {
        while !self.seen.contains(part) {
            let mut some = [0; 256];
            let count = self.out.read(&mut some).expect("readable");
            assert!(count > 0, "{part} is not in {}", self.seen);
            self.seen += &String::from_utf8_lossy(&some[..count]);
        }
    }

    fn press(&mut self, key: u8) {
        let keys = self.child.stdin.as_mut().expect("a pipe");
        keys.write_all(&[key]).expect("pressed");
    }

    /// Its exit code, and all that was seen.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("readable");
        let status = self.child.wait().expect("it ends");
        (status.code(), self.seen + &rest)
    }
}

#[test]
fn an_import_on_a_terminal_shows_how_far_it_is_and_says_the_same_in_the_end() {
    let house = House::new();
    let gate = Gate::of(&house);
    let _daemon = patient(&house);
    let mut import = Import::start(&house);
    import.until("import: 1 of 4 steps (25 %)");
    gate.open();
    let (code, seen) = import.end();
    assert_eq!(code, Some(0), "{seen:?}");
    assert!(seen.ends_with("a defined\r\nb defined\r\n"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_on_a_terminal_is_done_plainly_where_there_are_too_many_jobs() {
    let house = House::new();
    let gate = Gate::of(&house);
    let daemon = patient(&house);
    let client = ManagerClient::connect(&house.bus()).await.expect("there");
    for n in 0..mdevd::limits::MAX_JOBS_OF_ONE {
        let job: Options = [("job", true.into())].into_iter().collect();
        client.define(&format!("c{n}"), job).await.expect("begun");
    }
    let import = Import::start(&house);
    // Not asked for as a job, it is shown as one because it is long, and takes none of the user's places.
    daemon.until("it is at work", || {
        let jobs = daemon.json(&["jobs"]);
        let jobs = jobs.as_array().expect("a list");
        jobs.iter().any(|job| job["method"] == "Import")
    });
    gate.open();
    let (code, seen) = import.end();
    assert_eq!(code, Some(0), "{seen:?}");
    assert!(seen.ends_with("a defined\r\nb defined\r\n"), "{seen:?}");
}

#[test]
fn an_import_on_a_terminal_is_cancelled_by_a_key() {
    let house = House::new();
    let _gate = Gate::of(&house);
    let daemon = patient(&house);
    let mut import = Import::start(&house);
    import.until("import: 1 of 4 steps (25 %)");
    // End of text: SIGINT to whoever is in front.
    import.press(0x03);
    let (code, seen) = import.end();
    assert_eq!(code, Some(1), "{seen:?}");
    assert!(
        seen.contains("it was cancelled; nothing of it was stored"),
        "{seen:?}"
    );
    assert_eq!(daemon.json(&["list"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_watches_is_told_of_jobs() {
    let house = House::new();
    let daemon = house.start(&[]);
    let client = ManagerClient::connect(&house.bus()).await.expect("there");
    let peer =
        zbus::connection::Builder::address(format!("unix:path={}", house.bus().display()).as_str());
    let peer = peer
        .expect("an address")
        .p2p()
        .build()
        .await
        .expect("there");
    let mut signals = zbus::MessageStream::from(&peer);
    peer.call_method(
        None::<&str>,
        "/io/mdevd1/Manager",
        Some("io.mdevd1.Manager"),
        "Watch",
        &(Options::new(),),
    )
    .await
    .expect("watching");
    let options: Options = [("job", true.into())].into_iter().collect();
    let begun = client.create("vm1", options).await.expect("begun");
    assert_eq!(begun, json!({ "id": 1, "job": "/io/mdevd1/job/1" }));
    let mut told = Vec::new();
    while told.len() < 2 {
        let message = tokio::time::timeout(std::time::Duration::from_secs(20), signals.next());
        let message = message
            .await
            .expect("in time")
            .expect("open")
            .expect("a message");
        let header = message.header();
        match header.member().map(ToString::to_string).as_deref() {
            Some("JobNew") => {
                let (id, path): (u32, OwnedObjectPath) = message.body().deserialize().expect("uo");
                told.push(format!("new {id} {path}"));
            }
            Some("JobRemoved") => {
                let (id, _, result): (u32, OwnedObjectPath, String) =
                    message.body().deserialize().expect("uos");
                told.push(format!("{result} {id}"));
            }
            _ => {}
        }
    }
    assert_eq!(told, ["new 1 /io/mdevd1/job/1", "done 1"]);
    assert_eq!(client.job(1).await.expect("shown")["state"], "done");
    assert_eq!(
        client.job_result(1).await.expect("an answer")["name"],
        "vm1"
    );
    drop(daemon);
}
