//! `examples/mdevd.toml` has every key, and no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::file::{KEYS, PF_HEAD, parse};
use super::super::{Config, pf};

fn example(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("the example");
    (path, text)
}

/// `key` of a line `key = value`, commented out or not.
fn key(line: &str) -> Option<&str> {
    let line = line.strip_prefix("# ").unwrap_or(line);
    let (key, _) = line.split_once(" = ")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b == b'-';
    (!key.is_empty() && key.bytes().all(plain)).then_some(key)
}

#[test]
fn the_example_has_every_key_and_no_other() {
    let (_, text) = example("mdevd.toml");
    let (head, pfs) = text.split_once("[[pf]]").expect("a PF");
    let set = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(key).map(str::to_owned).collect()
    };
    let known =
        |keys: &[&str]| -> BTreeSet<String> { keys.iter().map(|&key| key.to_owned()).collect() };
    let mut top = known(&KEYS);
    assert!(top.remove("pf"));
    assert_eq!(set(head), top);
    let of_pf: Vec<_> = PF_HEAD.into_iter().chain(pf::KEYS).collect();
    assert_eq!(set(pfs), known(&of_pf));
    assert!(
        set("# gone = 1\n").contains("gone"),
        "a key that is not known would be seen"
    );
}

#[test]
fn every_value_of_the_example_is_a_good_one() {
    let (path, text) = example("mdevd.toml");
    parse(&path, &text).expect("as it is");
    // What is commented out, too. The accounts are not on every host.
    let lines = text
        .lines()
        .map(|line| match (line.strip_prefix("# "), key(line)) {
            (Some(_), Some("socket-owner")) => "socket-owner = \"0\"",
            (Some(_), Some("socket-group")) => "socket-group = \"0\"",
            (Some(_), Some("bus-admin-group")) => "bus-admin-group = \"0\"",
            (Some(bare), Some(_)) => bare,
            (Some(head @ "[[pf]]"), None) => head,
            _ => line,
        });
    let all: String = lines.map(|line| format!("{line}\n")).collect();
    let config = parse(&path, &all).expect("uncommented");
    assert_eq!(config.pfs[1].filters, Some(4096));
    assert_eq!(
        config.pfs[2].to_string(),
        "vfio:0000:03:00.0,name=nic0,workers=1,driver=igb"
    );
    let (path, text) = example("mdevd-user.toml");
    parse(&path, &text).expect("good");
}

#[test]
fn what_is_printed_by_check_and_compared_by_a_reload_are_all_keys() {
    let known: BTreeSet<_> = KEYS.into_iter().collect();
    let compared: BTreeSet<_> = Config::keys().into_iter().collect();
    assert_eq!(compared, known);
    let args = super::Args::default();
    let printed = super::load(args).expect("good").to_string();
    let printed: BTreeSet<_> = printed.lines().filter_map(key).collect();
    assert_eq!(printed, known);
}

/// `(live)` marks what a reload takes; `service::parts` says the same.
#[test]
fn keys_that_are_marked_live_are_those() {
    let (_, text) = example("mdevd.toml");
    let live: BTreeSet<_> = text
        .lines()
        .filter(|line| line.contains("(live)") && !line.starts_with("# Keys"))
        .map(|line| key(line).unwrap_or("socket-*"))
        .collect();
    assert_eq!(live, BTreeSet::from(["log", "rate-groups", "socket-*"]));
}
