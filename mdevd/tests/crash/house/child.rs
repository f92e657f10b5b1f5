//! In the small process: engine and store, and a journal of what happens to them on standard output.

use std::path::Path;
use std::sync::Arc;

use mdevd::crash;
use mdevd::engine::sim::SimBackend;
use mdevd::engine::{
    BootId, Catalog, CreateRequest, DefineRequest, Definition, Engine, EngineError, ErrorKind,
    SetRequest, SocketAccess, State,
};
use mdevd::profiles::Profiles;
use mdevd::store::{Record, RedbStore, Store, StoreError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Dice;

/// Its directory.
pub const DIR: &str = "MDEVD_TEST_HOUSE";
/// Its seed.
pub const SEED: &str = "MDEVD_TEST_HOUSE_SEED";
/// A command, and the step of it to die at: `create 3`. Absent: it works until it is killed.
pub const STEP: &str = "MDEVD_TEST_HOUSE_STEP";
/// What a line of the journal begins with, so that the test harness's own lines are told from it.
pub const MARK: &str = "@";
const THREADS: u64 = 3;
const NAMES: u64 = 4;

/// One line, in one write: those of several threads do not mix, and what was said before a kill stays said.
fn say(what: &Value) {
    let line = format!("\n{MARK}{what}\n");
    let written = nix::unistd::write(std::io::stdout(), line.as_bytes());
    assert_eq!(written, Ok(line.len()), "the journal is read");
}

/// The store, and a word before it is asked for anything.
struct Told(RedbStore);

impl Store for Told {
    fn id(&self) -> Uuid {
        self.0.id()
    }

    fn load(&self) -> Result<Vec<Record>, StoreError> {
        self.0.load()
    }

    fn put(&self, definition: &Definition) -> Result<(), StoreError> {
        say(&json!({ "begun": definition.name, "becomes": definition }));
        self.0.put(definition)
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        say(&json!({ "begun": name }));
        self.0.remove(name)
    }
}

pub fn run_if_asked() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let seed = std::env::var(SEED)
        .expect("a seed")
        .parse()
        .expect("a number");
    let step = std::env::var(STEP).ok();
    let step = step.as_deref().and_then(|step| step.split_once(' '));
    let step = step.map(|(command, nth)| (command, nth.parse().expect("a number")));
    run(Path::new(&dir), seed, step);
}

fn run(dir: &Path, seed: u64, step: Option<(&str, u64)>) {
    crash::arm(match step {
        Some(("begin", nth)) => nth,
        _ => 0,
    });
    let store = RedbStore::open(&dir.join("state")).expect("a store");
    let found: Vec<_> = store.load().expect("readable");
    let backend = Arc::new(SimBackend::new(&dir.join("run"), &[("soft0", 1000)]));
    let catalog = Catalog::new(
        backend,
        Arc::new(Told(store)),
        Arc::new(Profiles::shipped("lab")),
        SocketAccess::default(),
    );
    let restored = catalog.restore().expect("readable");
    assert_eq!(
        (
            restored.failed,
            restored.ready + restored.due + restored.defined
        ),
        (0, found.len()),
        "all of them come back"
    );
    for record in found {
        let shown = catalog.show(&record.name).expect("there");
        let life = record.definition.as_ref().expect("a definition").life;
        assert_eq!(
            shown.summary.state == State::Ready,
            life.comes_back(BootId::of_kernel()),
            "what ran runs, and nothing else: {shown:?}"
        );
        say(&json!({ "found": record.name, "is": record.definition.expect("a definition") }));
    }
    say(&json!("ready"));
    match step {
        None => work(&Arc::new(catalog), seed),
        Some(("begin", _)) => crash::arm(0),
        Some((command, nth)) => one(&catalog, command, nth),
    }
    say(&json!("survived"));
    // Whoever started it kills it, unless it has survived a step.
    if step.is_none() {
        loop {
            std::thread::park();
        }
    }
    std::process::exit(0);
}

/// A command's answer as a line. What is refused for what is there already, or is not, is no failure.
fn answer<T>(name: &str, done: Result<T, EngineError>) {
    match done {
        Ok(_) => say(&json!({ "acknowledged": name })),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
            say(&json!({ "refused": name }));
        }
        Err(error) => say(&json!({ "wrong": error.to_string() })),
    }
}

fn link(catalog: &Catalog, name: &str, up: bool) {
    let request = json!({ "link": if up { "up" } else { "down" } });
    let request: SetRequest = serde_json::from_value(request).expect("a request");
    answer(name, catalog.set(name, request));
}

/// Threads with names of their own, for ever.
fn work(catalog: &Arc<Catalog>, seed: u64) {
    for thread in 0..THREADS {
        let catalog = catalog.clone();
        let mut dice = Dice(seed ^ thread);
        std::thread::spawn(move || {
            loop {
                let name = format!("t{thread}n{}", dice.below(NAMES));
                match dice.below(10) {
                    0 | 1 => answer(&name, catalog.destroy(&name, false)),
                    2 => link(&catalog, &name, dice.below(2) == 0),
                    3 => answer(&name, catalog.define(define(dice.request(&name)))),
                    4 => answer(&name, catalog.start(&name)),
                    5 => answer(&name, catalog.stop_device(&name, false)),
                    6 => answer(&name, catalog.undefine(&name)),
                    _ => answer(&name, catalog.create(dice.request(&name))),
                }
            }
        });
    }
}

fn define(device: CreateRequest) -> DefineRequest {
    DefineRequest {
        device,
        ..DefineRequest::default()
    }
}

/// What asks for `name` as it is.
fn as_it_is(catalog: &Catalog, name: &str) -> CreateRequest {
    let shown = catalog.show(name).expect("there");
    CreateRequest {
        queue_pairs: Some(shown.summary.queue_pairs.into()),
        mtu: Some(shown.summary.mtu.into()),
        vlan: shown.summary.vlan.map(|vlan| u64::from(vlan).into()),
        ring_format: Some(shown.ring_format),
        ..CreateRequest::named(name)
    }
}

/// One command with a step to die at, on devices that are made as it needs them first.
fn one(catalog: &Catalog, command: &str, nth: u64) {
    let mut dice = Dice(nth);
    if catalog.show("new").is_ok() {
        answer("new", catalog.destroy("new", false));
    }
    for name in ["kept", "gone"] {
        if catalog.show(name).is_err() {
            answer(name, catalog.create(dice.request(name)));
        }
    }
    if catalog.show("def").is_err() {
        answer("def", catalog.define(define(dice.request("def"))));
    }
    match command {
        // What was kept before is let go first.
        "keep" => answer("kept", catalog.undefine("kept")),
        "start" => answer("def", catalog.stop_device("def", false)),
        "stop" | "undefine" => {
            let defined = catalog.show("def").is_ok_and(|def| def.summary.persistent);
            if !defined {
                answer("def", catalog.destroy("def", false));
                answer("def", catalog.define(define(dice.request("def"))));
            }
            answer("def", catalog.start("def"));
        }
        _ => {}
    }
    crash::arm(nth);
    match command {
        "create" => answer("new", catalog.create(dice.request("new"))),
        "set" => {
            let down = catalog.show("kept").is_ok_and(|kept| kept.link == "down");
            link(catalog, "kept", down);
        }
        "define" => answer("new", catalog.define(define(dice.request("new")))),
        "keep" => answer("kept", catalog.define(define(as_it_is(catalog, "kept")))),
        "start" => answer("def", catalog.start("def")),
        "stop" => answer("def", catalog.stop_device("def", false)),
        "undefine" => answer("def", catalog.undefine("def")),
        _ => answer("gone", catalog.destroy("gone", false)),
    }
    crash::arm(0);
}
