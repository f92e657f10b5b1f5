use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::{TempDir, tempdir};

use super::super::Level;
use super::*;

const AT: &str = "0000:03:00.0";

/// Sysfs of a host, made up.
struct Sys(TempDir);

impl Sys {
    fn new() -> Self {
        Self(tempdir().expect("a directory"))
    }

    fn path(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        path
    }

    fn put(&self, path: &str, text: &str) -> &Self {
        fs::write(self.path(path), text).expect("written");
        self
    }

    fn function(
        &self,
        at: &str,
        id: (&str, &str),
        driver: Option<&str>,
        group: Option<u32>,
    ) -> &Self {
        let place = format!("sys/bus/pci/devices/{at}");
        self.put(&format!("{place}/vendor"), id.0)
            .put(&format!("{place}/device"), id.1);
        if let Some(driver) = driver {
            let link = self.path(&format!("{place}/driver"));
            symlink(format!("../../drivers/{driver}"), link).expect("a link");
            fs::create_dir_all(self.path(&format!("sys/bus/pci/drivers/{driver}/new_id")))
                .expect("made");
        }
        if let Some(group) = group {
            self.put(&format!("sys/kernel/iommu_groups/{group}/devices/{at}"), "");
            let link = self.path(&format!("{place}/iommu_group"));
            symlink(format!("../../../../kernel/iommu_groups/{group}"), link).expect("a link");
        }
        self
    }

    fn nic(&self, at: &str, driver: Option<&str>, group: Option<u32>) -> &Self {
        self.function(at, ("0x8086\n", "0x10c9\n"), driver, group)
    }

    fn devices(&self) -> &Self {
        self.put("dev/vfio/vfio", "").put("dev/vfio/12", "")
    }

    fn checks(&self) -> Vec<Check> {
        checks(&Host::new(self.0.path().to_owned()))
    }

    fn only(&self) -> (Level, String, String) {
        let mut checks = self.checks();
        assert_eq!(checks.len(), 1, "{checks:?}");
        let Check {
            level,
            found,
            advice,
            ..
        } = checks.remove(0);
        (level, found, advice.unwrap_or_default())
    }
}

#[test]
fn a_host_without_such_a_function_gets_one_line() {
    let sys = Sys::new();
    let expected = "none that a PF of kind vfio can be (igb: 8086:10c9; virtio-net: 1af4:1041); soft PFs need none";
    assert_eq!(sys.only(), (Level::Ok, expected.into(), String::new()));
    // Nor does one with functions of other kinds, whoever has them.
    sys.function("0000:00:00.0", ("0x8086", "0x29c0"), None, Some(0))
        .function(
            "0000:04:00.0",
            ("0x8086", "0x1521"),
            Some("vfio-pci"),
            Some(4),
        );
    assert_eq!(sys.only().1, expected);
    assert!(!any_bound(&Host::new(sys.0.path().to_owned())));
}

#[test]
fn a_function_that_is_ready_is_told_how_to_be_used() {
    let sys = Sys::new();
    sys.nic(AT, Some("vfio-pci"), Some(12)).devices();
    let expected = "0000:03:00.0 (igb, 8086:10c9): bound to vfio-pci, IOMMU group 12: ready for --pf vfio:0000:03:00.0";
    assert_eq!(sys.only(), (Level::Ok, expected.into(), String::new()));
    assert!(any_bound(&Host::new(sys.0.path().to_owned())));
    // The port beside it does no harm, and is none of the two that can be had.
    sys.nic("0000:03:00.1", Some("vfio-pci"), Some(12));
    let found: Vec<_> = sys
        .checks()
        .into_iter()
        .map(|check| (check.level, check.found))
        .collect();
    assert_eq!(found.len(), 2);
    for (level, found) in found {
        assert_eq!(level, Level::Ok);
        assert!(
            found.contains("in one group, of which one function can be a PF"),
            "{found}"
        );
    }
}

#[test]
fn who_drives_it_is_told_with_the_line_that_binds_it() {
    let sys = Sys::new();
    sys.nic(AT, Some("igb"), Some(12))
        .put(&format!("sys/bus/pci/devices/{AT}/net/ens3/mtu"), "1500");
    let (level, found, advice) = sys.only();
    assert_eq!(level, Level::Warn);
    assert_eq!(
        found,
        "0000:03:00.0 (igb, 8086:10c9): driven by the kernel's igb, IOMMU group 12; the host loses ens3 when it is bound \
         to vfio-pci"
    );
    assert_eq!(
        advice,
        "if it is to be a PF: modprobe vfio-pci && echo vfio-pci > /sys/bus/pci/devices/0000:03:00.0/driver_override && \
         echo 0000:03:00.0 > /sys/bus/pci/devices/0000:03:00.0/driver/unbind && echo 0000:03:00.0 > \
         /sys/bus/pci/drivers_probe (until the next boot; driverctl keeps it)"
    );
    assert!(!any_bound(&Host::new(sys.0.path().to_owned())));
    sys.put("usr/sbin/driverctl", "");
    let (_, _, advice) = sys.only();
    assert_eq!(
        advice,
        "if it is to be a PF: driverctl set-override 0000:03:00.0 vfio-pci"
    );
}

#[test]
fn nobodys_function_has_nothing_to_be_unbound_from() {
    let sys = Sys::new();
    sys.nic(AT, None, Some(12))
        .put("sys/bus/pci/drivers/vfio-pci/new_id", "");
    let (level, found, advice) = sys.only();
    assert_eq!(level, Level::Warn);
    assert!(
        found.ends_with("without a driver, IOMMU group 12"),
        "{found}"
    );
    assert!(
        advice.starts_with("if it is to be a PF: echo vfio-pci > ") && !advice.contains("unbind"),
        "{advice}"
    );
}

#[test]
fn without_an_iommu_that_comes_first() {
    let sys = Sys::new();
    sys.nic(AT, Some("igb"), None).put("usr/sbin/driverctl", "");
    let (level, found, advice) = sys.only();
    assert_eq!(level, Level::Warn);
    assert!(found.contains("no IOMMU group; no IOMMU is on"), "{found}");
    assert!(
        advice.starts_with("if it is to be a PF: switch on VT-d or AMD-Vi")
            && advice.ends_with("; then driverctl set-override 0000:03:00.0 vfio-pci"),
        "{advice}"
    );
    sys.put("sys/kernel/iommu_groups/0/type", "DMA");
    let (_, found, _) = sys.only();
    assert!(
        found.contains("the IOMMU that there is does not stand before it"),
        "{found}"
    );
}

#[test]
fn what_holds_its_group_back_is_named() {
    let sys = Sys::new();
    sys.nic(AT, Some("vfio-pci"), Some(12))
        .function(
            "0000:02:00.0",
            ("0x8086", "0x3420"),
            Some("pcieport"),
            Some(12),
        )
        .function("0000:03:00.1", ("0x8086", "0x10e8"), Some("igb"), Some(12))
        .put("usr/sbin/driverctl", "")
        .devices();
    let (level, found, advice) = sys.only();
    assert_eq!(level, Level::Warn);
    assert!(
        found
            .ends_with("group 12 is not free for VFIO: the kernel drives 0000:03:00.1 (igb) in it"),
        "{found}"
    );
    assert_eq!(
        advice,
        "if it is to be a PF: driverctl set-override 0000:03:00.1 vfio-pci, or put the card into a slot where it has a \
         group of its own"
    );
}

#[test]
fn many_companions_are_counted() {
    let sys = Sys::new();
    sys.nic(AT, Some("vfio-pci"), Some(12)).devices();
    for n in 1..6 {
        let id = ("0x8086", "0x10e8");
        sys.function(&format!("0000:04:00.{n}"), id, Some("nvme"), Some(12));
    }
    let (_, found, advice) = sys.only();
    assert!(found.ends_with("(nvme) and 2 more in it"), "{found}");
    assert!(advice.contains(" and so on, or put"), "{advice}");
}

#[test]
fn files_that_are_not_there_or_not_ours_are_told() {
    let sys = Sys::new();
    sys.nic(AT, Some("vfio-pci"), Some(12));
    let (level, found, advice) = sys.only();
    assert_eq!(level, Level::Warn);
    assert!(
        found.ends_with("there is no /dev/vfio/vfio; there is no /dev/vfio/12"),
        "{found}"
    );
    assert!(
        advice.contains("in a container, give it the device /dev/vfio/12"),
        "{advice}"
    );

    sys.devices();
    let host = Host::new(sys.0.path().to_owned());
    let known = known(&host).remove(0);
    let group = host.at("/dev/vfio/12");
    let refused = check(&host, &known, &|path| match path == group {
        true => Err(io::ErrorKind::PermissionDenied.into()),
        false => Ok(()),
    });
    let found = &refused.found;
    assert!(
        found.contains("/dev/vfio/12 may not be read and written by this user: permission denied"),
        "{found}"
    );
    let advice = refused.advice.unwrap_or_default();
    assert!(
        advice.contains("chown /dev/vfio/12 to its user"),
        "{advice}"
    );
}

#[test]
fn functions_of_its_own_are_switched_off_first() {
    let sys = Sys::new();
    sys.nic(AT, Some("vfio-pci"), Some(12))
        .put(&format!("sys/bus/pci/devices/{AT}/sriov_numvfs"), "2\n")
        .devices();
    let (_, found, advice) = sys.only();
    assert!(
        found.ends_with("it has 2 virtual functions of its own (SR-IOV)"),
        "{found}"
    );
    assert!(
        advice.ends_with("echo 0 > /sys/bus/pci/devices/0000:03:00.0/sriov_numvfs"),
        "{advice}"
    );
}
