//! OVS with DPDK: a learning switch (`NORMAL`) between two vhost-user ports, one polling thread on
//! the forwarder's core.
//!
//! Everything it needs lies in a directory of this run: database, control sockets, logs. It lives
//! in a network namespace of its own, where its bridge interface goes with it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Contender, Peer, Rig, Shape};
use crate::bench::cpu::{self, Cores};
use crate::bench::family::Run;
use crate::bench::limits::START;
use crate::bench::machine;
use crate::host;
use crate::process::{self, Process, Surroundings};
use crate::vhost::{VhostConfig, VhostGuest};

/// The switch as Debian installs it beside the one without DPDK.
const SWITCH: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PACKAGE: &str = "openvswitch-switch-dpdk";
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// OVS, ready to be started.
#[derive(Debug)]
pub struct Ovs {
    cores: Cores,
    huge: bool,
}

impl Ovs {
    /// Installs OVS if it is missing and may be installed.
    ///
    /// # Errors
    /// Fails with the line that would install it, or without the right to make a namespace.
    pub fn new(run: &Run) -> Result<Self> {
        if !Path::new(SWITCH).is_file() {
            host::ensure_packages(&[PACKAGE])?;
        }
        ensure!(
            host::is_root(),
            "OVS needs a network namespace of its own; run this as root"
        );
        Ok(Ovs {
            cores: run.cores,
            huge: run.huge,
        })
    }

    fn settings(&self) -> Vec<String> {
        let mask = |core: usize| format!("{:#x}", 1_u64 << core);
        let memory = if self.huge {
            "--no-pci --no-telemetry"
        } else {
            "--no-pci --no-telemetry --no-huge -m 512"
        };
        vec![
            "other_config:dpdk-init=true".into(),
            format!("other_config:dpdk-lcore-mask={}", mask(self.cores.driver)),
            format!("other_config:pmd-cpu-mask={}", mask(self.cores.forwarder)),
            format!("other_config:dpdk-extra=\"{memory}\""),
        ]
    }
}

/// The running parts.
struct Switch {
    dir: TempDir,
    switch: Process,
    database: Process,
    _netns: OwnedFd,
}

impl Switch {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks for a change, and waits until the switch has made it.
    fn vsctl(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("ovs-vsctl");
        let database = format!("--db=unix:{}", self.path("db.sock").display());
        command.arg(database).arg("--timeout=30").args(words);
        let done = process::check(command, Surroundings::default());
        done.map(drop)
            .with_context(|| process::tail(&self.path("vswitchd.log")))
    }
}

impl Contender for Ovs {
    fn id(&self) -> Peer {
        Peer::Ovs
    }

    fn describe(&self) -> String {
        format!(
            "OVS {}, netdev bridge, NORMAL, two dpdkvhostuserclient ports, {}",
            machine::package_version(PACKAGE),
            self.settings().join(" ")
        )
    }

    fn start(&self, shape: Shape) -> Result<Rig> {
        let ovs = launch(self)?;
        ovs.vsctl(&[
            "add-br",
            "br0",
            "--",
            "set",
            "bridge",
            "br0",
            "datapath_type=netdev",
        ])?;
        let mut listeners = Vec::new();
        for name in ["a", "b"] {
            let socket = ovs.path(&format!("{name}.sock"));
            listeners.push(UnixListener::bind(&socket).context("listen for OVS")?);
            let path = format!("options:vhost-server-path={}", socket.display());
            let mtu = format!("mtu_request={}", shape.mtu());
            let kind = "type=dpdkvhostuserclient";
            let port = ["--", "set", "Interface", name, kind, &path, &mtu];
            ovs.vsctl(&[&["add-port", "br0", name], &port[..]].concat())?;
        }
        let config = VhostConfig::like(&shape.guest());
        let attach = |listener: &UnixListener| -> Result<VhostGuest> {
            listener.set_nonblocking(true)?;
            let stream = process::wait_for("OVS to connect", START, || {
                ensure!(ovs.switch.ended()?.is_none(), "OVS ended by itself");
                Ok(listener.accept().ok())
            });
            let (stream, _) = stream.with_context(|| process::tail(&ovs.path("vswitchd.log")))?;
            stream.set_nonblocking(false)?;
            Ok(VhostGuest::over(stream, &config)?)
        };
        let (first, second) = (attach(&listeners[0])?, attach(&listeners[1])?);
        cpu::prefer_process(ovs.switch.pid())?;
        let pid = ovs.switch.pid();
        let stop = move || {
            let ended = ovs.switch.ended()?;
            let log = ovs.path("vswitchd.log");
            ensure!(
                ended.is_none(),
                "OVS ended by itself: {}",
                process::tail(&log)
            );
            ovs.switch.kill();
            ovs.database.kill();
            Ok(())
        };
        Ok(Rig {
            first: Box::new(first),
            second: Box::new(second),
            macs: MACS,
            pid: Some(pid),
            stop: Box::new(stop),
        })
    }
}

/// Starts database and switch, both in the foreground and without anything outside the directory.
fn launch(ovs: &Ovs) -> Result<Switch> {
    let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
    let netns = crate::sys::new_netns().context("make a network namespace")?;
    let path = |name: &str| dir.path().join(name);
    let inside = || Surroundings {
        netns: Some(netns.as_raw_fd()),
        keep: Vec::new(),
    };
    let command = |program: &str| {
        let mut command = Command::new(program);
        for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(name, dir.path());
        }
        command
    };
    let mut create = command("ovsdb-tool");
    create.arg("create").arg(path("conf.db")).arg(SCHEMA);
    process::check(create, Surroundings::default())?;
    let socket = path("db.sock");
    let mut serve = command("ovsdb-server");
    serve.arg(path("conf.db"));
    serve.arg(format!("--remote=punix:{}", socket.display()));
    serve.arg(format!("--unixctl={}", path("db.ctl").display()));
    let database = Process::start("ovsdb-server", serve, inside(), &path("ovsdb.log"))?;
    process::wait_for("ovsdb-server to listen", START, || {
        ensure!(database.ended()?.is_none(), "ovsdb-server ended by itself");
        Ok(socket.exists().then_some(()))
    })
    .with_context(|| process::tail(&path("ovsdb.log")))?;
    let mut init = command("ovs-vsctl");
    init.arg(format!("--db=unix:{}", socket.display()));
    init.args(["--no-wait", "init", "--", "set", "Open_vSwitch", "."]);
    init.args(ovs.settings());
    process::check(init, Surroundings::default())?;
    let mut run = command(SWITCH);
    run.arg(format!("unix:{}", socket.display()));
    run.arg(format!("--unixctl={}", path("vswitchd.ctl").display()));
    let switch = Process::start("ovs-vswitchd", run, inside(), &path("vswitchd.log"))?;
    Ok(Switch {
        switch,
        database,
        _netns: netns,
        dir,
    })
}
