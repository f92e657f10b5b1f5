//! The daemon on a message bus, met by clients that are not ours: `busctl`, `gdbus` and Python programs.
//!
//! The bus is a `dbus-daemon` of the test's own, with the shipped policy file; the machine's bus is left alone.

mod activation;
mod bus;
mod busctl;
mod gdbus;
mod jobs;
mod python;

use super::{Suite, Test};
use anyhow::Result;

/// Debian packages with bus and clients.
const PACKAGES: [&str; 6] = [
    "dbus-daemon",
    "libglib2.0-bin",
    "python3-dbus",
    "python3-gi",
    "systemd",
    "util-linux",
];

const NAME: &str = "io.mdevd1";
const ROOT: &str = "/io/mdevd1";
const MANAGER: &str = "/io/mdevd1/Manager";

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        Test::alone(
            "dbus-busctl",
            "sd-bus on the system bus: every method, properties, refusals to nobody",
            busctl::run,
        ),
        Test::alone(
            "dbus-gdbus",
            "GDBus on the system bus: calls, introspection, signals as they come",
            gdbus::run,
        ),
        Test::alone(
            "dbus-jobs",
            "sd-bus and GDBus see a job while a script runs, cancel it, and read its result",
            jobs::run,
        ),
        Test::alone(
            "dbus-python",
            "libdbus and GDBus from Python: objects, change signals, errors by name",
            python::run,
        ),
        Test::alone(
            "dbus-activation",
            "a call starts the daemon by the shipped service file",
            activation::run,
        ),
    ]
}

/// A bus with a daemon on it.
struct Stage {
    daemon: crate::daemon::Daemon,
    bus: bus::Bus,
}

impl Stage {
    fn set(suite: &Suite) -> Result<Self> {
        let bus = bus::Bus::start(suite.lab().dir(), bus::Kind::System)?;
        let programs = suite.programs()?;
        let pf = ["soft:soft0,queue-pairs=64"];
        let daemon =
            crate::daemon::Daemon::start_on_bus(programs, suite.lab().dir(), &pf, bus.address())?;
        Ok(Stage { daemon, bus })
    }

    fn strike(self) -> Result<()> {
        self.daemon.stop()
    }
}
