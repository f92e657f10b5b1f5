//! Python programs, as somebody else would write them: `python3-dbus` (libdbus) and `python3-gi` (GDBus).

use super::Stage;
use crate::e2e::Suite;
use anyhow::{Result, ensure};

const LIBDBUS: &str = include_str!("client_dbus.py");
const GDBUS: &str = include_str!("client_gi.py");
/// Debian's own: another one on the path would not know Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

pub(super) fn run(suite: &Suite) -> Result<()> {
    let stage = Stage::set(suite)?;
    for (name, program) in [("python3-dbus", LIBDBUS), ("python3-gi", GDBUS)] {
        let said = stage.bus.ask(PYTHON, &["-c", program])?;
        ensure!(said.ends_with("all well\n"), "{name}: {said}");
        ensure!(stage.daemon.ctl(&["list"])?.as_array().map(Vec::len) == Some(0));
    }
    stage.strike()
}
