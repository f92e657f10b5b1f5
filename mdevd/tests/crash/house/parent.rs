//! Starts the small process, kills it, reads its journal to the end, and has it judged.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::super::judge::Judge;
use super::child::{DIR, MARK, SEED, STEP};

/// For anything but the kill itself: much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// When it is killed.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    AfterStart(Duration),
    AfterReady(Duration),
}

/// What became of one life.
#[derive(Debug)]
pub struct Life {
    /// It had found everything before it was killed.
    pub ready: bool,
}

/// The directories of the small process.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        for sub in ["state", "run"] {
            std::fs::create_dir(dir.path().join(sub)).expect("mkdir");
        }
        Self { dir }
    }

    /// The store's file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("state/definitions.redb")
    }

    fn spawn(&self, seed: u64, step: Option<&str>) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command
            .args(["--exact", "house::child", "--nocapture"])
            .env(DIR, self.dir.path())
            .env(SEED, seed.to_string())
            .env_remove("MDEVD_CRASH_AT");
        match step {
            Some(step) => command.env(STEP, step),
            None => command.env_remove(STEP),
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("a process")
    }

    /// Has it work until `moment`, and judges what it found at its start.
    pub fn live(&self, judge: &mut Judge, seed: u64, moment: Moment) -> Life {
        let started = Instant::now();
        let mut child = self.spawn(seed, None);
        let (lines, said) = (journal(&mut child), said(&mut child));
        let mut told = Told::new(judge);
        let mut deadline = match moment {
            Moment::AfterStart(after) => started + after,
            Moment::AfterReady(_) => started + PATIENCE,
        };
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    told.hear(&line);
                    if let (Moment::AfterReady(after), "ready") =
                        (moment, line.as_str().unwrap_or(""))
                    {
                        deadline = Instant::now() + after;
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended by itself: {}", said.join().expect("text"))
                }
            }
        }
        child.kill().expect("it is there");
        child.wait().expect("it ends");
        // What it said before it died still counts.
        lines.iter().for_each(|line| told.hear(&line));
        let ready = told.ready;
        assert!(
            ready || matches!(moment, Moment::AfterStart(_)),
            "not ready in time"
        );
        judge.killed();
        Life { ready }
    }

    /// Has it do `command` and die at its `nth` step; the step's name, or `None` when it has fewer.
    pub fn step(&self, judge: &mut Judge, command: &str, nth: u64) -> Option<String> {
        let mut child = self.spawn(nth, Some(&format!("{command} {nth}")));
        let (lines, said) = (journal(&mut child), said(&mut child));
        let mut told = Told::new(judge);
        lines.iter().for_each(|line| told.hear(&line));
        let survived = told.survived;
        judge.killed();
        let status = child.wait().expect("it ends");
        let said = said.join().expect("text");
        if survived {
            assert!(status.success(), "{status}: {said}");
            return None;
        }
        assert_eq!(status.signal(), Some(9), "{status}: {said}");
        let place = said
            .lines()
            .find_map(|line| line.strip_prefix("killed at: "));
        Some(place.unwrap_or_else(|| panic!("{said}")).to_owned())
    }
}

/// Lines of the journal as they come; ends when the process does.
fn journal(child: &mut Child) -> Receiver<Value> {
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let Some(line) = line.strip_prefix(MARK) else {
                continue;
            };
            let line = serde_json::from_str(line).expect("a whole line");
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn said(child: &mut Child) -> std::thread::JoinHandle<String> {
    let mut err = child.stderr.take().expect("a pipe");
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = err.read_to_string(&mut text);
        text
    })
}

/// Passes the journal on to the judge.
struct Told<'a> {
    judge: &'a mut Judge,
    found: BTreeMap<String, Value>,
    ready: bool,
    survived: bool,
}

impl<'a> Told<'a> {
    fn new(judge: &'a mut Judge) -> Self {
        Self {
            judge,
            found: BTreeMap::new(),
            ready: false,
            survived: false,
        }
    }

    fn hear(&mut self, line: &Value) {
        let text = |key: &str| line[key].as_str();
        if let Some(name) = text("found") {
            self.found.insert(name.to_owned(), line["is"].clone());
        } else if let Some(name) = text("begun") {
            let becomes = line.get("becomes").cloned();
            self.judge.begun(name, becomes);
        } else if let Some(name) = text("acknowledged") {
            self.judge.acknowledged(name);
        } else if let Some(name) = text("refused") {
            self.judge.refused(name);
        } else if line == "ready" {
            self.ready = true;
            self.judge.found(&self.found);
        } else if line == "survived" {
            self.survived = true;
        } else {
            panic!("it went wrong: {line}");
        }
    }
}
