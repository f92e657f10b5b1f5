//! The log in its forms, read by a parser: every line about a device names it by name and UUID.

mod support;

use std::collections::BTreeMap;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Daemon, House, tools};

/// Makes a device live through all that is logged about it; its UUID.
fn life(daemon: &Daemon<'_>) -> String {
    let made = daemon.json(&["create", "vm1"]);
    let socket = made["socket"].as_str().expect("a path");
    let client = UnixStream::connect(socket).expect("connected");
    daemon.until("connected", || {
        daemon.json(&["show", "vm1"])["state"] == "connected"
    });
    let intruder = UnixStream::connect(socket).expect("connected");
    daemon.until("turned away", || {
        daemon.json(&["show", "vm1"])["health"]["clients_refused"] == 1
    });
    drop(intruder);
    drop(client);
    daemon.until("gone", || daemon.json(&["show", "vm1"])["state"] == "ready");
    daemon.json(&["set", "vm1", "link=down"]);
    daemon.json(&["destroy", "vm1"]);
    made["uuid"].as_str().expect("text").to_owned()
}

/// What is said of a device on the way, in order.
const SAID: [&str; 6] = [
    "created",
    "client connected",
    "turned away: one is there already",
    "client left",
    "changed",
    "destroyed",
];

#[test]
fn a_line_of_json_is_an_object_with_the_device_as_fields() {
    let house = House::new();
    let daemon = house.start(&["--log-format", "json"]);
    let uuid = life(&daemon);
    let log = daemon.stop();
    let mut about = Vec::new();
    for line in log.lines() {
        let object: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "target", "message"] {
            assert!(object[key].is_string(), "{key}: {line}");
        }
        if !object["device"].is_null() {
            assert_eq!(
                (&object["device"], &object["uuid"]),
                (&"vm1".into(), &uuid.as_str().into()),
                "{line}"
            );
            about.push(object["message"].as_str().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(about, SAID);
}

#[test]
fn text_has_the_same_fields() {
    let house = House::new();
    let daemon = house.start(&["--log-format", "text"]);
    let uuid = life(&daemon);
    let log = daemon.stop();
    let line = log
        .lines()
        .find(|line| line.contains(" destroyed "))
        .expect("a line");
    assert!(
        line.contains("device=\"vm1\"") && line.contains(&format!("uuid=\"{uuid}\"")),
        "{line}"
    );
}

/// An entry of the journal's native protocol.
fn fields(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|&b| b == b'\n').expect("a line");
        let line = std::str::from_utf8(&bytes[..end]).expect("text");
        bytes = &bytes[end + 1..];
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => {
                let (length, rest) = bytes.split_at(8);
                let length = u64::from_le_bytes(length.try_into().expect("eight")) as usize;
                let value = String::from_utf8(rest[..length].to_vec()).expect("text");
                assert_eq!(rest[length], b'\n');
                bytes = &rest[length + 1..];
                (line, value)
            }
        };
        found.insert(key.to_owned(), value);
    }
    found
}

/// `mdevd` where the journal's socket is `socket`: in a mount namespace of its own.
fn beside(journal: &Path, mdevd: &Command, more: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind \"$0\" \
                  /run/systemd/journal && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(journal);
    command
        .args(more)
        .arg(mdevd.get_program())
        .args(mdevd.get_args());
    command
        .env_remove("MDEVD_LOG")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM");
    command
}

#[test]
fn the_journal_gets_fields_by_its_own_protocol() {
    if !nix::unistd::geteuid().is_root() {
        return tools::cannot(
            "the journal's socket is put into a mount namespace, which takes root",
        );
    }
    let house = House::new();
    let dir = house.dir.path().join("journal");
    std::fs::create_dir(&dir).expect("a directory");
    let journal = UnixDatagram::bind(dir.join("socket")).expect("a socket");
    journal
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a deadline");
    // Standard error is what JOURNAL_STREAM says it is: so `auto` means the journal.
    let auto = "exec env JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) \"$0\" \"$@\"";
    let mdevd = house.command(&[]);
    let mut child = beside(&dir, &mdevd, &["sh", "-c", auto])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let next = || {
        let mut buffer = vec![0; 1 << 16];
        // An empty entry is how a writer finds out whether there is a journal.
        let mut length = 0;
        while length == 0 {
            length = journal
                .recv(&mut buffer)
                .expect("something is logged in time");
        }
        fields(&buffer[..length])
    };
    loop {
        let entry = next();
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "mdevd");
        if entry["MESSAGE"] == "ready" {
            break;
        }
    }
    let made = support::cvfctl(&house.bus(), &["--json", "create", "vm1"]);
    let made: Value = serde_json::from_str(&made.out).expect("JSON");
    let entry = next();
    assert_eq!(entry["MESSAGE"], "created");
    assert_eq!(entry["DEVICE"], "vm1");
    assert_eq!(made["uuid"], entry["UUID"].as_str());
    assert_eq!(entry["PRIORITY"], "6", "information");
    support::cvfctl(&house.bus(), &["shutdown"]);
    assert!(child.wait().expect("it ends").success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("a pipe"), &mut rest)
        .expect("text");
    assert_eq!(rest, "", "nothing twice");
}

#[test]
fn without_a_journal_asking_for_it_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        return tools::cannot("the journal is hidden in a mount namespace, which takes root");
    }
    let house = House::new();
    let empty = house.dir.path().join("journal");
    std::fs::create_dir(&empty).expect("a directory");
    let mdevd = house.command(&["--log-format", "journal"]);
    let said = support::Said::of(beside(&empty, &mdevd, &[]).output().expect("it runs"));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("cannot log to the journal") && said.err.contains("--log-format text"),
        "{said:?}"
    );
}

/// Calls of `tracing` in a source, each with all that is between its parentheses.
fn calls(text: &str) -> Vec<&str> {
    let starts =
        ["error", "warn", "info", "debug", "trace"].map(|level| format!("tracing::{level}!("));
    let mut found = Vec::new();
    for start in &starts {
        for (at, _) in text.match_indices(start.as_str()) {
            let rest = &text[at + start.len()..];
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            found.push(&rest[..end.expect("it ends")]);
        }
    }
    found
}

/// Whether a call has that field, written out or by a variable of its name.
fn names(call: &str, field: &str) -> bool {
    call.split(',').any(|part| {
        let part = part.trim().trim_start_matches(['%', '?']);
        part == field
            || part
                .strip_prefix(field)
                .is_some_and(|rest| rest.starts_with(" ="))
    })
}

#[test]
fn every_call_that_names_a_device_gives_its_uuid() {
    let sources = ["mdevd/src", "libcvf/src", "policies/src"];
    let mut count = 0;
    for folder in sources {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(folder);
        let mut dirs = vec![root];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(&dir).expect("a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).expect("a source");
                    for call in calls(&text) {
                        let device = names(call, "device");
                        let uuid = names(call, "uuid");
                        assert_eq!(device, uuid, "{}: {call}", path.display());
                        assert!(
                            !call.contains("cvf = "),
                            "{}: 'device' is the name: {call}",
                            path.display()
                        );
                        count += usize::from(device);
                    }
                }
            }
        }
    }
    assert!(names("a, device, \"x\"", "device") && names("%uuid", "uuid"));
    assert!(!names("\"the device = x\"", "device"));
    assert!(count > 10, "{count} calls were found");
    assert_eq!(
        calls("tracing::info!(a = f(1), \"x\"); b"),
        ["a = f(1), \"x\""]
    );
}
