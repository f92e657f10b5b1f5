//! Limits and rights of the daemon's process; where it does not run, of ours: it would get the same from this user.

use libcvf::pf::igb;

use super::host::Host;
use super::kernel::size;
use super::{Check, functions};
use crate::limits::FILES_PER_DEVICE;

/// Fewer devices than this are worth a word.
const FEW_DEVICES: u64 = 512;
/// Bit of `CAP_NET_ADMIN` (capabilities(7)).
const NET_ADMIN: u32 = 12;
/// Bit of `CAP_IPC_LOCK`.
const IPC_LOCK: u32 = 14;

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
        memlock(
            limits.as_deref(),
            status.as_deref(),
            functions::any_bound(host).then(|| memory(host)),
            whose,
        ),
        net_admin(status.as_deref(), whose),
    ]
}

/// Soft and hard limit (proc(5), `/proc/PID/limits`), by their columns.
const SOFT: usize = 0;
const HARD: usize = 1;

/// A limit: `Some(None)` is none.
fn limit(limits: &str, label: &str, column: usize) -> Option<Option<u64>> {
    let line = limits.lines().find_map(|line| line.strip_prefix(label))?;
    match line.split_whitespace().nth(column)? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

fn unknown(name: &str, whose: &str) -> Check {
    let advice = "run this as the daemon's user or as root";
    Check::warn(name, format!("cannot be read for {whose}"), advice)
}

fn files(limits: Option<&str>, whose: &str) -> Check {
    match limits.and_then(|text| limit(text, "Max open files", HARD)) {
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

/// Bytes of memory that this host has, if it says so (proc(5), `/proc/meminfo`).
fn memory(host: &Host) -> u64 {
    let text = host.read("/proc/meminfo").unwrap_or_default();
    let all = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = all.and_then(|all| all.split_whitespace().next()?.parse().ok());
    kib.map_or(u64::MAX, |kib: u64| kib.saturating_mul(1024))
}

/// What is pinned for a PCI function's DMA counts against the soft limit, but for who has `CAP_IPC_LOCK`. `pinning`:
/// there is such a function, on a host with so much memory.
fn memlock(limits: Option<&str>, status: Option<&str>, pinning: Option<u64>, whose: &str) -> Check {
    const NAME: &str = "locked-memory";
    let limit = match limits.and_then(|text| limit(text, "Max locked memory", SOFT)) {
        None => return unknown(NAME, whose),
        Some(None) => return Check::ok(NAME, format!("no limit for {whose}")),
        Some(Some(limit)) => limit,
    };
    let found = format!("{} for {whose}", size(limit));
    let Some(memory) = pinning else {
        return Check::ok(NAME, format!("{found}: soft PFs lock none"));
    };
    if effective(status).is_some_and(|mask| mask >> IPC_LOCK & 1 == 1) {
        return Check::ok(NAME, format!("{found}, which CAP_IPC_LOCK does not heed"));
    }
    let advice = "LimitMEMLOCK=infinity of the systemd unit (its drop-in vfio.conf has it), or ulimit -Hl and -Sl";
    let each = size(igb::PINNED);
    let devices = limit / igb::PINNED;
    if devices < igb::DEVICES.into() {
        let text =
            format!("{found}: a device of an igb PF locks {each}, so that there can be {devices}");
        return Check::warn(NAME, text, advice);
    }
    if limit < memory {
        let text = format!(
            "{found}: enough for the {each} of each device of an igb PF; less than this host's memory, which is too \
             little where guests' memory is locked for DMA"
        );
        return Check::warn(NAME, text, advice);
    }
    Check::ok(NAME, format!("{found}, as much as this host has"))
}

/// Capabilities in force.
fn effective(status: Option<&str>) -> Option<u64> {
    let mask = status?
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn net_admin(status: Option<&str>, whose: &str) -> Check {
    match effective(status) {
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
