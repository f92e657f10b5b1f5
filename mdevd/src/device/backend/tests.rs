//! What the operator reads where a PCI function cannot be a PF.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::{TempDir, tempdir};

use super::*;

/// A host with one function.
fn host(device: &str, driver: Option<&str>, group: Option<u32>) -> TempDir {
    let root = tempdir().expect("a directory");
    let place = root.path().join("sys/bus/pci/devices/0000:03:00.0");
    fs::create_dir_all(&place).expect("made");
    fs::write(place.join("vendor"), "0x8086\n").expect("written");
    fs::write(place.join("device"), device).expect("written");
    if let Some(driver) = driver {
        symlink(format!("../../drivers/{driver}"), place.join("driver")).expect("a link");
    }
    if let Some(group) = group {
        let of = root.path().join(format!("sys/kernel/iommu_groups/{group}"));
        fs::create_dir_all(of.join("devices/0000:03:00.0")).expect("made");
        symlink(of, place.join("iommu_group")).expect("a link");
    }
    root
}

fn refusal(root: &TempDir, pf: &str) -> String {
    let config = PfConfig::parse(pf).expect("a PF");
    let error = open(&config, &HostTree::below(root.path())).err();
    let told = BackendError::from(error.expect("refused")).to_string();
    assert!(!told.contains('\n'), "one line: {told}");
    told
}

const PF: &str = "vfio:0000:03:00.0,name=nic0";

#[test]
fn a_function_that_cannot_be_had_is_told_with_what_to_do() {
    let cases = [
        (
            host("0x10c9", Some("igb"), Some(12)),
            "cannot be opened: the kernel's driver igb has it; bind it to vfio-pci first (`driverctl set-override \
             0000:03:00.0 vfio-pci`; `cvfctl doctor` has the way without driverctl)",
        ),
        (
            host("0x10c9", None, Some(12)),
            "cannot be opened: no driver has it; bind it to vfio-pci first (`driverctl set-override 0000:03:00.0 \
             vfio-pci`; `cvfctl doctor` has the way without driverctl)",
        ),
        (
            host("0x10c9", Some("vfio-pci"), None),
            "cannot be opened: it is in no IOMMU group, and without an IOMMU its DMA could reach all of the host's \
             memory; switch on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on on Intel",
        ),
        (
            host("0x1521", Some("vfio-pci"), Some(12)),
            "it is 8086:1521, and the driver igb knows 8086:10c9; give the address of such a function (`lspci -Dnn`)",
        ),
    ];
    for (root, why) in cases {
        let told = refusal(&root, PF);
        let start = "cannot start a PF: PF nic0: PCI function 0000:03:00.0";
        assert!(told.starts_with(start) && told.ends_with(why), "{told}");
    }
}

#[test]
fn a_function_that_is_not_there_is_told_with_where_to_look() {
    let root = host("0x10c9", Some("vfio-pci"), Some(12));
    assert_eq!(
        refusal(&root, "vfio:0000:04:00.0,name=nic0"),
        "cannot start a PF: PF nic0: there is no PCI function 0000:04:00.0 on this host; give another address (`lspci -D` \
         lists them)"
    );
}

#[test]
fn a_group_whose_file_cannot_be_opened_is_told_with_the_file() {
    let root = host("0x10c9", Some("vfio-pci"), Some(12));
    let told = refusal(&root, PF);
    assert!(
        told.contains("dev/vfio/12: No such file or directory"),
        "{told}"
    );
    assert!(told.contains("`modprobe vfio-pci` makes them"), "{told}");
    // What is there is no group.
    let dir = root.path().join("dev/vfio");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("12"), "").expect("written");
    let told = refusal(&root, PF);
    assert!(told.contains("asking its group: ENOTTY"), "{told}");
}

/// A function that no driver knows is not reset, nor opened at all: whose it is, who knows.
#[test]
fn what_it_is_comes_before_who_has_it() {
    let root = host("0x1521", Some("nvme"), None);
    assert!(refusal(&root, PF).contains("the driver igb knows"));
}
