//! The daemon: is it there, is it ours, how are its devices.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Check;
use crate::bus::{API, CallError, ManagerClient};
use crate::engine::{DeviceSummary, State, VersionView};

/// Devices named in a check.
const NAMED: usize = 5;

/// What was found.
pub(super) enum Found {
    /// It answers.
    There {
        version: VersionView,
        socket: String,
        devices: Vec<DeviceSummary>,
    },
    /// It does not, or not so that we understand.
    Not(CallError),
}

/// Asks the daemon at `socket`; each answer may take `limit`.
pub(super) async fn look(socket: &Path, limit: Duration) -> Found {
    let ask = async {
        let client = ManagerClient::connect_within(socket, limit).await?;
        let version = crate::bus::typed(client.version().await?)?;
        let mut devices = Vec::new();
        let mut after = String::new();
        loop {
            let (page, next) = client.list(&after, super::super::commands::PAGE).await?;
            for device in page {
                devices.push(crate::bus::typed(device)?);
            }
            if next.is_empty() {
                break;
            }
            after = next;
        }
        Ok(Found::There {
            version,
            socket: socket.display().to_string(),
            devices,
        })
    };
    ask.await.unwrap_or_else(Found::Not)
}

impl Found {
    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::There { version, .. } => Some(version.pid),
            Self::Not(_) => None,
        }
    }

    /// Where it keeps definitions.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        match self {
            Self::There { version, .. } => version.state_dir.as_ref().map(PathBuf::from),
            Self::Not(_) => None,
        }
    }

    pub(super) fn checks(&self) -> Vec<Check> {
        match self {
            Self::Not(error) => vec![Check::bad(
                "daemon",
                error.to_string(),
                "start it: mdevd --pf soft:soft0, or systemctl start its unit",
            )],
            Self::There {
                version,
                socket,
                devices,
            } => vec![same(version, socket), health(devices)],
        }
    }
}

fn same(version: &VersionView, socket: &str) -> Check {
    let own = env!("CARGO_PKG_VERSION");
    let (theirs, api) = (&version.version, version.api);
    let found = format!(
        "mdevd {theirs} (process {}) answers at {socket}",
        version.pid
    );
    if theirs != own || api != API {
        return Check::warn(
            "daemon",
            format!(
                "{found}; its interface is version {api}, and this cvfctl {own} knows version {API}"
            ),
            "install both from one release, and restart the daemon when no VM is connected",
        );
    }
    Check::ok("daemon", found)
}

fn health(devices: &[DeviceSummary]) -> Check {
    let count = |state| {
        devices
            .iter()
            .filter(|device| device.state == state)
            .count()
    };
    let found = format!("{}, {} with a VM", devices.len(), count(State::Connected));
    let failed: Vec<_> = devices
        .iter()
        .filter(|device| device.state == State::Failed)
        .map(|device| device.name.as_str())
        .collect();
    if failed.is_empty() {
        return Check::ok("devices", found);
    }
    let more = if failed.len() > NAMED { ", ..." } else { "" };
    let names = failed[..failed.len().min(NAMED)].join(", ");
    Check::warn(
        "devices",
        format!("{found}, {} failed: {names}{more}", failed.len()),
        format!("cvfctl show {} says why", failed[0]),
    )
}
