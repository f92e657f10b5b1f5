//! A message bus of a test's own, with the policy file that is shipped.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Daemon, House, Said};

/// What the system's own bus lets through, and our policy file on top.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=@SOCKET@</listen>
  <auth>EXTERNAL</auth>
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
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
  </policy>
  <include>@POLICY@</include>
  <!-- So that a test meets the daemon's limit before the bus's. -->
  <limit name="max_replies_per_connection">1000</limit>
</busconfig>
"#;

/// Whether this machine can run such a bus; a test that cannot run counts as failed where `CI=true`.
#[allow(clippy::print_stderr)]
pub fn can_run() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let found = Command::new("dbus-daemon")
        .arg("--version")
        .output()
        .is_ok();
    if root && found {
        return true;
    }
    let why = "dbus-daemon (Debian package dbus-daemon) and root are needed";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("not run: {why}");
    false
}

/// A running bus, or one that can be run again at the same address.
pub struct Bus {
    dir: TempDir,
    child: Option<Child>,
}

impl Bus {
    pub fn start() -> Self {
        let dir = TempDir::new().expect("a directory");
        // Other users must get there.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))
            .expect("chmod");
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/dbus/io.mdevd1.conf");
        let socket = dir.path().join("bus");
        let config = CONFIG
            .replace("@SOCKET@", &socket.display().to_string())
            .replace("@POLICY@", &policy.display().to_string());
        std::fs::write(dir.path().join("bus.conf"), config).expect("written");
        let mut bus = Self { dir, child: None };
        bus.run();
        bus
    }

    pub fn run(&mut self) {
        let mut child = Command::new("dbus-daemon")
            .arg("--config-file")
            .arg(self.dir.path().join("bus.conf"))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("readable");
        assert!(
            line.contains("unix:path="),
            "dbus-daemon did not start: {line:?}"
        );
        self.child = Some(child);
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is there");
            child.wait().expect("it ends");
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("bus")
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// A daemon on this bus.
    pub fn daemon<'a>(&self, house: &'a House, args: &[&str]) -> Daemon<'a> {
        let on = ["--system-bus", "on"].iter().chain(args).copied();
        let mut command = house.command(&on.collect::<Vec<_>>());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.address());
        house.start_command(command)
    }

    /// A client of ours.
    pub async fn client(&self) -> zbus::Connection {
        zbus::connection::Builder::address(self.address().as_str())
            .expect("an address")
            .build()
            .await
            .expect("connected")
    }

    /// `busctl call` as another user.
    pub fn as_nobody(&self, groups: &str, call: &[&str]) -> Said {
        let groups = match groups {
            "" => "--clear-groups".to_owned(),
            groups => format!("--groups={groups}"),
        };
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", &groups, "busctl"])
            .arg(format!("--address={}", self.address()))
            .args(call)
            .output()
            .expect("setpriv runs");
        Said::of(output)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
