//! Directories and the daemon's socket.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Check;
use super::host::writable;
use crate::config::{DEVICE_DIR, default_state_dir};
use crate::limits::{MAX_NAME, MAX_SOCKET_PATH};

pub(super) fn checks(socket: &Path, state: Option<PathBuf>, daemon: Option<u32>) -> Vec<Check> {
    let runtime = socket.parent().unwrap_or(Path::new("."));
    let state = match state {
        Some(dir) => Ok(dir),
        None => default_state_dir().map_err(|error| error.to_string()),
    };
    let state = match state {
        Ok(dir) => directory("state-dir", &dir, daemon),
        Err(why) => Check::bad("state-dir", why, "mdevd --state-dir DIR"),
    };
    let mut checks = vec![
        state,
        directory("runtime-dir", runtime, daemon),
        names(runtime),
    ];
    if let Ok(found) = socket.symlink_metadata() {
        let around = runtime.metadata().ok();
        checks.push(access(socket, &found, around.as_ref()));
    }
    checks
}

fn directory(name: &str, dir: &Path, daemon: Option<u32>) -> Check {
    let shown = dir.display();
    match (writable(dir), daemon) {
        (Ok(()), _) if dir.exists() => Check::ok(name, format!("{shown} can be written")),
        (Ok(()), _) => Check::ok(name, format!("{shown} can be made")),
        (Err((at, error)), Some(_)) => Check::ok(
            name,
            format!(
                "{shown} is not for this user ({}: {error}); the daemon runs as another",
                at.display()
            ),
        ),
        (Err((at, error)), None) => Check::bad(
            name,
            format!("{shown} cannot be used: {}: {error}", at.display()),
            format!("make it writable for mdevd's user, or give another with --{name} DIR"),
        ),
    }
}

fn names(runtime: &Path) -> Check {
    let around = runtime.join(DEVICE_DIR).join(".sock").as_os_str().len();
    let room = MAX_SOCKET_PATH.saturating_sub(around);
    let found = format!("device names of up to {} letters fit", room.min(MAX_NAME));
    if room < MAX_NAME {
        let advice = format!(
            "a socket's path has at most {MAX_SOCKET_PATH} bytes; a shorter runtime directory leaves more for names"
        );
        return Check::warn("socket-paths", found, advice);
    }
    Check::ok("socket-paths", found)
}

/// Who may replace, and who may open, the daemon's socket.
fn access(socket: &Path, found: &Metadata, around: Option<&Metadata>) -> Check {
    const STICKY: u32 = 0o1000;
    let mode = found.mode() & 0o7777;
    let shown = format!(
        "{} has mode {mode:04o} and owner {}",
        socket.display(),
        found.uid()
    );
    let loose = around.map_or(0, Metadata::mode);
    if loose & 0o022 != 0 && loose & STICKY == 0 {
        return Check::bad(
            "control-socket",
            format!(
                "{shown}; others may replace it: its directory has mode {:04o}",
                loose & 0o7777
            ),
            "chmod go-w its directory",
        );
    }
    if mode & 0o077 != 0 {
        return Check::warn(
            "control-socket",
            shown,
            "chmod 0600; the daemon turns other users away all the same",
        );
    }
    Check::ok("control-socket", shown)
}
