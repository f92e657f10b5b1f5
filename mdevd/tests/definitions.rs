//! Definitions and what runs of them, as an operator has them: by `cvfctl`, over restarts and boots.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::{Value, json};
use support::schema::{check, published};
use support::{Daemon, House};

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

/// An answer that is as the schema says.
fn ask(daemon: &Daemon<'_>, args: &[&str]) -> Value {
    let schema = published();
    let answer = daemon.json(args);
    let name = schema["x-commands"][args[0]].as_str().expect("documented");
    if let Err(why) = check(&schema, name, &answer) {
        panic!("cvfctl {}: {why}", args.join(" "));
    }
    answer
}

fn result(daemon: &Daemon<'_>, args: &[&str]) -> String {
    let answer = ask(daemon, args);
    answer["result"].as_str().expect("a word").to_owned()
}

/// Every device with its state.
fn states(daemon: &Daemon<'_>) -> Value {
    let all = ask(daemon, &["list"]);
    let all = all.as_array().expect("a list").iter();
    let each = all.map(|d| {
        (
            d["name"].as_str().expect("a name").to_owned(),
            d["state"].clone(),
        )
    });
    Value::Object(each.collect())
}

#[test]
fn every_command_says_what_it_did_or_already() {
    let house = House::new();
    let daemon = house.start(&[]);
    for (args, expected) in [
        (&["define", "vm1", "--queue-pairs", "2"][..], "defined"),
        (&["define", "vm1", "--queue-pairs", "2"], "already"),
        (&["start", "vm1"], "started"),
        (&["start", "vm1"], "already"),
        (&["stop", "vm1"], "stopped"),
        (&["stop", "vm1"], "already"),
        (&["create", "vm1", "--queue-pairs", "2"], "started"),
        (&["create", "vm1", "--queue-pairs", "2"], "already"),
        (&["undefine", "vm1"], "undefined"),
        (&["undefine", "vm1"], "already"),
        (&["create", "vm2", "--persistent"], "created"),
        (&["destroy", "vm2"], "destroyed"),
    ] {
        assert_eq!(result(&daemon, args), expected, "{args:?}");
    }
    assert_eq!(states(&daemon), json!({ "vm1": "ready" }), "it runs on");
    let stopped = ask(&daemon, &["stop", "vm1"]);
    assert_eq!(stopped["defined"], false, "and is gone when it stops");
    assert_eq!(states(&daemon), json!({}));
    // Of several, one that is refused keeps none of the others.
    ask(&daemon, &["define", "vm1"]);
    let said = daemon.cvfctl(&["--json", "start", "vm1", "vm3"]);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    check(&published(), "started", &answer).expect("documented");
    assert_eq!(
        (said.code, &answer[0]["result"]),
        (1, &json!("started")),
        "{said:?}"
    );
    assert_eq!(answer[1]["error"]["kind"], "not-found");
    let said = daemon.cvfctl(&["start", "vmm1"]);
    assert!(said.err.contains("did you mean 'vm1'"), "{said:?}");
}

#[test]
fn what_comes_back_after_a_kill_a_restart_and_a_boot() {
    let house = House::new();
    let daemon = house.start(&["--boot-id", FIRST]);
    ask(&daemon, &["create", "transient"]);
    ask(&daemon, &["create", "kept", "--persistent"]);
    for (name, start) in [("auto", "auto"), ("manual", "manual"), ("rests", "manual")] {
        ask(&daemon, &["define", name, "--start", start]);
    }
    ask(&daemon, &["start", "manual"]);
    ask(&daemon, &["stop", "kept"]);
    daemon.kill();
    // What the daemon starts by itself may be under way when it answers.
    let rests = |daemon: &Daemon<'_>, all: &Value| {
        daemon.until("as expected", || states(daemon) == *all);
    };
    let same = json!({
        "auto": "ready", "kept": "defined", "manual": "ready", "rests": "defined", "transient": "ready",
    });
    let daemon = house.start(&["--boot-id", FIRST]);
    rests(&daemon, &same);
    daemon.stop();
    let daemon = house.start(&["--boot-id", FIRST]);
    rests(&daemon, &same);
    daemon.kill();
    let daemon = house.start(&["--boot-id", SECOND]);
    let other =
        json!({ "auto": "ready", "kept": "ready", "manual": "defined", "rests": "defined" });
    rests(&daemon, &other);
    let log = daemon.stop();
    assert!(
        log.contains("transient") && log.contains("dropped"),
        "{log}"
    );
}

fn script(dir: &Path, name: &str, text: &str) {
    fs::create_dir_all(dir).expect("a directory");
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("executable");
}

#[test]
fn callouts_are_asked_and_told() {
    let house = House::new();
    let told = house.runtime().with_file_name("told");
    let say = format!(
        "echo \"$4 $6 $8 ${{14}} $(cat | grep -c '\\\"mtu\\\":1500')\" >> {}",
        told.display()
    );
    script(&house.callouts(), "10-record", &say);
    let daemon = house.start(&[]);
    ask(&daemon, &["define", "vm1"]);
    ask(&daemon, &["start", "vm1"]);
    let expected = "pre define none vm1 1\npost define success vm1 1\n";
    daemon.until("it was told", || {
        let text = fs::read_to_string(&told).unwrap_or_default();
        text.contains(expected) && text.contains("notify start success vm1 1\n")
    });
    script(
        &house.callouts(),
        "20-refuse",
        "[ \"$4\" != pre ] || { echo 'not on a Sunday' >&2; exit 3; }",
    );
    let said = daemon.cvfctl(&["stop", "vm1"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("20-refuse: not on a Sunday"), "{said:?}");
    assert_eq!(
        states(&daemon),
        json!({ "vm1": "ready" }),
        "nothing was done"
    );
    daemon.until("the refusal was told, too", || {
        fs::read_to_string(&told)
            .unwrap_or_default()
            .contains("post stop failure vm1 1\n")
    });
    // What others could have written is not run, and not skipped either.
    let refuse = house.callouts().join("20-refuse");
    fs::set_permissions(&refuse, Permissions::from_mode(0o777)).expect("set");
    let said = daemon.cvfctl(&["stop", "vm1"]);
    assert!(
        said.code == 1 && said.err.contains("chmod go-w"),
        "{said:?}"
    );
    fs::remove_file(&refuse).expect("removed");
    assert_eq!(result(&daemon, &["stop", "vm1"]), "stopped");
}

#[test]
fn definitions_go_to_another_host_whole_or_not_at_all() {
    let here = House::new();
    let daemon = here.start(&[]);
    ask(
        &daemon,
        &[
            "define", "a", "--vlan", "7", "--start", "auto", "--order", "-5",
        ],
    );
    ask(
        &daemon,
        &[
            "define",
            "b",
            "--queue-pairs",
            "4",
            "--tx-mbit",
            "100",
            "--link",
            "down",
        ],
    );
    ask(&daemon, &["create", "transient"]);
    let document = ask(&daemon, &["export"]);
    let names: Vec<_> = document["definitions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| &d["name"])
        .collect();
    assert_eq!(names, ["a", "b"], "what is transient is not defined");
    let printed = daemon.cvfctl(&["export"]).out;
    assert_eq!(
        serde_json::from_str::<Value>(&printed).expect("JSON"),
        document
    );

    let there = House::new();
    let other = there.start(&[]);
    let file = there.file(&printed);
    let would = ask(&other, &["import", &file, "--dry-run"]);
    assert_eq!(would["ok"], true);
    assert_eq!(states(&other), json!({}), "only told");
    // One that cannot be keeps all of them out.
    ask(&other, &["define", "b", "--queue-pairs", "8"]);
    let said = other.cvfctl(&["--json", "import", &file]);
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    check(&published(), "imported", &answer).expect("documented");
    assert_eq!((said.code, &answer["ok"]), (1, &json!(false)), "{said:?}");
    assert_eq!(states(&other), json!({ "b": "defined" }), "a is not there");
    ask(&other, &["undefine", "b"]);
    let done = ask(&other, &["import", &file, "--start"]);
    assert_eq!(done["ok"], true);
    assert_eq!(states(&other), json!({ "a": "ready", "b": "ready" }));
    assert_eq!(ask(&other, &["export"]), document, "the same, all of it");
    let again = ask(&other, &["import", &file]);
    assert!(
        again["devices"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|d| d["result"] == "already"),
        "{again}"
    );
    for broken in [
        "",
        "[]",
        "{\"format\":\"x\",\"version\":1,\"definitions\":[]}",
    ] {
        let file = there.file(broken);
        let said = other.cvfctl(&["import", &file]);
        assert!(
            said.code != 0 && said.err.starts_with("cvfctl: "),
            "{said:?}"
        );
    }
}

#[test]
fn what_fits_is_what_can_be_started() {
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:soft0,queue-pairs=16"]);
    let free = |daemon: &Daemon<'_>| {
        ask(daemon, &["types", "--queue-pairs", "5"])["types"][0]["free"].clone()
    };
    assert_eq!(free(&daemon), 3);
    ask(&daemon, &["define", "a", "--queue-pairs", "5"]);
    assert_eq!(free(&daemon), 3, "what is not started takes nothing");
    for (name, left) in [("a", 2), ("b", 1), ("c", 0)] {
        ask(&daemon, &["define", name, "--queue-pairs", "5"]);
        ask(&daemon, &["start", name]);
        assert_eq!(free(&daemon), left);
    }
    ask(&daemon, &["define", "d", "--queue-pairs", "5"]);
    let said = daemon.cvfctl(&["--json", "start", "d"]);
    assert!(
        said.code == 1 && said.out.contains("no-resources"),
        "{said:?}"
    );
    assert_eq!(states(&daemon)["d"], "defined");
}

/// An editor that is a script.
fn editor(house: &House, text: &str) -> String {
    let dir = house.runtime().with_file_name("editors");
    script(&dir, "editor", text);
    dir.join("editor").display().to_string()
}

/// Code and answer of an `edit` of vm1 with that editor.
fn edit(house: &House, editor: &str, more: &[&str]) -> (Option<i32>, Value) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cvfctl"))
        .args(["--json", "edit", "vm1"])
        .args(more)
        .env("MDEVD_ADDRESS", house.bus())
        .env("CVFCTL", env!("CARGO_BIN_EXE_cvfctl"))
        .env("TMPDIR", house.runtime().parent().expect("a directory"))
        .env("EDITOR", editor)
        .env_remove("VISUAL")
        .output()
        .expect("cvfctl runs");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code(), answer)
}

/// The file that a message names.
fn named_file(message: &str) -> Option<String> {
    let mut words = message.split(['\n', ' ', ';']);
    words
        .find(|word| word.ends_with(".json"))
        .map(str::to_owned)
}

/// The message of a refusal, and the file that it names.
fn kept(answer: &Value) -> (String, String) {
    let message = answer["error"]["message"].as_str().expect("a sentence");
    let path = named_file(message);
    (
        message.to_owned(),
        path.unwrap_or_else(|| panic!("no file in: {message}")),
    )
}

#[test]
fn a_definition_is_edited() {
    let house = House::new();
    let daemon = house.start(&[]);
    ask(&daemon, &["define", "vm1", "--queue-pairs", "2"]);
    let editor = |text: &str| editor(&house, text);
    let edit = |editor: &str| edit(&house, editor, &[]);
    let (code, answer) = edit("true");
    assert_eq!(
        (code, &answer["result"]),
        (Some(0), &json!("already")),
        "{answer}"
    );
    let (code, answer) = edit(&editor("sed -i 's/1500/9000/' \"$1\""));
    assert_eq!(
        (code, &answer["result"]),
        (Some(0), &json!("replaced")),
        "{answer}"
    );
    check(&published(), "edited", &answer).expect("documented");
    assert_eq!(daemon.json(&["show", "vm1"])["mtu"], 9000);
    // Broken, or wrong: the reason, and the text is not lost.
    let (code, answer) = edit(&editor("echo '{' > \"$1\""));
    assert_ne!(code, Some(0), "{answer}");
    assert_eq!(fs::read_to_string(kept(&answer).1).expect("kept"), "{\n");
    let (_, answer) = edit(&editor("sed -i 's/\"mtu\"/\"mtuu\"/' \"$1\""));
    assert!(kept(&answer).0.contains("did you mean 'mtu'"), "{answer}");
    let (_, path) = kept(&answer);
    let mode = fs::metadata(&path).expect("kept").permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else reads it");
    // What runs changes as far as it can.
    ask(&daemon, &["start", "vm1"]);
    let (_, answer) = edit(&editor("sed -i 's/9000/1400/' \"$1\""));
    assert_eq!(answer["result"], "replaced", "{answer}");
    let (_, answer) = edit(&editor(
        "sed -i 's/\"queue_pairs\": 2/\"queue_pairs\": 4/' \"$1\"",
    ));
    let (message, _) = kept(&answer);
    assert!(
        message.contains("queue-pairs") && message.contains("cvfctl stop vm1"),
        "{message}"
    );
    assert_eq!(states(&daemon), json!({ "vm1": "ready" }));
}

#[test]
fn an_edit_is_of_what_was_read_and_loses_nothing() {
    let house = House::new();
    let daemon = house.start(&[]);
    ask(&daemon, &["define", "vm1"]);
    let texts = || {
        let dir = house.runtime().parent().expect("a directory").to_owned();
        let files = fs::read_dir(dir).expect("readable").map(|file| {
            let file = file.expect("readable").file_name();
            file.to_string_lossy().into_owned()
        });
        files.filter(|name| name.starts_with("cvfctl-vm1-")).count()
    };
    // Somebody else is quicker.
    let slow = "\"$CVFCTL\" set vm1 mtu=4000 > /dev/null && sed -i 's/1500/9000/' \"$1\"";
    let (code, answer) = edit(&house, &editor(&house, slow), &[]);
    let (message, file) = kept(&answer);
    assert_eq!((code, &answer["error"]["kind"]), (Some(1), &json!("busy")));
    assert!(
        message.starts_with(
            "cannot edit 'vm1': it was changed since it was read: mtu was 1500 and is 4000"
        ),
        "{message}"
    );
    assert_eq!(daemon.json(&["show", "vm1"])["mtu"], 4000, "that stays");
    assert!(fs::read_to_string(&file).expect("kept").contains("9000"));
    assert!(
        message.contains("'vm1' is not as you read it any more")
            && message.contains("run 'cvfctl edit vm1' anew")
            && !message.contains("--file"),
        "no command that undoes it: {message}"
    );
    fs::remove_file(&file).expect("removed");
    // Nor where something else is wrong, too, or it is gone.
    let wrong = "\"$CVFCTL\" set vm1 mtu=4100 > /dev/null && echo '{' > \"$1\"";
    let (_, answer) = edit(&house, &editor(&house, wrong), &[]);
    let (message, file) = kept(&answer);
    assert!(!message.contains("--file"), "{message}");
    fs::remove_file(&file).expect("removed");
    let gone = "\"$CVFCTL\" undefine vm1 > /dev/null && sed -i 's/4100/9000/' \"$1\"";
    let (_, answer) = edit(&house, &editor(&house, gone), &[]);
    let (message, file) = kept(&answer);
    assert_eq!(answer["error"]["kind"], "not-found");
    assert!(
        message.contains("may not be as you read it") && !message.contains("--file"),
        "{message}"
    );
    fs::remove_file(&file).expect("removed");
    ask(&daemon, &["define", "vm1", "--mtu", "9000"]);

    // What is only tried is kept, what nobody wrote is not.
    let (code, answer) = edit(
        &house,
        &editor(&house, "sed -i 's/9000/1400/' \"$1\""),
        &["--dry-run"],
    );
    assert_eq!(
        (code, &answer["result"]),
        (Some(0), &json!("would-replace")),
        "{answer}"
    );
    check(&published(), "edited", &answer).expect("documented");
    let notes = answer["notes"].as_array().expect("notes");
    let file = notes.iter().find_map(|note| named_file(note.as_str()?));
    let file = file.unwrap_or_else(|| panic!("no file in: {answer}"));
    assert!(fs::read_to_string(&file).expect("kept").contains("1400"));
    fs::remove_file(&file).expect("removed");
    for (editor, said) in [
        ("false", "'false' failed"),
        ("/nowhere/vi", "'/nowhere/vi' failed"),
    ] {
        let (code, answer) = edit(&house, editor, &[]);
        let message = answer["error"]["message"].as_str().expect("a sentence");
        assert_eq!(code, Some(1), "{answer}");
        assert!(
            message.contains(said) && !message.contains("kept"),
            "{message}"
        );
    }
    assert_eq!(texts(), 0, "no copy is left behind");
    let (_, answer) = edit(&house, &editor(&house, "echo '{}' > \"$1\"; exit 1"), &[]);
    assert_eq!(fs::read_to_string(kept(&answer).1).expect("kept"), "{}\n");
}

#[test]
fn an_interrupted_editor_leaves_nothing_that_nobody_wrote() {
    let house = House::new();
    let daemon = house.start(&[]);
    ask(&daemon, &["define", "vm1"]);
    let begun = house.dir.path().join("begun");
    let wait = format!("touch {}; exec sleep 60", begun.display());
    let mut cvfctl = std::process::Command::new(env!("CARGO_BIN_EXE_cvfctl"))
        .args(["edit", "vm1"])
        .env("MDEVD_ADDRESS", house.bus())
        .env("TMPDIR", house.dir.path())
        .env("EDITOR", editor(&house, &wait))
        .env_remove("VISUAL")
        .process_group(0)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("cvfctl runs");
    daemon.until("the editor runs", || begun.exists());
    let group = nix::unistd::Pid::from_raw(i32::try_from(cvfctl.id()).expect("a pid"));
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGINT).expect("interrupted");
    assert_eq!(cvfctl.wait().expect("it ends").code(), Some(1));
    let files = fs::read_dir(house.dir.path()).expect("readable");
    let left = files.filter(|file| {
        let name = file.as_ref().expect("readable").file_name();
        name.to_string_lossy().starts_with("cvfctl-vm1-")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn what_cannot_be_edited_is_said_in_the_words_of_edit() {
    let house = House::new();
    let daemon = house.start(&[]);
    ask(&daemon, &["define", "vm1"]);
    ask(&daemon, &["create", "vm2"]);
    for (args, expected) in [
        (["vmm1", "{\"mtu\":1400}"], "cannot edit 'vmm1': "),
        (
            ["vm1", "{\"mtu\":\"big\"}"],
            "mtu \"big\" cannot be: write a whole number",
        ),
        (
            ["vm1", "{\"profile\":7}"],
            "profile \"7\" cannot be: write a text",
        ),
        (
            ["vm1", "{\"mtu\":1400"],
            "the patch is not JSON at line 1, column 11: it ends there",
        ),
        (
            ["vm1", "{mtu:1400}"],
            "the patch is not JSON at line 1, column 2: ",
        ),
        (["vm1", "[1400]"], "the patch is a list in JSON"),
        (["vm1", "{\"mtu\":20}"], "cannot edit 'vm1': "),
        (
            ["vm2", "{\"start\":\"auto\"}"],
            "cannot edit 'vm2': it is transient",
        ),
        (["vm2", "{\"mtu\":1400}"], "cvfctl define vm2"),
        (
            ["vm1", "{\"mtu\":1400,\"vlan\":1,\"mtu\":1500}"],
            "'mtu' stands twice",
        ),
    ] {
        let [name, patch] = args;
        let said = daemon.cvfctl(&["edit", name, "--patch", patch]);
        assert!(
            said.code != 0 && said.err.contains(expected),
            "{args:?}: {said:?}"
        );
        for foreign in ["cannot export", "cannot define", "invalid type", "u64"] {
            assert!(!said.err.contains(foreign), "{args:?}: {said:?}");
        }
    }
    let file = house.dir.path().join("all.json");
    fs::write(&file, daemon.cvfctl(&["export"]).out).expect("written");
    let said = daemon.cvfctl(&["edit", "vm1", "--file", &file.display().to_string()]);
    assert!(
        said.code == 2
            && said
                .err
                .contains("give the object of 'vm1' in its \"definitions\""),
        "{said:?}"
    );
    let twice = "{\"format\":\"mdevd-definitions\",\"version\":1,\"definitions\":[{\"name\":\"a\",\"name\":\"b\"}]}";
    fs::write(&file, twice).expect("written");
    let said = daemon.cvfctl(&["import", &file.display().to_string()]);
    assert!(
        said.code == 2 && said.err.contains("'name' stands twice"),
        "{said:?}"
    );
    // Standard input is called that.
    for args in [
        ["edit", "vm1", "--file", "-"].as_slice(),
        &["edit", "vm1", "--patch", "-"],
        &["import", "-"],
    ] {
        let said = daemon.cvfctl(args);
        assert!(
            said.code == 2 && !said.err.contains("- is") && !said.err.contains(" -:"),
            "{args:?}: {said:?}"
        );
    }
    assert_eq!(
        daemon.json(&["show", "vm2"])["persistent"],
        false,
        "as it was"
    );
    assert_eq!(states(&daemon), json!({ "vm1": "defined", "vm2": "ready" }));
}
