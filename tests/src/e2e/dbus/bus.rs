//! A message bus of the test's own.

use crate::process::{self, Process, Surroundings};
use crate::{cleanup, host, limits};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a bus is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is allowed but what the shipped policy file allows.
    System,
    /// Everything is allowed, and services are started as the bus itself.
    Session,
}

/// A running bus.
pub struct Bus {
    address: String,
    dir: PathBuf,
    _process: Process,
    _remove: cleanup::Guard,
}

const BASE: &str = r#"
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
"#;

const OPEN: &str = r#"
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
"#;

/// Files for the system, as they are shipped.
pub fn shipped() -> PathBuf {
    host::repository().join("examples/dbus")
}

impl Bus {
    /// Starts one below `parent`. Services are looked for in [`Bus::services`].
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(parent: &Path, kind: Kind) -> Result<Self> {
        host::ensure_packages(&super::PACKAGES)?;
        let dir = tempfile::Builder::new()
            .prefix("bus")
            .rand_bytes(4)
            .tempdir_in(parent)?
            .keep();
        let gone = dir.clone();
        let remove = cleanup::on_drop(move || drop(fs::remove_dir_all(&gone)));
        for open in [parent, &dir] {
            // Other users must get to the socket.
            fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
        }
        fs::create_dir(dir.join("services"))?;
        let (word, rules) = match kind {
            Kind::System => {
                let policy = shipped().join("io.mdevd1.conf");
                let include = format!("  <include>{}</include>\n", policy.display());
                ("system", format!("{BASE}{include}"))
            }
            Kind::Session => ("session", OPEN.to_owned()),
        };
        let address = format!("unix:path={}", dir.join("bus").display());
        let config = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n  \
             <type>{word}</type>\n  <listen>{address}</listen>\n  <auth>EXTERNAL</auth>\n  \
             <servicedir>{}</servicedir>\n{rules}</busconfig>\n",
            dir.join("services").display()
        );
        fs::write(dir.join("bus.conf"), config)?;
        let program = host::find_program("dbus-daemon").context("dbus-daemon is not there")?;
        let mut command = Command::new(program);
        command
            .arg("--config-file")
            .arg(dir.join("bus.conf"))
            .args(["--nofork", "--nopidfile"]);
        let log = dir.join("bus.log");
        let process = Process::start("dbus-daemon", command, Surroundings::default(), &log)?;
        let socket = dir.join("bus");
        process::wait_for("dbus-daemon to listen", limits::DAEMON_START, || {
            if let Some(status) = process.ended()? {
                bail!("dbus-daemon ended: {status}\n{}", process::tail(&log));
            }
            Ok(std::os::unix::net::UnixStream::connect(&socket)
                .is_ok()
                .then_some(()))
        })?;
        Ok(Bus {
            address,
            dir,
            _process: process,
            _remove: remove,
        })
    }

    /// Its D-Bus address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where service files go.
    pub fn services(&self) -> PathBuf {
        self.dir.join("services")
    }

    /// A directory for what belongs to the bus.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a client that finds this bus as the system's; what it said.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn client(&self, program: &str, args: &[&str]) -> Result<process::Output> {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .env("LC_ALL", "C.UTF-8");
        process::output(command, Surroundings::default(), limits::HOST_COMMAND)
    }

    /// The same, and it must succeed; what it printed.
    ///
    /// # Errors
    /// What it complained about.
    pub fn ask(&self, program: &str, args: &[&str]) -> Result<String> {
        let said = self.client(program, args)?;
        if !said.status.success() {
            bail!(
                "{program} {}: {}\n{}{}",
                args.join(" "),
                said.status,
                said.stdout,
                said.stderr
            );
        }
        Ok(said.stdout)
    }
}
