//! What this run was made on.

use std::process::Command;

use serde::Serialize;

use super::contender::Contender;
use super::cpu::Cores;

/// The machine and everything that forwarded.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor.
    pub cpu: String,
    /// How many of them.
    pub cpus: usize,
    /// Hypervisor, if this is a virtual machine.
    pub hypervisor: Option<String>,
    /// Kernel release.
    pub kernel: String,
    /// Distribution.
    pub system: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Transparent huge pages of shared memory.
    pub shmem_thp: String,
    /// Core that plays the guests.
    pub driver_core: usize,
    /// Core that forwards.
    pub forwarder_core: usize,
    /// Seconds since 1970.
    pub time: u64,
    /// Commit of this repository, with `+` if it is changed.
    pub commit: String,
    /// Who took part, exactly.
    pub contenders: Vec<(String, String)>,
}

/// Describes the machine.
pub fn describe(contenders: &[Box<dyn Contender>], cores: Cores) -> Machine {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Machine {
        cpu: cpu_field("model name").unwrap_or_else(|| "unknown".into()),
        cpus: std::thread::available_parallelism().map_or(1, Into::into),
        hypervisor: hypervisor(),
        kernel: read("/proc/sys/kernel/osrelease"),
        system: crate::host::os_release("PRETTY_NAME").unwrap_or_default(),
        memory_mib: memory_mib(),
        shmem_thp: read("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
        driver_core: cores.driver,
        forwarder_core: cores.forwarder,
        time: now.map_or(0, |since| since.as_secs()),
        commit: commit(),
        contenders: contenders
            .iter()
            .map(|c| (c.name().into(), c.describe()))
            .collect(),
    }
}

/// Version of an installed Debian package.
pub fn package_version(package: &str) -> String {
    output(
        "dpkg-query",
        &["--showformat=${Version}", "--show", package],
    )
    .unwrap_or_else(|| "of unknown version".into())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .into()
}

fn cpu_field(name: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().into())
}

fn hypervisor() -> Option<String> {
    let flags = cpu_field("flags")?;
    flags
        .split(' ')
        .any(|flag| flag == "hypervisor")
        .then(|| read("/sys/hypervisor/type"))
        .map(|kind| if kind.is_empty() { "yes".into() } else { kind })
}

fn memory_mib() -> u64 {
    let text = read("/proc/meminfo");
    let kib = text
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0_u64) / 1024
}

fn commit() -> String {
    let root = crate::host::repository();
    let root = root.to_string_lossy();
    let head = output("git", &["-C", &root, "rev-parse", "--short=12", "HEAD"]);
    let changed = output("git", &["-C", &root, "status", "--porcelain"]);
    match (head, changed) {
        (Some(head), Some(changed)) if changed.is_empty() => head,
        (Some(head), _) => format!("{head}+"),
        (None, _) => "unknown".into(),
    }
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then(|| text.trim().into())
}
