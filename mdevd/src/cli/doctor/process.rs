//! Limits and rights of the daemon's process; where it does not run, of ours: it would get the same from this user.

use super::Check;
use super::host::Host;
use super::kernel::size;
use crate::limits::FILES_PER_DEVICE;

/// Fewer devices than this are worth a word.
const FEW_DEVICES: u64 = 512;
/// Bit of `CAP_NET_ADMIN` (capabilities(7)).
const NET_ADMIN: u32 = 12;

pub(super) fn checks(host: &Host, daemon: Option<u32>) -> Vec<Check> {
    let process = daemon.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let whose = if daemon.is_some() {
        "the daemon"
    } else {
        "this user"
    };
    let limits = host.read(&format!("/proc/{process}/limits"));
    let status = host.read(&format!("/proc/{process}/status"));
    vec![
        files(limits.as_deref(), whose),
        memlock(limits.as_deref(), whose),
        net_admin(status.as_deref(), whose),
    ]
}

/// A hard limit (proc(5), `/proc/PID/limits`): `Some(None)` is none.
fn hard(limits: &str, label: &str) -> Option<Option<u64>> {
    let line = limits.lines().find_map(|line| line.strip_prefix(label))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

fn unknown(name: &str, whose: &str) -> Check {
    let advice = "run this as the daemon's user or as root";
    Check::warn(name, format!("cannot be read for {whose}"), advice)
}

fn files(limits: Option<&str>, whose: &str) -> Check {
    match limits.and_then(|text| hard(text, "Max open files")) {
        None => unknown("open-files", whose),
        Some(None) => Check::ok("open-files", format!("no limit for {whose}")),
        Some(Some(limit)) => {
            let devices = limit / FILES_PER_DEVICE;
            let found = format!("{limit} for {whose}: about {devices} devices");
            if devices < FEW_DEVICES {
                let advice =
                    "raise the hard limit: LimitNOFILE= of the systemd unit, or ulimit -Hn";
                Check::warn("open-files", found, advice)
            } else {
                Check::ok("open-files", found)
            }
        }
    }
}

fn memlock(limits: Option<&str>, whose: &str) -> Check {
    match limits.and_then(|text| hard(text, "Max locked memory")) {
        None => unknown("locked-memory", whose),
        Some(None) => Check::ok("locked-memory", format!("no limit for {whose}")),
        Some(Some(limit)) => Check::ok(
            "locked-memory",
            format!("{} for {whose}: soft PFs lock none", size(limit)),
        ),
    }
}

fn net_admin(status: Option<&str>, whose: &str) -> Check {
    let mask = status
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("CapEff:")))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    match mask {
        None => unknown("cap-net-admin", whose),
        Some(mask) if mask >> NET_ADMIN & 1 == 1 => {
            Check::ok("cap-net-admin", format!("{whose} has it"))
        }
        Some(_) => Check::warn(
            "cap-net-admin",
            format!("{whose} lacks it: no TAP uplinks, other than ones made for it before"),
            "run mdevd as root or with AmbientCapabilities=CAP_NET_ADMIN, or make the TAP for its user: ip tuntap add \
             IFNAME mode tap user USER vnet_hdr",
        ),
    }
}
