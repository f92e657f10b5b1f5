//! mdevd as a service of a real systemd, as its package installs it.

use super::{Suite, Test};
use crate::system::System;
use crate::vm::{GuestOutput, Vm};
use crate::{limits, process, ui};
use anyhow::{Context, Result, bail, ensure};
use lab_guest::wire::Outcome;
use serde_json::Value;

/// What `systemd-analyze security` may say at most (`data/systemd/README.md`).
const MOST_EXPOSED: f64 = 3.0;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::alone(
        "service-under-systemd",
        "a real systemd starts, reloads, guards, restarts and removes the daemon as the guide says",
        run,
    )]
}

type Step = fn(&Host<'_>) -> Result<()>;

/// In this order; each leaves a running daemon.
const STEPS: [(&str, Step); 12] = [
    ("units are sound and confined", units),
    ("a command starts it through the socket", by_the_socket),
    ("what is in its journal", journal),
    ("a call over the system bus", system_bus),
    ("reload", reload),
    ("scripts", callouts),
    ("an uplink and its carrier", uplink),
    ("nothing stops it while a client is connected", guarded),
    ("killed, it comes back with its devices", killed),
    ("hung, it is restarted by its watchdog", hung),
    (
        "it stops when nobody is connected, and a call starts it",
        stopped,
    ),
    ("a host without the guard, and removal", removed),
];

fn run(suite: &Suite) -> Result<()> {
    let system = System::boot(suite.lab(), suite.programs()?)?;
    let host = Host { vm: &system.vm };
    for (what, step) in STEPS {
        let begun = ui::Step::begin(what.to_owned());
        step(&host).map_err(|error| host.explain(what, &error))?;
        begun.done();
    }
    system.vm.quit()
}

/// The machine on which the daemon is a service.
struct Host<'a> {
    vm: &'a Vm,
}

impl Host<'_> {
    fn run(&self, line: &str) -> Result<String> {
        self.vm.run(line)
    }

    /// A line that must fail and say all of these words; what it said.
    fn refused(&self, line: &str, words: &[&str]) -> Result<String> {
        let GuestOutput {
            outcome,
            stdout,
            stderr,
        } = self.vm.try_run(line)?;
        let said = format!("{stdout}{stderr}");
        let missing = words.iter().find(|word| !said.contains(**word));
        ensure!(
            outcome != Outcome::Exit(0) && missing.is_none(),
            "{line}: wanted a refusal that has {words:?}, it ended with {outcome:?}: {said}"
        );
        Ok(said)
    }

    /// A line whose output must have all of these words.
    fn says(&self, line: &str, words: &[&str]) -> Result<()> {
        let said = self.run(line)?;
        let missing = words.iter().find(|word| !said.contains(**word));
        ensure!(missing.is_none(), "{line}: {missing:?} is not in: {said}");
        Ok(())
    }

    /// Waits until a line succeeds.
    fn until(&self, what: &str, line: &str) -> Result<()> {
        process::wait_for(what, limits::RESTART, || {
            Ok((self.vm.try_run(line)?.outcome == Outcome::Exit(0)).then_some(()))
        })
    }

    /// A property of the daemon's unit.
    fn property(&self, name: &str) -> Result<String> {
        self.run(&format!(
            "systemctl show --value --property={name} mdevd-cvf.service"
        ))
    }

    fn restarts(&self) -> Result<u32> {
        self.property("NRestarts")?.parse().context("NRestarts")
    }

    /// Names of all devices that listen.
    fn listening(&self) -> Result<Vec<String>> {
        let list: Value = serde_json::from_str(&self.run("cvfctl --json list")?)?;
        let devices = list.as_array().context("a list")?;
        let named = devices.iter().filter(|device| device["state"] != "failed");
        Ok(named
            .filter_map(|device| Some(device["name"].as_str()?.to_owned()))
            .collect())
    }

    /// Connects a client to a device, as a VMM would; it stays until [`Host::leave`].
    fn connect(&self, device: &str) -> Result<()> {
        let shown: Value =
            serde_json::from_str(&self.run(&format!("cvfctl --json show {device}"))?)?;
        let socket = shown["socket"].as_str().context("socket")?;
        self.run(&format!(
            "systemd-run --quiet --unit=client --property=StandardOutput=file:/run/client.log \
             python3 /lab/client.py {socket}"
        ))?;
        self.until("the client to connect", "grep -q connected /run/client.log")
    }

    fn leave(&self) -> Result<()> {
        self.run("systemctl stop client").map(drop)
    }

    fn explain(&self, what: &str, error: &anyhow::Error) -> anyhow::Error {
        let unit = "systemctl --no-pager --full status mdevd-cvf.service mdevd-cvf.socket; \
                    journalctl --no-pager --lines=40";
        let said = self
            .vm
            .try_run(unit)
            .map(|out| out.stdout)
            .unwrap_or_default();
        anyhow::anyhow!("{what}: {error:#}\n{said}")
    }
}

fn units(host: &Host<'_>) -> Result<()> {
    host.run("mdevd --version")
        .context("programs of this machine run on the system's libraries")?;
    // Socket, alias for the bus, and start at boot.
    host.says(
        "systemctl enable mdevd-cvf.service 2>&1",
        &[
            "dbus-io.mdevd1.service",
            "sockets.target.wants",
            "multi-user.target.wants",
        ],
    )?;
    let verified = host
        .vm
        .try_run("systemd-analyze verify mdevd-cvf.service mdevd-cvf.socket 2>&1")?;
    // The pages of its manual are not laid out here.
    let about_us = |line: &&str| line.contains("mdevd-cvf") && !line.contains("man cvfctl");
    let wrong: Vec<&str> = verified.stdout.lines().filter(about_us).collect();
    ensure!(wrong.is_empty(), "systemd-analyze verify: {wrong:?}");
    let security = host.run("systemd-analyze security --no-pager mdevd-cvf.service | tail -n 1")?;
    let exposed = security
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok());
    let exposed = exposed.with_context(|| format!("no figure in {security:?}"))?;
    ui::say(&format!(
        "      {}, exposure {exposed}",
        host.run("systemctl --version | head -n 1")?
    ));
    ensure!(exposed <= MOST_EXPOSED, "{security}");
    Ok(())
}

fn by_the_socket(host: &Host<'_>) -> Result<()> {
    host.run("systemctl start mdevd-cvf.socket")?;
    ensure!(
        host.property("ActiveState")? == "inactive",
        "started before anybody asked"
    );
    host.run("cvfctl create web1 --queue-pairs 2 && cvfctl create keep1 --persistent")?;
    let state = ["Type", "ActiveState", "SubState", "Result"].map(|name| host.property(name));
    let state = state.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(
        state == ["notify", "active", "running", "success"],
        "{state:?}"
    );
    host.until(
        "the status to tell of both devices",
        "systemctl show --property=StatusText mdevd-cvf.service | grep -q '2 device'",
    )?;
    host.says("stat -c '%a %U' /run/mdevd/mdevd.sock", &["600 root"])?;
    ensure!(
        host.listening()? == ["keep1", "web1"],
        "{:?}",
        host.listening()
    );
    Ok(())
}

fn journal(host: &Host<'_>) -> Result<()> {
    let lines = host.run("journalctl --no-pager --output=json DEVICE=web1")?;
    let entry = lines.lines().next().context("nothing with DEVICE=web1")?;
    let entry: Value = serde_json::from_str(entry)?;
    let shown: Value = serde_json::from_str(&host.run("cvfctl --json show web1")?)?;
    ensure!(
        entry["UUID"] == shown["uuid"],
        "{entry} is not about {}",
        shown["uuid"]
    );
    ensure!(entry["SYSLOG_IDENTIFIER"] == "mdevd", "{entry}");
    ensure!(entry["_SYSTEMD_UNIT"] == "mdevd-cvf.service", "{entry}");
    // The unit's filter allows what its threads ask of the scheduler.
    let all = host.run("journalctl --no-pager -u mdevd-cvf")?;
    ensure!(!all.contains("time slices of the system"), "{all}");
    Ok(())
}

/// Somebody may manage devices, and not destroy them.
const RULE: &str = r#"polkit.addRule(function(action, subject) {
    if (action.id == "io.mdevd1.manage" && subject.user == "somebody") {
        return action.lookup("method") == "Destroy" ? polkit.Result.NO : polkit.Result.YES;
    }
});
"#;

fn system_bus(host: &Host<'_>) -> Result<()> {
    let call = "busctl call io.mdevd1 /io/mdevd1/Manager io.mdevd1.Manager";
    host.says(&format!("{call} List 'sua{{sv}}' '' 10 0"), &["web1"])?;
    let somebody = |line: &str| {
        format!(
            "python3 -c 'import os; os.setgid(1000); os.setuid(1000); os.execvp(\"sh\", [\"sh\", \"-c\", \"{line}\"])'"
        )
    };
    host.says(
        &somebody(&format!("{call} Show sa{{sv}} web1 0")),
        &["web1"],
    )?;
    host.refused(
        &somebody(&format!("{call} Destroy sa{{sv}} web1 0")),
        &[
            "cannot destroy 'web1'",
            "polkit action io.mdevd1.manage is not granted to uid 1000",
        ],
    )?;
    host.refused(
        &somebody("cvfctl --address /run/mdevd/mdevd.sock list"),
        &["cannot reach mdevd", "ermission denied"],
    )?;
    host.run(&format!(
        "cat > /etc/polkit-1/rules.d/10-mdevd.rules <<'EOF'\n{RULE}EOF"
    ))?;
    let start = somebody(&format!("{call} Start sa{{sv}} web1 0"));
    host.until("polkit to read its rule", &start)?;
    for method in ["Destroy", "DestroyAsJob"] {
        let line = somebody(&format!("{call} {method} sa{{sv}} web1 0"));
        host.refused(&line, &["is not granted to uid 1000"])?;
    }
    // What is installed is what it tells of itself.
    for (interface, file) in [
        ("Manager", "/io/mdevd1/Manager"),
        ("Device", "/io/mdevd1/device/web1"),
    ] {
        let installed = format!("/usr/share/dbus-1/interfaces/io.mdevd1.{interface}.xml");
        let methods = |line: &str| {
            host.run(&format!(
                "{line} | grep -o '<method name=\"[A-Za-z]*\"' | sort -u"
            ))
        };
        let told = methods(&format!(
            "busctl introspect --xml-interface io.mdevd1 {file}"
        ))?;
        let said = methods(&format!("cat {installed}"))?;
        let missing = said.lines().find(|line| !told.contains(*line));
        ensure!(
            missing.is_none() && !said.is_empty(),
            "{installed}: {missing:?} is not in: {told}"
        );
    }
    host.run("grep -q io.mdevd1.manage /usr/share/polkit-1/actions/io.mdevd1.policy")?;
    ensure!(
        host.listening()?.contains(&"web1".to_owned()),
        "somebody destroyed it"
    );
    Ok(())
}

fn reload(host: &Host<'_>) -> Result<()> {
    let file = "/etc/mdevd-cvf/mdevd.toml";
    host.run(&format!("cp {file} /run/before.toml"))?;
    host.run(&format!(
        "sed -i '1i rate-groups = \"web=5000\"' {file} && systemctl reload mdevd-cvf"
    ))?;
    host.run("cvfctl set web1 group=web")?;
    host.run(&format!(
        "cp {file} /run/good.toml; echo 'queue-pears = 3' >> {file}"
    ))?;
    host.refused("systemctl reload mdevd-cvf", &["mdevd-cvf.service"])?;
    host.says(
        "journalctl --no-pager -u mdevd-cvf --lines=20",
        &[file, "queue-pears"],
    )?;
    host.run("cvfctl set web1 group=none && cvfctl set web1 group=web")?;
    ensure!(
        host.property("ActiveState")? == "active",
        "a broken file ended it"
    );
    host.run(&format!(
        "cp /run/good.toml {file} && systemctl reload mdevd-cvf && cvfctl set web1 group=none"
    ))?;
    host.run(&format!(
        "cp /run/before.toml {file} && systemctl reload mdevd-cvf"
    ))
    .map(drop)
}

fn callouts(host: &Host<'_>) -> Result<()> {
    let script = "/etc/mdevd/callouts.d/10-lab";
    host.run(&format!(
        "mkdir -p /etc/mdevd/callouts.d && printf '#!/usr/bin/busybox sh\\n\
         [ \"$4 $6\" != \"pre create\" ] || ! grep -q forbidden || {{ echo not here >&2; exit 1; }}\\n' > {script} && \
         chmod 755 {script}"
    ))?;
    let shown = host.run(&format!("cat {script}"))?;
    host.refused("cvfctl create forbidden", &["10-lab", "not here"])
        .context(shown)?;
    host.run("cvfctl create allowed && cvfctl destroy allowed")?;
    host.run(&format!("rm {script}")).map(drop)
}

fn uplink(host: &Host<'_>) -> Result<()> {
    let more = "[[pf]]\\nname = \"up0\"\\nqueue-pairs = 8\\nuplink = \"tap:mdevd0\"\\n";
    host.run(&format!(
        "printf '{more}' >> /etc/mdevd-cvf/mdevd.toml && cvfctl shutdown"
    ))?;
    host.until(
        "the end of it",
        "! systemctl is-active --quiet mdevd-cvf.service",
    )?;
    host.run("systemctl start mdevd-cvf && cvfctl create auto1 --pf up0 --link auto")?;
    let link = |up: bool| {
        format!(
            "cvfctl --json show auto1 | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)[\"health\"][\"link_up\"] != {})'",
            if up { "True" } else { "False" }
        )
    };
    host.run("ip link set mdevd0 up")?;
    host.until("the link to come up with its uplink", &link(true))?;
    host.run("ip link set mdevd0 down")?;
    host.until("the link to go down with its uplink", &link(false))?;
    host.run("cvfctl destroy auto1").map(drop)
}

fn guarded(host: &Host<'_>) -> Result<()> {
    host.connect("web1")?;
    let pid = host.property("MainPID")?;
    host.refused("systemctl stop mdevd-cvf.service", &["refused"])?;
    host.refused("systemctl restart mdevd-cvf.service", &["refused"])?;
    host.refused("cvfctl shutdown", &["web1", "--force"])?;
    host.refused("sh /lab/prerm remove", &["not removed", "web1"])?;
    host.says(
        "sh /lab/postinst configure 0.0.1",
        &["goes on as it was started"],
    )?;
    host.run(
        "sh /lab/prerm upgrade 99 && systemctl daemon-reload && systemctl stop mdevd-cvf.socket",
    )?;
    ensure!(host.property("MainPID")? == pid, "it is another one");
    host.run("systemctl is-active client")?;
    host.leave()
}

fn killed(host: &Host<'_>) -> Result<()> {
    // With the socket unit stopped, too: it comes back by itself.
    let before = host.restarts()?;
    host.run("systemctl kill --signal=KILL mdevd-cvf.service")?;
    comes_back(host, before)
}

fn hung(host: &Host<'_>) -> Result<()> {
    let before = host.restarts()?;
    host.run("systemctl kill --signal=STOP mdevd-cvf.service")?;
    comes_back(host, before)?;
    host.says("journalctl --no-pager -u mdevd-cvf", &["Watchdog timeout"])
}

fn comes_back(host: &Host<'_>, restarts: u32) -> Result<()> {
    let wanted = restarts + 1;
    host.until(
        "systemd to start it again",
        &format!("[ \"$(systemctl show --value --property=NRestarts,ActiveState mdevd-cvf.service | tr -d '\\n')\" = {wanted}active ] || \
                  [ \"$(systemctl show --value --property=ActiveState,NRestarts mdevd-cvf.service | tr -d '\\n')\" = active{wanted} ]"),
    )?;
    let devices = host.listening()?;
    ensure!(devices == ["keep1", "web1"], "{devices:?} came back");
    host.connect("web1")?;
    host.leave()
}

fn stopped(host: &Host<'_>) -> Result<()> {
    let ended = || {
        let inactive = "! systemctl is-active --quiet mdevd-cvf.service";
        host.until("the end of it", inactive)
    };
    host.run("systemctl start mdevd-cvf.socket; cvfctl shutdown")?;
    ended()?;
    ensure!(
        host.property("Result")? == "success",
        "a shutdown counts as failure"
    );
    let call = "busctl call io.mdevd1 /io/mdevd1/Manager io.mdevd1.Manager List 'sua{sv}' '' 10 0";
    host.says(call, &["keep1", "web1"])?;
    ensure!(
        host.property("ActiveState")? == "active",
        "something else answered"
    );
    // As the guide says: nobody starts it while it is to be stopped.
    host.run(
        "systemctl disable mdevd-cvf.socket mdevd-cvf.service && systemctl stop mdevd-cvf.socket",
    )?;
    host.run("cvfctl shutdown")?;
    ended()?;
    host.refused(call, &["dbus-io.mdevd1.service"])?;
    host.refused("cvfctl list", &["cannot reach mdevd"])?;
    host.run(
        "systemctl enable mdevd-cvf.socket mdevd-cvf.service && systemctl start mdevd-cvf.socket",
    )?;
    host.says("cvfctl list", &["keep1", "web1"])
}

fn removed(host: &Host<'_>) -> Result<()> {
    let place = "/etc/systemd/system/mdevd-cvf.service.d";
    host.run(&format!(
        "cp /usr/share/doc/mdevd-cvf/allow-stop.conf {place} && systemctl daemon-reload"
    ))?;
    host.run("systemctl restart mdevd-cvf.service && systemctl stop mdevd-cvf.service")?;
    host.run(&format!(
        "rm {place}/allow-stop.conf && systemctl daemon-reload && systemctl start mdevd-cvf.service"
    ))?;
    host.run("sh /lab/prerm remove")?;
    host.until(
        "the end of it",
        "! systemctl is-active --quiet mdevd-cvf.service",
    )?;
    if host.property("Result")? != "success" {
        bail!("removal counts as failure");
    }
    Ok(())
}
