use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tempfile::{TempDir, tempdir};

use super::kernel::Memory;
use super::qemu::{FAULTS, Version, faults, find, version};
use super::*;

/// A tree that stands for a host's.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempdir().expect("a directory"))
    }

    fn put(&self, path: &str, text: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
        self
    }

    fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.0.path().join(path)).expect("made");
        self
    }

    fn host(&self) -> Host {
        Host::new(self.0.path().to_owned())
    }

    fn program(&self, path: &str, script: &str) -> PathBuf {
        self.put(path, &format!("#!/bin/sh\n{script}\n"));
        let path = self.0.path().join(path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        path
    }
}

fn find_check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    let found = checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("no '{name}' in {checks:?}"))
}

fn plenty() -> Memory {
    Memory {
        memfd: Ok(()),
        shm: Some((8 << 30, 8 << 30)),
    }
}

#[track_caller]
fn is(check: &Check, level: Level, part: &str) {
    assert_eq!(check.level, level, "{check:?}");
    let advice = check.advice.as_deref().unwrap_or_default();
    let all = format!("{} -> {advice}", check.found);
    assert!(all.contains(part), "{part}: {check:?}");
    assert_eq!(
        check.level != Level::Ok,
        check.advice.is_some(),
        "{check:?}"
    );
}

#[test]
fn a_host_with_everything_is_fine() {
    let tree = Tree::new();
    tree.put("dev/kvm", "")
        .put("dev/net/tun", "")
        .dir("sys/kernel/iommu_groups/0")
        .dir("sys/kernel/iommu_groups/1")
        .put(
            "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
            "8\n",
        )
        .put(
            "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
            "3\n",
        )
        .put(
            "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
            "1\n",
        )
        .put(
            "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages",
            "1\n",
        )
        .put(
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "performance\n",
        )
        .put("sys/devices/system/cpu/smt/active", "1\n");
    let checks = kernel::checks(&tree.host(), &plenty());
    for check in &checks {
        assert_eq!(check.level, Level::Ok, "{check:?}");
    }
    let found = |name| find_check(&checks, name).found.as_str();
    assert_eq!(
        found("hugetlb"),
        "3 of 8 free of 2 MiB, 1 of 1 free of 1 GiB"
    );
    assert_eq!(found("iommu"), "2 groups");
    assert!(found("smt").starts_with("on"));
}

#[test]
fn a_bare_host_is_told_what_to_change() {
    let tree = Tree::new();
    tree.put("proc/cmdline", "quiet intel_iommu=on root=/dev/sda1")
        .put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8")
        .put(
            "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages",
            "0",
        )
        .put(
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "performance",
        )
        .put(
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
            "powersave",
        );
    let memory = Memory {
        memfd: Err(io::ErrorKind::PermissionDenied.into()),
        shm: Some((64 << 20, 64 << 20)),
    };
    let checks = kernel::checks(&tree.host(), &memory);
    is(find_check(&checks, "kvm"), Level::Warn, "switch on VT-x");
    is(
        find_check(&checks, "memfd"),
        Level::Bad,
        "/dev/shm or on hugetlbfs",
    );
    is(
        find_check(&checks, "shm"),
        Level::Warn,
        "64 MiB free of 64 MiB",
    );
    is(
        find_check(&checks, "hugetlb"),
        Level::Warn,
        "all in use: 0 of 8",
    );
    is(
        find_check(&checks, "iommu"),
        Level::Warn,
        "though booted with intel_iommu=on",
    );
    is(find_check(&checks, "tun"), Level::Warn, "modprobe tun");
    is(
        find_check(&checks, "cpu-governor"),
        Level::Warn,
        "performance, powersave",
    );
    assert!(
        !checks.iter().any(|check| check.name == "smt"),
        "not known, not told"
    );
    let none = Memory {
        memfd: Ok(()),
        shm: None,
    };
    let checks = kernel::checks(&Tree::new().host(), &none);
    is(
        find_check(&checks, "hugetlb"),
        Level::Ok,
        "no huge pages reserved",
    );
    is(find_check(&checks, "shm"), Level::Warn, "no /dev/shm");
    is(
        find_check(&checks, "iommu"),
        Level::Warn,
        "no groups: soft PFs work",
    );
}

const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 HARD                 files     \n\
                      Max locked memory         8388608              8388608              bytes     \n";

#[test]
fn the_process_that_matters_is_looked_at() {
    let tree = Tree::new();
    tree.put("proc/17/limits", &LIMITS.replace("HARD", "1048576"))
        .put(
            "proc/17/status",
            "Name:\tmdevd\nCapEff:\t000001ffffffffff\n",
        )
        .put("proc/self/limits", &LIMITS.replace("HARD", "1024"))
        .put("proc/self/status", "CapEff:\t0000000000000000\n");
    let checks = process::checks(&tree.host(), Some(17));
    is(
        find_check(&checks, "open-files"),
        Level::Ok,
        "1048576 for the daemon: about 131072 devices",
    );
    is(find_check(&checks, "locked-memory"), Level::Ok, "8 MiB");
    is(
        find_check(&checks, "cap-net-admin"),
        Level::Ok,
        "the daemon has it",
    );
    let checks = process::checks(&tree.host(), None);
    is(
        find_check(&checks, "open-files"),
        Level::Warn,
        "1024 for this user: about 128 devices -> raise",
    );
    is(
        find_check(&checks, "cap-net-admin"),
        Level::Warn,
        "AmbientCapabilities",
    );
    tree.put("proc/self/limits", &LIMITS.replace("HARD", "unlimited"));
    let checks = process::checks(&tree.host(), None);
    is(find_check(&checks, "open-files"), Level::Ok, "no limit");
    let checks = process::checks(&tree.host(), Some(99));
    for check in &checks {
        is(check, Level::Warn, "cannot be read for the daemon");
    }
}

/// What is locked matters once there is a function whose DMA needs it.
#[test]
fn locked_memory_is_held_against_what_dma_needs() {
    let tree = Tree::new();
    let nic = "sys/bus/pci/devices/0000:03:00.0";
    tree.put(&format!("{nic}/vendor"), "0x8086")
        .put(&format!("{nic}/device"), "0x10c9")
        .put("proc/meminfo", "MemTotal:       16777216 kB\n")
        .put("proc/self/status", "CapEff:\t0000000000001000\n");
    std::os::unix::fs::symlink(
        "../../drivers/vfio-pci",
        tree.0.path().join(nic).join("driver"),
    )
    .expect("a link");
    let locked = |soft: &str| {
        let line = format!("Max locked memory         {soft}   unlimited   bytes\n");
        tree.put("proc/self/limits", &line);
        find_check(&process::checks(&tree.host(), None), "locked-memory").clone()
    };
    // The soft limit counts, not the hard one.
    is(
        &locked("8388608"),
        Level::Warn,
        "a device of an igb PF locks 6 MiB, so that there can be 1 -> LimitMEMLOCK=infinity",
    );
    is(
        &locked("1073741824"),
        Level::Warn,
        "enough for the 6 MiB of each device of an igb PF; less than this host's memory",
    );
    is(
        &locked("17179869184"),
        Level::Ok,
        "as much as this host has",
    );
    is(&locked("unlimited"), Level::Ok, "no limit");
    tree.put("proc/self/status", "CapEff:\t0000000000004000\n");
    is(&locked("8388608"), Level::Ok, "CAP_IPC_LOCK does not heed");
}

#[test]
fn directories_and_sockets() {
    let tree = Tree::new();
    let root = tree.0.path();
    tree.dir("run").dir("state").put("file", "");
    let socket = root.join("run/mdevd.sock");
    let checks = places::checks(&socket, Some(root.join("state")), None);
    is(
        find_check(&checks, "state-dir"),
        Level::Ok,
        "can be written",
    );
    is(find_check(&checks, "socket-paths"), Level::Ok, "up to 63");
    assert!(
        !checks.iter().any(|check| check.name == "control-socket"),
        "none there"
    );
    let checks = places::checks(&socket, Some(root.join("new/deep")), None);
    is(find_check(&checks, "state-dir"), Level::Ok, "can be made");
    let checks = places::checks(&socket, Some(root.join("file/state")), None);
    is(
        find_check(&checks, "state-dir"),
        Level::Bad,
        "--state-dir DIR",
    );
    let checks = places::checks(&socket, Some(root.join("file/state")), Some(1));
    is(
        find_check(&checks, "state-dir"),
        Level::Ok,
        "the daemon runs as another",
    );
    let deep = root.join("x".repeat(60)).join("mdevd.sock");
    let checks = places::checks(&deep, Some(root.join("state")), None);
    is(
        find_check(&checks, "socket-paths"),
        Level::Warn,
        "a shorter runtime directory",
    );

    let _listener = UnixListener::bind(&socket).expect("a socket");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        let checks = places::checks(&socket, Some(root.join("state")), None);
        find_check(&checks, "control-socket").clone()
    };
    mode(&root.join("run"), 0o755);
    is(&mode(&socket, 0o600), Level::Ok, "mode 0600");
    is(&mode(&socket, 0o666), Level::Warn, "chmod 0600");
    is(
        &mode(&root.join("run"), 0o777),
        Level::Bad,
        "others may replace it",
    );
    is(&mode(&root.join("run"), 0o1777), Level::Warn, "chmod 0600");
}

#[test]
fn versions_of_qemu() {
    assert_eq!(
        version("QEMU emulator version 11.1.3 (Debian 1:11.1)"),
        Some(Version(11, 1, 3))
    );
    assert_eq!(
        version("QEMU emulator version 10.1\n"),
        Some(Version(10, 1, 0))
    );
    assert_eq!(
        version("qemu-kvm version 10.0.50 (v10-rc1)"),
        Some(Version(10, 0, 50))
    );
    for no in ["", "version", "version x.y", "QEMU 9.0"] {
        assert_eq!(version(no), None, "{no}");
    }
    is(&faults(Version(10, 1, 0)), Level::Warn, "--interrupts intx");
    is(
        &faults(Version(12, 0, 0)),
        Level::Warn,
        "later than any that was tried (11.1.3)",
    );
}

#[test]
fn the_faults_are_those_of_the_guide() {
    let guide = include_str!("../../../../docs/operators-guide.md").replace(['*', '`'], "");
    for (fault, advice) in FAULTS {
        assert!(guide.contains(fault), "{fault}");
        assert!(guide.contains(advice), "{advice}");
    }
}

const HELP: &str =
    "echo 'name \"vfio-user-pci\", bus PCI, desc \"VFIO over socket PCI device assignment\"'";

fn says(version: &str, help: &str) -> String {
    format!("case \"$1\" in --version) echo 'QEMU emulator version {version}';; *) {help};; esac")
}

#[tokio::test]
async fn qemu_is_found_and_asked() {
    let tree = Tree::new();
    let host = tree.host();
    let arch = std::env::consts::ARCH;
    assert_eq!(find(&host, Some("/opt/bin:relative".into())), None);
    tree.program("usr/libexec/qemu-kvm", "");
    assert!(find(&host, None).is_some_and(|path| path.ends_with("usr/libexec/qemu-kvm")));
    let program = tree.program(
        &format!("opt/bin/qemu-system-{arch}"),
        &says("11.1.3", HELP),
    );
    assert_eq!(find(&host, Some("/opt/bin".into())), Some(program.clone()));

    let checks = qemu::checks(&host, Some(program)).await;
    is(
        find_check(&checks, "qemu"),
        Level::Ok,
        "version 11.1.3, has vfio-user-pci",
    );
    is(
        find_check(&checks, "qemu-faults"),
        Level::Warn,
        "aborts QEMU",
    );
    for (name, script, part) in [
        ("old", says("7.2.0", HELP), "has no vfio-user client"),
        (
            "lean",
            says("10.1.2", "echo 'name \"vfio-pci\"'"),
            "was built without vfio-user-pci",
        ),
        ("mute", "true".to_owned(), "does not say which version"),
        (
            "broken",
            "exit 3".to_owned(),
            "failed at '--version': exit status: 3",
        ),
        (
            "crash",
            says("11.0.0", "kill -SEGV $$"),
            "failed at '-device help': signal: 11",
        ),
    ] {
        let path = tree.program(name, &script);
        let checks = qemu::checks(&host, Some(path)).await;
        is(find_check(&checks, "qemu"), Level::Bad, part);
        assert_eq!(checks.len(), 1);
    }
    let missing = qemu::checks(&host, Some(tree.0.path().join("none"))).await;
    is(&missing[0], Level::Bad, "cannot be started");
}

#[tokio::test(start_paused = true)]
async fn a_qemu_that_hangs_is_given_up() {
    let tree = Tree::new();
    // Time is not spent but moved on while nothing else happens.
    let path = tree.program("hangs", "exec sleep 60");
    let checks = qemu::checks(&tree.host(), Some(path)).await;
    is(
        &checks[0],
        Level::Bad,
        "did not answer '--version' within 10 s",
    );
}

#[test]
fn the_report_is_readable_and_fits() {
    let checks = [
        Check::ok("memfd", "can be made"),
        Check::warn(
            "iommu",
            "no groups: soft PFs work, others would not",
            "switch it on \u{1b}[2J",
        ),
        Check::bad("qemu", "none", "install it"),
    ];
    let wide = text(Terminal::default(), &checks);
    assert!(
        wide.contains("ok    memfd           can be made\n"),
        "{wide}"
    );
    assert!(
        wide.contains("bad   qemu            none\n                      -> install it\n"),
        "{wide}"
    );
    assert!(wide.ends_with("3 checks: 1 bad, 1 to look at\n"), "{wide}");
    assert!(!wide.contains('\u{1b}'), "{wide:?}");
    let narrow = Terminal {
        width: Some(50),
        colour: false,
    };
    for line in text(narrow, &checks).lines() {
        assert!(line.chars().count() <= 50, "{line}");
    }
}
