//! What this run was made on.

use std::process::Command;

use serde::Serialize;

use super::cpu::Cores;

/// The machine and everything that forwarded.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Processor.
    pub cpu: String,
    /// How many of them.
    pub cpus: usize,
    /// Caches of the first core: level, kind and size.
    pub caches: Vec<String>,
    /// Frequency governor, if the kernel has a say in it.
    pub governor: String,
    /// Huge pages of 2 MiB set aside before the run.
    pub huge_pages: String,
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
pub fn describe(took_part: Vec<(String, String)>, cores: Cores) -> Machine {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Machine {
        cpu: cpu_field("model name").unwrap_or_else(|| "unknown".into()),
        cpus: std::thread::available_parallelism().map_or(1, Into::into),
        caches: caches().iter().map(Cache::show).collect(),
        governor: or_none(read(
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        )),
        huge_pages: or_none(read(
            "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
        )),
        hypervisor: hypervisor(),
        kernel: read("/proc/sys/kernel/osrelease"),
        system: crate::host::os_release("PRETTY_NAME").unwrap_or_default(),
        memory_mib: memory_mib(),
        shmem_thp: read("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
        driver_core: cores.driver,
        forwarder_core: cores.forwarder,
        time: now.map_or(0, |since| since.as_secs()),
        commit: commit(),
        contenders: once_each(took_part),
    }
}

/// A cache of the first core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    level: u32,
    kind: String,
    bytes: u64,
}

impl Cache {
    fn show(&self) -> String {
        let Cache { level, kind, bytes } = self;
        format!("L{level} {kind} {} KiB", bytes >> 10)
    }
}

/// Caches of the first core, as the kernel lists them; nothing where it does not.
fn caches() -> Vec<Cache> {
    let dir = "/sys/devices/system/cpu/cpu0/cache";
    let each = (0..16).map_while(|index| {
        let read = |file: &str| {
            let text = std::fs::read_to_string(format!("{dir}/index{index}/{file}")).ok()?;
            Some(text.trim().to_owned())
        };
        Some(Cache {
            level: read("level")?.parse().ok()?,
            kind: read("type")?,
            bytes: bytes_of(&read("size")?)?,
        })
    });
    each.collect()
}

/// Size of the last-level cache in bytes, if the kernel knows.
pub fn last_level_cache() -> Option<u64> {
    let caches = caches();
    let last = caches.iter().max_by_key(|cache| cache.level)?;
    Some(last.bytes)
}

/// A size as sysfs writes it: `512K`, `32M`.
fn bytes_of(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".into() } else { text }
}

fn once_each(took_part: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut once: Vec<(String, String)> = Vec::new();
    for entry in took_part {
        if !once.contains(&entry) {
            once.push(entry);
        }
    }
    once
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_sysfs_writes_them() {
        assert_eq!(bytes_of("512K"), Some(512 << 10));
        assert_eq!(bytes_of("32M"), Some(32 << 20));
        assert_eq!(bytes_of("64"), Some(64));
        assert_eq!(bytes_of(""), None);
        assert_eq!(bytes_of("K"), None);
    }

    #[test]
    fn who_took_part_twice_is_told_once() {
        let entry = ("a".to_owned(), "b".to_owned());
        assert_eq!(once_each(vec![entry.clone(), entry.clone()]), [entry]);
    }
}
