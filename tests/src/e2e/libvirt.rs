//! Domains of a real libvirt, with mdevd's hook and without what they need.

use super::rig::{self, HOST};
use super::{Suite, Test};
use crate::daemon::Daemon;
use crate::libvirt::{Domain, Libvirt, USER};
use crate::vm::{Agent, Job, Vm, VmConfig};
use crate::{host, limits, process, traffic, ui};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

/// The device that the domain is started with, and the one that is added while it runs.
const CVFS: &str = "<mdevd:cvf name='vm1' queue-pairs='2'/>\
                    <mdevd:cvf name='vm1-hot' plug='later' interrupts='intx'/>";

/// What the guard against migration is called in QEMU's refusal.
const GUARD: &str = "mdevd-devices-cannot-migrate";

/// Where a migration goes that nobody wants to see.
const AWAY: &str = "exec:cat > /dev/null";

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::alone(
            "libvirt-domain",
            "a domain gets its devices at start, one more while it runs, and loses them",
            life,
        ),
        Test::alone(
            "libvirt-refusals",
            "libvirt does not start, save or restore what could not work",
            refusals,
        ),
        Test::alone(
            "migrate-guard",
            "expected failure: QEMU migrates without the device, unless it is guarded",
            guard,
        ),
    ]
}

/// A guest that libvirt started.
struct Guest<'a> {
    agent: Agent,
    libvirt: &'a Libvirt,
    console: std::path::PathBuf,
}

impl Guest<'_> {
    fn run(&self, line: &str) -> Result<String> {
        let job = self.agent.start(&["sh", "-c", line], limits::GUEST_COMMAND);
        let out = job.and_then(Job::check);
        out.map(|text| text.trim_end().to_owned())
            .map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let (console, said) = (process::tail(&self.console), self.libvirt.said());
        anyhow::anyhow!("{error:#}\n  console:\n{console}  libvirtd:\n{said}")
    }

    /// Brings a device up under this address and fails unless frames pass through it, and no other.
    fn use_device(&self, device: &Value, address: &str) -> Result<()> {
        let mac = device["mac"].as_str().context("a MAC address")?;
        let interface = self.run(&rig::finding_interface(mac))?;
        self.run(&rig::bringing_up(&interface, address))?;
        let out = self.run(&format!("ping -c 5 -i 0.1 -W 5 -I {interface} {HOST}"))?;
        let answered = traffic::answers(&out).context("ping")?;
        ensure!(answered == 5, "{answered} of 5 were answered: {out}");
        Ok(())
    }
}

/// The arguments for QEMU that `cvfctl show --libvirt-xml` prints for a device of this name.
fn printed_arguments(daemon: &Daemon, name: &str) -> Result<String> {
    daemon.create(name, &[])?;
    let xml = daemon.ctl(&["show", name, "--libvirt-xml"])?;
    daemon.destroy(name)?;
    let xml = xml["libvirt_xml"].as_str().context("no XML")?;
    let inside = xml
        .split_once("<qemu:commandline>\n")
        .and_then(|(_, rest)| rest.split_once("  </qemu:commandline>"));
    Ok(inside.context("no command line in the XML")?.0.to_owned())
}

fn names(daemon: &Daemon) -> Result<Vec<String>> {
    let list = daemon.ctl(&["list"])?;
    let name = |d: &Value| d["name"].as_str().unwrap_or_default().to_owned();
    Ok(list.as_array().into_iter().flatten().map(name).collect())
}

fn nothing_left(daemon: &Daemon, libvirt: &Libvirt) -> Result<()> {
    let (names, claims) = (names(daemon)?, libvirt.claims()?);
    ensure!(
        names.is_empty() && claims.is_empty(),
        "left: {names:?}, remembered: {claims:?}"
    );
    Ok(())
}

fn life(suite: &Suite) -> Result<()> {
    let lab = suite.lab();
    let netns = rig::namespace(lab)?;
    let daemon = rig::daemon_with_uplink(suite, &netns)?;
    let libvirt = Libvirt::start(lab, suite.programs()?, &daemon)?;
    ui::say(&format!("    libvirt and QEMU: {}", libvirt.version()?));
    let port = "    <qemu:arg value='-device'/>\n\
                \x20   <qemu:arg value='{\"driver\":\"pcie-root-port\",\"id\":\"hot0\",\"chassis\":100}'/>\n";
    let arguments = printed_arguments(&daemon, "vm1")? + port;
    let domain = Domain::new(lab, "vm1", CVFS, &arguments);
    libvirt.define(&domain)?;

    libvirt.virsh(&["start", "vm1"])?;
    let shown = daemon.ctl(&["show", "vm1"])?;
    let socket = shown["socket"].as_str().context("a socket")?;
    let owner = fs::metadata(socket)?.uid();
    ensure!(owner == USER, "the socket belongs to {owner}");
    ensure!(
        shown["state"] == "connected" && shown["health"]["client"]["uid"] == USER,
        "QEMU is not there as its own user: {shown}"
    );
    let guest = Guest {
        agent: libvirt.agent(&domain)?,
        libvirt: &libvirt,
        console: libvirt.share().join("vm1.console"),
    };
    let up = guest.agent.wait_greeting(1, limits::BOOT);
    up.map_err(|error| guest.explain(&error))?;
    guest.use_device(&shown, "192.0.2.1")?;
    daemon.wait_show("vm1", "a running driver", |v| v["driver"] == "running")?;

    let saved = libvirt.share().join("saved").display().to_string();
    libvirt.virsh_refused(&["save", "vm1", &saved], &[GUARD])?;
    let migrate = json!({"execute": "migrate", "arguments": {"uri": AWAY}});
    let refused = libvirt.qmp("vm1", &migrate).map(drop);
    let refused = refused.expect_err_with(GUARD)?;
    ui::say(&format!("    QEMU: {refused}"));

    libvirt.restart()?;
    ensure!(
        libvirt.virsh(&["domstate", "vm1"])? == "running",
        "a restart of libvirtd cost the domain: {}",
        libvirt.said()
    );

    let hot = daemon.ctl(&["show", "vm1-hot"])?;
    let argument = hot["qemu"].as_str().context("an argument")?;
    let mut argument: Value = serde_json::from_str(argument)?;
    argument["bus"] = json!("hot0");
    let id = argument["id"].clone();
    libvirt.qmp(
        "vm1",
        &json!({"execute": "device_add", "arguments": argument}),
    )?;
    guest.use_device(&hot, "192.0.2.2")?;
    libvirt.qmp(
        "vm1",
        &json!({"execute": "device_del", "arguments": {"id": id}}),
    )?;
    daemon.wait_show("vm1-hot", "it to be unplugged", |v| v["state"] == "ready")?;
    guest.run(&format!("ping -c 1 -W 5 {HOST}"))?;

    libvirt.virsh(&["destroy", "vm1"])?;
    nothing_left(&daemon, &libvirt)?;
    // As often as one likes.
    libvirt.virsh(&["start", "vm1"])?;
    ensure!(names(&daemon)? == ["vm1", "vm1-hot"], "not made again");
    libvirt.virsh(&["destroy", "vm1"])?;
    nothing_left(&daemon, &libvirt)?;
    daemon.stop()
}

fn refusals(suite: &Suite) -> Result<()> {
    if !host::is_root() {
        bail!(super::CannotRun("libvirt's namespaces need root".into()));
    }
    let lab = suite.lab();
    let mut daemon = Daemon::start(suite.programs()?, lab.dir(), &["soft:lab"], None)?;
    let libvirt = Libvirt::start(lab, suite.programs()?, &daemon)?;
    let arguments = printed_arguments(&daemon, "vm1")?;
    let good = Domain::new(lab, "vm1", CVFS, &arguments);
    let start = |domain: &Domain, words: &[&str]| -> Result<()> {
        libvirt.define(domain)?;
        let words = [&["mdevd: domain 'vm1', prepare"], words].concat();
        libvirt.virsh_refused(&["start", "vm1"], &words)?;
        let undefined = libvirt.virsh(&["undefine", "vm1"]);
        undefined.map(drop)
    };

    let mut private = good.clone();
    private.memory = "<source type='memfd'/><access mode='private'/>".into();
    start(&private, &["not shared", "memoryBacking"])?;
    let mut unguarded = good.clone();
    let device = arguments.find("    <qemu:arg value='-blockdev'/>");
    unguarded.arguments.truncate(device.context("no guard")?);
    start(&unguarded, &[GUARD])?;
    let mut unplugged = good.clone();
    unplugged.cvfs = CVFS.replace("'vm1'", "'vm2'");
    start(&unplugged, &["vm2.sock", "plug='later'"])?;
    let mut unknown = good.clone();
    unknown.cvfs = CVFS.replace("interrupts='intx'", "interrupts='loud'");
    start(&unknown, &["vm1-hot", "loud"])?;
    nothing_left(&daemon, &libvirt)?;

    // What the operator made stays as it is, although libvirt calls the hook for the end, too.
    daemon.create("vm1-hot", &["--vlan", "9"])?;
    start(&good, &["vm1-hot", "interrupts msix"])?;
    ensure!(
        daemon.ctl(&["show", "vm1-hot"])?["vlan"] == 9 && names(&daemon)? == ["vm1-hot"],
        "the operator's device was touched"
    );
    daemon.destroy("vm1-hot")?;

    daemon.stop()?;
    let asked = Instant::now();
    start(&good, &["cvfctl"])?;
    let took = asked.elapsed();
    ensure!(took < limits::SETTLE, "the refusal took {took:?}");
    daemon.start_again()?;

    // Without the guard QEMU saves what cannot be restored; the hook says so before it is too late to notice.
    unguarded.guarded = false;
    libvirt.define(&unguarded)?;
    libvirt.virsh(&["start", "vm1", "--paused"])?;
    ensure!(names(&daemon)? == ["vm1", "vm1-hot"], "not made");
    let saved = libvirt.share().join("saved").display().to_string();
    libvirt.virsh(&["save", "vm1", &saved])?;
    nothing_left(&daemon, &libvirt)?;
    libvirt.virsh_refused(&["restore", &saved], &["mdevd: domain 'vm1', restore"])?;
    nothing_left(&daemon, &libvirt)?;
    daemon.stop()
}

/// What QEMU's own `migrate` does to a machine with one of our devices.
fn guard(suite: &Suite) -> Result<()> {
    let lab = suite.lab();
    let daemon = Daemon::start(suite.programs()?, lab.dir(), &["soft:lab"], None)?;
    let device = daemon.create("moved", &[])?;
    let start = |name: &str, more: &[String]| {
        let mut config = VmConfig::new(name).device(&device.qemu);
        config.more = more.to_vec();
        Vm::start(lab, config)
    };
    let migrate = |vm: &Vm| vm.qmp.execute("migrate", &json!({"uri": AWAY})).map(drop);

    let vm = start("unguarded", &["-only-migratable".into()])?;
    match migrate(&vm).and_then(|()| finished(&vm)) {
        Ok(()) => ui::say("    as expected, this QEMU migrates without the device's state"),
        Err(error) => ui::say(&format!(
            "    NEWS: this QEMU refuses to migrate a vfio-user device by itself ({error:#}); the guard can go"
        )),
    }
    vm.quit()?;
    daemon.wait_show("moved", "the client to be gone", |v| v["state"] == "ready")?;

    let file = host::repository().join("examples/libvirt/no-migration.vmdk");
    let guard = json!({"driver": "vmdk", "node-name": GUARD, "read-only": true,
                       "file": {"driver": "file", "filename": file}});
    let vm = start("guarded", &["-blockdev".into(), guard.to_string()])?;
    migrate(&vm).expect_err_with(GUARD)?;
    // It can be taken away, and then it is as if it had never been.
    vm.qmp
        .execute("blockdev-del", &json!({"node-name": GUARD}))?;
    vm.qmp.execute("blockdev-add", &guard)?;
    migrate(&vm).expect_err_with(GUARD)?;
    vm.quit()?;
    daemon.wait_show("moved", "the client to be gone", |v| v["state"] == "ready")?;
    daemon.destroy("moved")?;
    daemon.stop()
}

/// Waits until a migration has come to its end, which must be a success.
fn finished(vm: &Vm) -> Result<()> {
    process::wait_for("the migration's end", limits::QMP_EVENT, || {
        let status = vm.qmp.execute("query-migrate", &json!({}))?;
        match status["status"].as_str() {
            Some("completed") => Ok(Some(())),
            Some("failed" | "cancelled") => bail!("{status}"),
            _ => Ok(None),
        }
    })
}

/// Wants a failure.
trait ExpectErr {
    /// The failure's text, which must have this word; an error where there is none.
    fn expect_err_with(self, word: &str) -> Result<String>;
}

impl ExpectErr for Result<()> {
    fn expect_err_with(self, word: &str) -> Result<String> {
        let Err(error) = self else {
            bail!("wanted a refusal with {word}, but it was done");
        };
        let text = format!("{error:#}");
        ensure!(
            text.contains(word),
            "wanted a refusal with {word}, got: {text}"
        );
        Ok(text)
    }
}
