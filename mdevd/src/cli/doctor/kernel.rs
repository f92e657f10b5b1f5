//! What the kernel offers: virtual machines, memory that can be shared, IOMMU, interfaces, processors.

use std::io;

use super::Check;
use super::host::Host;

/// Memory that a VM can share with the daemon.
#[derive(Debug)]
pub(super) struct Memory {
    /// Whether a memfd can be made.
    pub(super) memfd: io::Result<()>,
    /// Free and all bytes of /dev/shm.
    pub(super) shm: Option<(u64, u64)>,
}

impl Memory {
    pub(super) fn of(host: &Host) -> Self {
        let memfd = rustix::fs::memfd_create("cvfctl-doctor", rustix::fs::MemfdFlags::CLOEXEC);
        let shm = rustix::fs::statvfs(host.at("/dev/shm")).ok();
        Self {
            memfd: memfd.map(drop).map_err(io::Error::from),
            shm: shm.map(|fs| (fs.f_bavail * fs.f_frsize, fs.f_blocks * fs.f_frsize)),
        }
    }
}

pub(super) fn checks(host: &Host, memory: &Memory) -> Vec<Check> {
    let mut checks = vec![
        kvm(host),
        memfd(memory),
        shm(memory),
        hugetlb(host),
        iommu(host),
        tun(host),
    ];
    checks.extend(governor(host));
    checks.extend(smt(host));
    checks
}

fn kvm(host: &Host) -> Check {
    let slow = "VMs run by emulation, many times slower";
    match host.open("/dev/kvm") {
        Ok(()) => Check::ok("kvm", "/dev/kvm can be opened"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::warn(
            "kvm",
            format!("there is no /dev/kvm: {slow}"),
            "switch on VT-x or AMD-V in the firmware and load kvm_intel or kvm_amd; in a VM, switch on nested \
             virtualization for it",
        ),
        Err(error) => Check::warn(
            "kvm",
            format!("/dev/kvm cannot be opened by this user: {error}; its {slow}"),
            "put the user of the VMs into the group of /dev/kvm (often 'kvm')",
        ),
    }
}

fn memfd(memory: &Memory) -> Check {
    match &memory.memfd {
        Ok(()) => Check::ok(
            "memfd",
            "can be made: memory-backend-memfd,share=on works for VMs",
        ),
        Err(error) => Check::bad(
            "memfd",
            format!("cannot be made: {error}"),
            "give VMs memory-backend-file,share=on in /dev/shm or on hugetlbfs instead",
        ),
    }
}

/// Below this, a VM of usual size does not fit.
const LITTLE_SHM: u64 = 1 << 30;

fn shm(memory: &Memory) -> Check {
    let only = "matters only to VMs whose memory-backend-file is there; a memfd needs none";
    match memory.shm {
        None => Check::warn("shm", "there is no /dev/shm", only),
        Some((free, all)) => {
            let found = format!("/dev/shm has {} free of {}", size(free), size(all));
            if free < LITTLE_SHM {
                let advice = format!("{only}; mount -o remount,size=SIZE /dev/shm makes it larger");
                Check::warn("shm", found, advice)
            } else {
                Check::ok("shm", found)
            }
        }
    }
}

fn hugetlb(host: &Host) -> Check {
    const DIR: &str = "/sys/kernel/mm/hugepages";
    let mut sizes: Vec<(u64, u64, u64)> = host
        .names(DIR)
        .iter()
        .filter_map(|name| {
            let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
            let pages = |file| host.number(&format!("{DIR}/{name}/{file}"));
            Some((
                kib.parse().ok()?,
                pages("nr_hugepages")?,
                pages("free_hugepages")?,
            ))
        })
        .collect();
    sizes.sort_unstable();
    let shown = |(kib, all, free): &(u64, u64, u64)| {
        format!("{free} of {all} free of {}", size(kib.saturating_mul(1024)))
    };
    let texts: Vec<_> = sizes.iter().filter(|s| s.1 > 0).map(shown).collect();
    if texts.is_empty() {
        let found = "no huge pages reserved; VMs work without, somewhat slower under load";
        return Check::ok("hugetlb", found);
    }
    let found = texts.join(", ");
    if sizes.iter().all(|&(_, _, free)| free == 0) {
        let advice =
            "reserve more (vm.nr_hugepages), or give further VMs a memfd without hugetlb=on";
        return Check::warn("hugetlb", format!("all in use: {found}"), advice);
    }
    Check::ok("hugetlb", found)
}

fn iommu(host: &Host) -> Check {
    let groups = host.names("/sys/kernel/iommu_groups").len();
    if groups > 0 {
        return Check::ok("iommu", format!("{groups} groups"));
    }
    let line = host.read("/proc/cmdline").unwrap_or_default();
    let asked = line
        .split_whitespace()
        .find(|word| word.starts_with("intel_iommu=") || word.starts_with("amd_iommu="));
    let asked = asked.map_or_else(String::new, |word| format!(", though booted with {word}"));
    Check::warn(
        "iommu",
        format!("no groups{asked}: soft PFs work, a PF driven through VFIO would not"),
        "only if you want such a PF: switch on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on on Intel \
         (AMD needs no word)",
    )
}

fn tun(host: &Host) -> Check {
    match host.open("/dev/net/tun") {
        Ok(()) => Check::ok(
            "tun",
            "/dev/net/tun can be opened: TAP uplinks are possible",
        ),
        Err(error) => Check::warn(
            "tun",
            format!("no TAP uplinks: /dev/net/tun: {error}"),
            "modprobe tun; in a container, give it the device /dev/net/tun",
        ),
    }
}

fn governor(host: &Host) -> Option<Check> {
    const DIR: &str = "/sys/devices/system/cpu";
    let slow = ["powersave", "ondemand", "conservative"];
    let mut found: Vec<String> = host
        .names(DIR)
        .iter()
        .filter_map(|name| host.read(&format!("{DIR}/{name}/cpufreq/scaling_governor")))
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let words = found.join(", ");
    if found.iter().any(|word| slow.contains(&word.as_str())) {
        let advice = "for steady delays: cpupower frequency-set -g performance";
        return Some(Check::warn("cpu-governor", words, advice));
    }
    Some(Check::ok("cpu-governor", words))
}

fn smt(host: &Host) -> Option<Check> {
    let found = match host.read("/sys/devices/system/cpu/smt/active")?.as_str() {
        "1" => "on: give a worker whose device has mapped doorbells a core without a busy sibling",
        _ => "off",
    };
    Some(Check::ok("smt", found))
}

/// Bytes in the largest unit that leaves a whole number worth reading.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|&(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, shift)| format!("{} {unit}", bytes >> shift),
    )
}
