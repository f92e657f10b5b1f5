//! Bad input: each a clear refusal, and traffic of the devices that are there unharmed.

use super::rig::Rig;
use super::{Suite, Test};
use crate::daemon::Daemon;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::net::UnixListener;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::alone(
            "bad-arguments",
            "unknown values, no resources, duplicates: refused",
            arguments,
        ),
        Test::alone(
            "bad-places",
            "second daemon, taken sockets, unwritable directories",
            places,
        ),
        Test::on_rig(
            "refusals-beside-traffic",
            "refusals do not disturb running devices",
            beside,
        ),
    ]
}

/// Calls that must be refused: the arguments, the kind of the refusal, and what it must name.
const CALLS: [(&[&str], &str, &[&str]); 16] = [
    (&["create", "bad name"], "invalid-argument", &["bad name"]),
    (&["create", "../x"], "invalid-argument", &["../x"]),
    (&["create", "x", "--pf", "nopf"], "not-found", &["nopf"]),
    (
        &["create", "x", "--queue-pairs", "0"],
        "invalid-argument",
        &["0"],
    ),
    (
        &["create", "x", "--queue-pairs", "65"],
        "invalid-argument",
        &["65"],
    ),
    (
        &["create", "x", "--mac", "zz:00:00:00:00:00"],
        "invalid-argument",
        &["zz:00"],
    ),
    (
        &["create", "x", "--mac", "01:00:5e:00:00:01"],
        "invalid-argument",
        &["01:00:5e"],
    ),
    (
        &["create", "x", "--mac", "00:00:00:00:00:00"],
        "invalid-argument",
        &["00:00"],
    ),
    (&["create", "x", "--mtu", "67"], "invalid-argument", &["67"]),
    (
        &["create", "x", "--mtu", "70000"],
        "invalid-argument",
        &["70000"],
    ),
    (
        &["create", "x", "--vlan", "4095"],
        "invalid-argument",
        &["4095"],
    ),
    (&["create", "x", "--vlan", "0"], "invalid-argument", &["0"]),
    (
        &["create", "x", "--personality", "e1000"],
        "invalid-argument",
        &["e1000"],
    ),
    (&["destroy", "nobody"], "not-found", &["nobody"]),
    (&["show", "nobody"], "not-found", &["nobody"]),
    (&["stats", "nobody"], "not-found", &["nobody"]),
];

/// Command lines that are no commands: a usage error, in cvfctl's own words.
const USAGE: [&[&str]; 6] = [
    &["frobnicate"],
    &["create", "x", "--no-such-option"],
    &["create", "x", "--queue-pairs", "many"],
    &["create", "x", "--interrupts", "carrier-pigeon"],
    &["destroy"],
    &["pf", "show"],
];

fn refuse_all(daemon: &Daemon) -> Result<()> {
    for (args, kind, names) in CALLS {
        let refused = daemon.ctl_refused(args)?;
        // What can be seen without asking the daemon is a usage error, in the same words.
        let kind = if refused.kind == "usage" {
            "usage"
        } else {
            kind
        };
        refused
            .expect(kind, names)
            .with_context(|| format!("cvfctl {}", args.join(" ")))?;
    }
    for args in USAGE {
        let refused = daemon.ctl_refused(args)?;
        ensure!(
            refused.code != 0 && !refused.message.is_empty(),
            "{args:?}: {refused:?}"
        );
    }
    Ok(())
}

fn devices(daemon: &Daemon) -> Result<String> {
    Ok(daemon.ctl(&["list"])?.to_string())
}

fn arguments(suite: &Suite) -> Result<()> {
    let pf = "soft:lab,queue-pairs=8";
    let daemon = Daemon::start(suite.programs()?, suite.lab().dir(), &[pf], None)?;
    let first = daemon.create("one", &["--queue-pairs", "6"])?;
    ensure!(first.result == "created", "{first:?}");
    let before = (devices(&daemon)?, daemon.footprint()?);
    refuse_all(&daemon)?;

    let again = daemon.create("one", &["--queue-pairs", "6"])?;
    ensure!(
        again.result == "already" && again.uuid == first.uuid,
        "{again:?}"
    );
    daemon
        .ctl_refused(&["create", "one", "--queue-pairs", "5"])?
        .expect("already-exists", &["one", "6", "5"])?;
    daemon
        .ctl_refused(&["create", "two", "--mac", &first.mac])?
        .expect("duplicate-mac", &["one", &first.mac])?;
    daemon
        .ctl_refused(&["create", "two", "--queue-pairs", "3"])?
        .expect("no-resources", &["queue", "2"])?;
    daemon.ctl_refused(&["create", "two", "--socket-owner", "no-such-user"])?;
    daemon.ctl_refused(&["create", "two", "--socket-mode", "9999"])?;
    daemon
        .ctl_refused(&[
            "create",
            "two",
            "--doorbells",
            "mapped",
            "--interrupts",
            "intx",
        ])?
        .expect("invalid-argument", &["intx"])?;

    ensure!(
        devices(&daemon)? == before.0,
        "a refusal changed the list: {}",
        devices(&daemon)?
    );
    daemon.back_to(&before.1)?;
    // What was refused did not eat what is left: it still fits exactly.
    daemon.create("two", &["--queue-pairs", "2"])?;
    daemon.stop()
}

fn places(suite: &Suite) -> Result<()> {
    let programs = suite.programs()?;
    let daemon = Daemon::start(
        programs,
        suite.lab().dir(),
        &["soft:lab,queue-pairs=8"],
        None,
    )?;
    let own = daemon.create("own", &[])?;
    let text = |path: std::path::PathBuf| path.display().to_string();
    let (state, runtime) = (text(daemon.state_dir()), text(daemon.runtime_dir()));
    let other = suite.lab().dir().join("other");
    fs::create_dir_all(&other)?;
    let fresh = |name: &str| text(other.join(name));
    fs::write(other.join("file"), "in the way")?;
    let in_the_way = fresh("file/below");

    let parent = text(
        daemon
            .state_dir()
            .parent()
            .context("state directory")?
            .to_owned(),
    );
    // (state directory, runtime directory, what the refusal must name)
    let cases = [
        (state.clone(), runtime.clone(), &parent),
        (state.clone(), fresh("run1"), &state),
        (fresh("state2"), runtime.clone(), &runtime),
        (in_the_way.clone(), fresh("run3"), &in_the_way),
        (fresh("state4"), in_the_way.clone(), &in_the_way),
        (
            "/proc/nowhere".to_owned(),
            fresh("run5"),
            &"/proc/nowhere".to_owned(),
        ),
    ];
    for (state, runtime, named) in &cases {
        let args = [
            "--state-dir",
            state,
            "--runtime-dir",
            runtime,
            "--pf",
            "soft:lab",
        ];
        let out = daemon
            .run_program(&args)
            .context("a second daemon kept running")?;
        let said = format!("{}{}", out.stdout, out.stderr);
        ensure!(!out.status.success(), "was accepted: {args:?}");
        ensure!(!said.contains("panicked"), "panicked on {args:?}:\n{said}");
        ensure!(
            said.contains(named.as_str()),
            "does not name {named}: {said}"
        );
    }
    for pf in [
        "hard:x",
        "soft:",
        "soft:x,queue-pairs=none",
        "soft:x,uplink=tap:",
        "soft:x,what=1",
    ] {
        let args = [
            "--state-dir",
            &fresh("s"),
            "--runtime-dir",
            &fresh("r"),
            "--pf",
            pf,
        ];
        let out = daemon
            .run_program(&args)
            .with_context(|| format!("--pf {pf}"))?;
        ensure!(!out.status.success(), "--pf {pf} was accepted");
        ensure!(
            !out.stderr.contains("panicked"),
            "--pf {pf}: {}",
            out.stderr
        );
    }

    // A foreign socket where a device's would be: refused, and left to its owner.
    let sockets = std::path::Path::new(&own.socket)
        .parent()
        .context("socket directory")?;
    let taken = sockets.join(
        own.socket
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace("own", "two"),
    );
    let _owner = UnixListener::bind(&taken)?;
    daemon
        .ctl_refused(&["create", "two"])?
        .expect("socket-taken", &["two"])?;
    ensure!(taken.exists(), "somebody else's socket was removed");
    fs::remove_file(&taken)?;
    daemon.create("two", &[])?;

    let shown = daemon.ctl(&["show", "own"])?;
    ensure!(
        shown["state"] == "ready",
        "the first daemon suffered: {shown}"
    );
    daemon.stop()
}

fn beside(rig: &Rig) -> Result<()> {
    let before = devices(&rig.daemon)?;
    rig.beside_traffic(|| {
        refuse_all(&rig.daemon)?;
        let name = &rig.a.main.device.name;
        rig.daemon
            .ctl_refused(&["destroy", name])?
            .expect("busy", &[name, "force"])?;
        rig.daemon
            .ctl_refused(&["create", "big", "--queue-pairs", "64"])?
            .expect("no-resources", &[])
    })?;
    ensure!(
        devices(&rig.daemon)? == before,
        "a refusal changed the list"
    );
    Ok(())
}
