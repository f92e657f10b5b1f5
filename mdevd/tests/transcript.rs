//! The session in the operator's guide is what happens.
//!
//! `MDEVD_WRITE_TRANSCRIPT=1 cargo test -p mdevd --test transcript` writes it anew.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::House;

const SECTION: &str = "## A session\n";
const FENCE: &str = "```console\n";
/// What stands for the runtime directory.
const RUNTIME: &str = "/run/mdevd";
/// What stands for the state directory.
const STATE: &str = "/var/lib/mdevd";

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators-guide.md")
}

/// A command and what it prints, as in the guide.
#[derive(Debug)]
struct Step {
    command: String,
    printed: String,
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                command: command.to_owned(),
                printed: String::new(),
            }),
            (None, Some(step)) => step.printed += &format!("{line}\n"),
            (None, None) => panic!("output before a command: {line}"),
        }
    }
    steps
}

/// Runs commands as a user's shell would.
struct Shell {
    runtime: String,
    state: String,
    path: String,
    code: i32,
}

impl Shell {
    fn run(&mut self, command: &str) -> String {
        if command == "echo $?" {
            return format!("{}\n", self.code);
        }
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .env("PATH", &self.path)
            .env("MDEVD_ADDRESS", format!("{}/mdevd.sock", self.runtime))
            .env_remove("NO_COLOR")
            .output()
            .expect("a shell");
        self.code = output.status.code().unwrap_or(-1);
        let text = String::from_utf8(output.stdout).expect("text");
        text.replace(&self.runtime, RUNTIME)
            .replace(&self.state, STATE)
    }
}

fn hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(word: &str) -> bool {
    let lengths: Vec<_> = word.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && word.split('-').all(hex)
}

fn is_mac(word: &str) -> bool {
    let parts: Vec<_> = word.split(':').collect();
    parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && hex(part))
}

/// What differs from one machine or run to the next, by a word for it.
fn without_accidents(text: &str) -> String {
    let mut out = String::new();
    let inside = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        if end == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (word, behind) = rest.split_at(end);
        let number = word
            .bytes()
            .all(|b| b.is_ascii_digit() || b".:".contains(&b));
        if is_uuid(word) {
            out += "UUID";
        } else if is_mac(word) {
            out += "MAC";
        } else if number && (out.ends_with("process ") || out.ends_with("\"pid\"")) {
            out += "PID";
        } else if number && behind.starts_with(" %") {
            out += "SHARE";
        } else {
            out += word;
        }
        rest = behind;
    }
    out
}

#[test]
fn the_session_of_the_guide_is_what_happens() {
    let text = std::fs::read_to_string(guide()).expect("the guide");
    let start = text.find(SECTION).expect("a section") + SECTION.len();
    let end = text[start..]
        .find("\n## ")
        .map_or(text.len(), |at| start + at);
    let house = House::new();
    let daemon = house.start(&[
        "--pf",
        "soft:soft0,queue-pairs=64",
        "--default-profile",
        "tenant",
    ]);
    let programs = Path::new(env!("CARGO_BIN_EXE_cvfctl"))
        .parent()
        .expect("a directory");
    let mut shell = Shell {
        runtime: house.runtime().display().to_string(),
        state: house.state().display().to_string(),
        path: format!("{}:/usr/bin:/bin", programs.display()),
        code: 0,
    };
    let mut written = String::new();
    let mut differences = Vec::new();
    let mut count = 0;
    let mut rest = &text[start..end];
    while let Some(at) = rest.find(FENCE) {
        let (before, block) = rest.split_at(at + FENCE.len());
        written += before;
        let length = block.find("```").expect("a fence that ends");
        for step in steps(&block[..length]) {
            count += 1;
            let printed = shell.run(&step.command);
            let same = without_accidents(&printed) == without_accidents(&step.printed);
            if !same {
                differences.push(format!(
                    "$ {}\n--- guide\n{}--- now\n{printed}",
                    step.command, step.printed
                ));
            }
            let kept = if same { &step.printed } else { &printed };
            written += &format!("$ {}\n{kept}", step.command);
        }
        rest = &block[length..];
    }
    written += rest;
    assert!(count > 20, "{count} commands");
    if std::env::var_os("MDEVD_WRITE_TRANSCRIPT").is_some() {
        let whole = format!("{}{written}{}", &text[..start], &text[end..]);
        std::fs::write(guide(), whole).expect("written");
        return;
    }
    assert!(
        differences.is_empty(),
        "the guide is stale (see this file's head):\n{}",
        differences.join("\n")
    );
    drop(daemon);
}

/// Every command is in the session.
#[test]
fn the_session_shows_every_command() {
    let text = std::fs::read_to_string(guide()).expect("the guide");
    let (_, section) = text.split_once(SECTION).expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    for command in mdevd::cli::command().get_subcommands() {
        let name = command.get_name();
        if !command.is_hide_set() && name != "help" {
            assert!(
                section.contains(&format!("$ cvfctl {name}")),
                "cvfctl {name}"
            );
        }
    }
}

#[test]
fn accidents_are_told_from_what_matters() {
    let same = |a, b| without_accidents(a) == without_accidents(b);
    assert!(same(
        "mac 02:00:00:00:00:01 (process 17) busy 1.0 %, \"pid\":17,",
        "mac 06:1f:00:00:aa:01 (process 2) busy 97.3 %, \"pid\":2,"
    ));
    assert!(same(
        "\"0b9e2a52-32f4-5a4c-9a39-1d2a0f3b9c11\"",
        "\"ffffffff-32f4-5a4c-9a39-1d2a0f3b9c11\""
    ));
    assert!(!same("1 device", "2 device"));
    assert!(!same("web1", "web2"));
    assert!(!same("/run/mdevd/x", "/run/y"));
}
