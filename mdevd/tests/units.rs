//! The systemd units, judged by systemd.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Said, tools};

/// Exposure that the service must not exceed, in tenths (`systemd-analyze security`).
const EXPOSURE: &str = "30";

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/systemd")
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(units().join(name)).expect("a unit")
}

/// Both units in a directory of their own, with the programs where they are here.
fn installed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["mdevd-cvf.service", "mdevd-cvf.socket"] {
        let text = unit(name)
            .replace("/usr/bin/mdevd", env!("CARGO_BIN_EXE_mdevd"))
            .replace("/usr/bin/cvfctl", env!("CARGO_BIN_EXE_cvfctl"));
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    dir
}

fn analyze(args: &[&str], dir: &Path) -> Option<Said> {
    let program = tools::program("systemd-analyze", "systemd")?;
    let mut command = Command::new(program);
    command.args(args).arg("--no-pager").current_dir(dir);
    Some(Said::of(command.output().expect("it runs")))
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let dir = installed();
    let units = ["mdevd-cvf.service", "mdevd-cvf.socket"]
        .map(|name| dir.path().join(name).display().to_string());
    let args = [
        "verify",
        "--man=no",
        "--recursive-errors=no",
        &units[0],
        &units[1],
    ];
    let Some(said) = analyze(&args, dir.path()) else {
        return;
    };
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    // And it would have said so.
    let broken = unit("mdevd-cvf.service").replace("NoNewPrivileges=yes", "NoNewPrivilege=yes");
    std::fs::write(dir.path().join("mdevd-cvf.service"), broken).expect("written");
    let said = analyze(&args, dir.path()).expect("as before");
    assert!(said.err.contains("NoNewPrivilege"), "{said:?}");
}

/// The drop-in for PFs that are PCI functions: systemd takes it, and exposes the service no more than it may be.
#[test]
fn the_unit_with_pci_functions_is_as_good() {
    let dir = installed();
    let place = dir.path().join("mdevd-cvf.service.d");
    std::fs::create_dir(&place).expect("made");
    let drop_in = place.join("vfio.conf");
    std::fs::write(&drop_in, unit("vfio.conf")).expect("written");
    let path = dir.path().join("mdevd-cvf.service").display().to_string();
    let verify = ["verify", "--man=no", "--recursive-errors=no", &path];
    let Some(said) = analyze(&verify, dir.path()) else {
        return;
    };
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let threshold = format!("--threshold={EXPOSURE}");
    let args = ["security", "--offline=yes", &threshold, &path];
    assert_eq!(analyze(&args, dir.path()).expect("as before").code, 0);
    // And it is read.
    let broken = unit("vfio.conf").replace("LimitMEMLOCK=", "LimitMEMLOK=");
    std::fs::write(drop_in, broken).expect("written");
    let said = analyze(&verify, dir.path()).expect("as before");
    assert!(said.err.contains("LimitMEMLOK"), "{said:?}");
}

#[test]
fn the_service_is_exposed_no_more_than_it_must_be() {
    let dir = installed();
    let path = dir.path().join("mdevd-cvf.service").display().to_string();
    let args = [
        "security",
        "--offline=yes",
        &format!("--threshold={EXPOSURE}"),
        &path,
    ];
    let Some(said) = analyze(&args, dir.path()) else {
        return;
    };
    assert_eq!(said.code, 0, "{said:?}");
    let bare = unit("mdevd-cvf.service")
        .replace("ProtectSystem=strict", "")
        .replace("SystemCallFilter=", "#");
    std::fs::write(dir.path().join("mdevd-cvf.service"), bare).expect("written");
    assert_ne!(
        analyze(&args, dir.path()).expect("as before").code,
        0,
        "the threshold counts"
    );
}

/// Every setting that restricts the service, and every one that makes it behave otherwise than others do, is explained.
#[test]
fn the_readme_explains_what_is_set() {
    let readme = unit("README.md");
    for line in unit("mdevd-cvf.service")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let Some((key, _)) = line.split_once('=') else {
            continue;
        };
        let usual = [
            "Description",
            "Documentation",
            "After",
            "ExecStart",
            "WantedBy",
            "Also",
            "NotifyAccess",
            "UMask",
        ];
        let directories = [
            "StateDirectory",
            "RuntimeDirectory",
            "ConfigurationDirectory",
            "TimeoutStop",
            "RestartSec",
        ];
        let family = key.starts_with("Protect") && readme.contains("`Protect*=yes`");
        let silent =
            usual.contains(&key) || directories.iter().any(|name| key.starts_with(name)) || family;
        let others = [
            "Sockets",
            "TasksMax",
            "AmbientCapabilities",
            "SystemCallArchitectures",
            "SystemCallErrorNumber",
        ];
        assert!(
            silent || others.contains(&key) || readme.contains(&format!("{key}=")),
            "{key} is not explained in data/systemd/README.md"
        );
    }
}

/// What a host without PCI functions does not need is in the drop-in only, and each of its lines is explained.
#[test]
fn what_pci_functions_need_is_apart_and_explained() {
    let (service, readme) = (unit("mdevd-cvf.service"), unit("README.md"));
    let drop_in = unit("vfio.conf");
    let mut settings = 0;
    for line in drop_in.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, _)) = line.split_once('=') else {
            continue;
        };
        settings += 1;
        assert!(!service.contains(line), "{line}");
        let known = format!("`{line}`");
        assert!(readme.contains(&known) || key == "After", "{line}");
    }
    assert_eq!(settings, 5);
    assert!(!service.contains("vfio") && !service.contains("LimitMEMLOCK"));
    let each = libcvf::pf::igb::PINNED >> 20;
    assert!(readme.contains(&format!("an igb PF locks {each} MiB")));
}

#[test]
fn units_and_daemon_agree() {
    let (service, socket) = (unit("mdevd-cvf.service"), unit("mdevd-cvf.socket"));
    let name = format!("FileDescriptorName={}", mdevd::service::CONTROL);
    assert!(socket.lines().any(|line| line == name));
    let path = format!("ListenStream=/run/mdevd/{}", mdevd::config::BUS_SOCKET);
    assert!(socket.lines().any(|line| line == path));
    let files = mdevd::limits::FILES_PER_DEVICE * mdevd::limits::MAX_DEVICES as u64;
    let limit = service
        .lines()
        .find_map(|line| line.strip_prefix("LimitNOFILE="))
        .expect("a limit");
    assert!(
        limit.parse::<u64>().expect("a number") >= files,
        "{files} files for all devices"
    );
    // The number of this boot and the kernel's word about links are not hidden from it.
    assert!(!service.contains("ProcSubset="));
    assert!(service.lines().any(|line| line.starts_with("RestrictAddressFamilies=") && line.contains("AF_NETLINK")));
    // What a reload in the unit calls is a command.
    assert!(support::cvfctl(Path::new("/nonexistent"), &["help", "reload"]).code == 0);
}
