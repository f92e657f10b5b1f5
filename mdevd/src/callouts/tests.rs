use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

use super::*;
use crate::engine::sim::SimBackend;
use crate::engine::{
    Catalog, CreateRequest, DefineRequest, Engine, ErrorKind, SetRequest, SocketAccess, State,
};
use crate::profiles::Profiles;
use crate::store::MemoryStore;

struct House {
    dir: TempDir,
    _runtime: Runtime,
    catalog: Arc<Catalog>,
}

impl House {
    fn new(deadline: Duration) -> Self {
        let dir = tempdir().expect("a directory");
        let scripts = dir.path().join("callouts.d");
        fs::create_dir(&scripts).expect("made");
        fs::set_permissions(&scripts, Permissions::from_mode(0o755)).expect("set");
        fs::create_dir(dir.path().join("run")).expect("made");
        let runtime = Runtime::new().expect("a runtime");
        let config = CalloutConfig {
            dir: Some(scripts),
            deadline,
        };
        let address = dir.path().join("mdevd.sock");
        let callouts = Callouts::start(config, &address, runtime.handle().clone());
        let backend = SimBackend::new(&dir.path().join("run"), &[("soft0", 64)]);
        let catalog = Catalog::new(
            Arc::new(backend),
            Arc::new(MemoryStore::default()),
            Arc::new(Profiles::shipped("lab")),
            SocketAccess::default(),
        )
        .with_hooks(Arc::new(callouts.expect("started")));
        Self {
            dir,
            _runtime: runtime,
            catalog: Arc::new(catalog),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("callouts.d").join(name)
    }

    /// A script; `{dir}` is the test's directory.
    fn script(&self, name: &str, text: &str) {
        let text = text.replace("{dir}", &self.dir.path().display().to_string());
        // Written elsewhere and moved, so that no other thread's child holds it open for writing.
        let made = self.dir.path().join(format!("{name}.new"));
        let status = std::process::Command::new("sh")
            .args([
                "-c",
                "umask 022; printf '%s' \"$1\" > \"$0\"; chmod 755 \"$0\"",
            ])
            .arg(&made)
            .arg(format!("#!/bin/sh\n{text}\n"))
            .status();
        assert!(status.expect("written").success());
        fs::rename(made, self.path(name)).expect("moved");
    }

    fn said(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lines of a file that notifications write, once there are `count`.
    fn said_soon(&self, file: &str, count: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let lines = self.said(file);
            if lines.len() >= count {
                return lines;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{lines:?}");
            std::thread::yield_now();
        }
    }

    fn define(&self, name: &str) -> Result<(), crate::engine::EngineError> {
        let request = DefineRequest {
            device: CreateRequest::named(name),
            ..DefineRequest::default()
        };
        self.catalog.define(request).map(drop)
    }
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn scripts_are_asked_in_order_and_told_what_came_of_it() {
    let house = House::new(LONG);
    let text = "echo \"${0##*/} $4 $6 $8 ${14}\" >> {dir}/said";
    house.script("20-second", text);
    house.script("10-first", text);
    fs::write(house.path("README"), "not executable").expect("written");
    fs::write(house.path(".hidden"), "no").expect("written");
    house.define("vm1").expect("defined");
    let set: SetRequest = serde_json::from_str(r#"{ "mtu": 9000 }"#).expect("a request");
    house.catalog.set("vm1", set).expect("set");
    house.catalog.start("vm1").expect("started");
    house
        .catalog
        .start("vm1")
        .expect("already: nobody is asked");
    house.catalog.stop_device("vm1", false).expect("stopped");
    house.catalog.undefine("vm1").expect("undefined");
    house
        .catalog
        .create(CreateRequest::named("vm2"))
        .expect("created");
    house.catalog.destroy("vm2", false).expect("destroyed");
    let done = [
        ("define", "vm1"),
        ("set", "vm1"),
        ("start", "vm1"),
        ("stop", "vm1"),
        ("undefine", "vm1"),
        ("create", "vm2"),
        ("destroy", "vm2"),
    ];
    let lines = house.said_soon("said", done.len() * 6);
    let told = |event: &str| -> Vec<String> {
        let of_event = lines.iter().filter(|line| line.contains(event)).cloned();
        of_event.collect()
    };
    let expected = |event: &str, state: &str| -> Vec<String> {
        let each = done.iter().flat_map(|(action, name)| {
            ["10-first", "20-second"]
                .map(|script| format!("{script} {event} {action} {state} {name}"))
        });
        each.collect()
    };
    assert_eq!(told(" pre "), expected("pre", "none"));
    assert_eq!(told(" post "), expected("post", "success"));
    assert_eq!(told(" notify "), expected("notify", "success"));
}

#[test]
fn a_script_refuses_with_its_reason_and_nothing_is_left() {
    let house = House::new(LONG);
    house.script(
        "10-rule",
        "[ $4 = pre ] && { printf 'not on\\tthis host\\033[31m\\n' >&2; exit 3; }\necho \"$4 $8\" >> {dir}/said; exit 0",
    );
    let error = house.define("vm1").expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Denied);
    let text = error.to_string();
    let script = house.path("10-rule");
    assert_eq!(
        text,
        format!(
            "cannot define 'vm1': callout {}: not on; this host; [31m",
            script.display()
        )
    );
    assert_eq!(house.catalog.list("", 10).devices, []);
    assert_eq!(
        house.said_soon("said", 2),
        ["post failure", "notify failure"]
    );
    house.script("10-rule", "exit 7");
    let text = house.define("vm1").expect_err("refused").to_string();
    assert!(text.contains("without a word (exit status: 7)"), "{text}");
    fs::remove_file(house.path("10-rule")).expect("removed");
    house.define("vm1").expect("defined");
}

#[test]
fn the_definition_comes_on_standard_input_and_the_environment_is_short() {
    let house = House::new(LONG);
    house.script("10-look", "cat > {dir}/input; /usr/bin/env > {dir}/env");
    house.define("vm1").expect("defined");
    let input = fs::read_to_string(house.dir.path().join("input")).expect("there");
    let input: serde_json::Value = serde_json::from_str(&input).expect("JSON");
    assert_eq!(
        (&input["name"], &input["persistent"]),
        (&json!("vm1"), &json!(true))
    );
    assert!(
        input["uuid"].is_string() && input["mac"].is_string(),
        "{input}"
    );
    let names: std::collections::BTreeSet<_> = house
        .said("env")
        .iter()
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(&name.as_str()))
        .collect();
    let expected = ["LANG", "MDEVD_ADDRESS", "PATH"].map(str::to_owned);
    assert_eq!(names, expected.into_iter().collect());
}

#[test]
fn one_that_does_not_end_is_killed_with_all_it_started() {
    let house = House::new(Duration::from_secs(1));
    house.script(
        "10-hang",
        "[ $4 = pre ] || exit 0\necho $$ > {dir}/group; sleep 1000 & sleep 1000",
    );
    let begun = Instant::now();
    let error = house.define("vm1").expect_err("late").to_string();
    assert!(
        error.contains("not ended after 1 s, and was killed"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    let group: i32 = house.said("group")[0].parse().expect("a number");
    // The children are init's now, which takes a moment to reap them.
    while killpg(group) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "group {group} lives"
        );
        std::thread::yield_now();
    }
}

/// Whether anybody but the dead is in that process group.
fn killpg(group: i32) -> bool {
    let processes = fs::read_dir("/proc").expect("proc").flatten();
    let mut stats =
        processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.any(|stat| {
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<_> = after.split_whitespace().collect();
        fields.get(2) == Some(&group.to_string().as_str()) && fields.first() != Some(&"Z")
    })
}

#[test]
fn a_slow_script_delays_only_its_own_device() {
    let house = House::new(LONG);
    house.script(
        "10-slow",
        "[ ${14} = slow ] && [ $4 = pre ] || exit 0\necho in >> {dir}/in; read line < {dir}/gate",
    );
    let gate = house.dir.path().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a gate");
    let catalog = house.catalog.clone();
    let slow = std::thread::spawn(move || catalog.create(CreateRequest::named("slow")));
    house.said_soon("in", 1);
    house.define("quick").expect("defined meanwhile");
    house.catalog.start("quick").expect("started meanwhile");
    let slowly = house.catalog.show("slow").expect("there").summary.state;
    assert_eq!(slowly, State::Changing);
    fs::write(&gate, "go\n").expect("opened");
    slow.join().expect("no panic").expect("created");
}

#[test]
fn noise_and_leftovers_hold_nothing_up() {
    let house = House::new(LONG);
    house.script(
        "10-noise",
        "[ $4 = pre ] || exit 0\nhead -c 5000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero | tr '\\0' y >&2\n\
         (sleep 60; echo late) &\necho $! > {dir}/left; exit 1",
    );
    let begun = Instant::now();
    let error = house.define("vm1").expect_err("refused").to_string();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "the leftover was not waited for"
    );
    assert!(
        error.len() < MAX_CALLOUT_TEXT_SHOWN && error.contains("yyyy"),
        "{}",
        error.len()
    );
    let left: i32 = house.said("left")[0].parse().expect("a number");
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(left),
        nix::sys::signal::Signal::SIGKILL,
    );
}

const MAX_CALLOUT_TEXT_SHOWN: usize = crate::limits::MAX_CALLOUT_TEXT + 512;

#[test]
fn what_others_could_have_written_is_not_run() {
    let house = House::new(LONG);
    house.script("10-ok", "echo ran >> {dir}/said");
    let refused = |part: &str| {
        let error = house.define("vm1").expect_err("refused").to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert_eq!(house.said("said"), [""; 0], "nothing ran");
    };
    fs::set_permissions(house.path("10-ok"), Permissions::from_mode(0o775)).expect("set");
    refused("can be written by others than its owner (mode 0775)");
    fs::set_permissions(house.path("10-ok"), Permissions::from_mode(0o755)).expect("set");
    let dir = house.dir.path().join("callouts.d");
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).expect("set");
    refused("callouts.d can be written by others");
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("set");
    symlink("/bin/true", house.path("20-link")).expect("linked");
    refused("is a symbolic link");
    fs::remove_file(house.path("20-link")).expect("removed");
    if nix::unistd::Uid::effective().is_root() {
        std::os::unix::fs::chown(house.path("10-ok"), Some(65_534), None).expect("given away");
        refused("belongs to user 65534");
        std::os::unix::fs::chown(house.path("10-ok"), Some(0), None).expect("taken back");
    }
    house.define("vm1").expect("all is well");
}

#[test]
fn no_directory_is_no_callouts() {
    let house = House::new(LONG);
    fs::remove_dir(house.dir.path().join("callouts.d")).expect("removed");
    house.define("vm1").expect("defined");
    assert_eq!(parse_deadline("60"), Ok(Duration::from_secs(60)));
    for wrong in ["0", "61", "-1", "5s", ""] {
        let why = parse_deadline(wrong).expect_err("refused");
        assert!(why.contains("from 1 to 60"), "{why}");
    }
}
