use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::{Binding, HostTree};
use crate::pf::vfio::PciAddress;

fn address(text: &str) -> PciAddress {
    text.parse().expect("an address")
}

/// A function in a tree like sysfs: driver, group with its members.
fn function(root: &Path, at: &str, driver: Option<&str>, group: Option<(u32, &[&str])>) {
    let place = root.join("sys/bus/pci/devices").join(at);
    fs::create_dir_all(&place).expect("a folder");
    fs::write(place.join("vendor"), "0x8086\n").expect("a file");
    fs::write(place.join("device"), "0x10c9\n").expect("a file");
    fs::write(place.join("numa_node"), "-1\n").expect("a file");
    if let Some(driver) = driver {
        symlink(
            format!("../../../bus/pci/drivers/{driver}"),
            place.join("driver"),
        )
        .expect("a link");
    }
    if let Some((number, members)) = group {
        let group = root.join(format!("sys/kernel/iommu_groups/{number}"));
        fs::create_dir_all(group.join("devices")).expect("a folder");
        for member in members {
            let _ = fs::write(group.join("devices").join(member), "");
        }
        symlink(&group, place.join("iommu_group")).expect("a link");
    }
}

#[test]
fn a_bound_function_is_seen_with_its_group() {
    let root = TempDir::new().expect("a folder");
    let members = ["0000:03:00.0", "0000:03:00.1"];
    function(
        root.path(),
        members[0],
        Some("vfio-pci"),
        Some((7, &members)),
    );
    let tree = HostTree::below(root.path());
    let seen = tree.look(address(members[0])).expect("a function");
    assert_eq!(seen.id, (0x8086, 0x10c9));
    assert_eq!(seen.binding, Binding::Vfio);
    assert_eq!((seen.group, seen.node), (Some(7), None));
    assert_eq!(seen.companions, [address(members[1])]);
    assert!(tree.group(7).ends_with("dev/vfio/7"));
}

#[test]
fn other_drivers_and_no_iommu_are_told_apart() {
    let root = TempDir::new().expect("a folder");
    function(root.path(), "0000:03:00.0", Some("igb"), None);
    function(root.path(), "0000:04:00.0", None, None);
    let tree = HostTree::below(root.path());
    let seen = tree.look(address("0000:03:00.0")).expect("a function");
    assert_eq!(seen.binding, Binding::Kernel("igb".into()));
    assert_eq!(seen.group, None);
    let seen = tree.look(address("0000:04:00.0")).expect("a function");
    assert_eq!(seen.binding, Binding::None);
    let error = tree.look(address("0000:05:00.0")).expect_err("no function");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn functions_are_listed_in_order_and_holders_of_a_group_named() {
    let root = TempDir::new().expect("a folder");
    assert_eq!(HostTree::below(root.path()).functions(), []);
    let members = [
        "0000:02:00.0",
        "0000:03:00.0",
        "0000:03:00.1",
        "0000:03:00.2",
    ];
    let drivers = [Some("pcieport"), Some("vfio-pci"), Some("igb"), None];
    for (at, driver) in members.into_iter().zip(drivers).rev() {
        function(root.path(), at, driver, Some((7, &members)));
    }
    fs::create_dir_all(root.path().join("sys/bus/pci/devices/strange")).expect("a folder");
    let tree = HostTree::below(root.path());
    assert_eq!(tree.functions(), members.map(address));
    let seen = tree.look(address(members[1])).expect("a function");
    // A bridge's driver does no harm, nor does nobody.
    let holders = [(address(members[2]), "igb".to_owned())];
    assert_eq!(tree.holders(&seen), holders);
}

#[test]
fn virtual_functions_are_told_in_the_order_of_their_numbers() {
    let root = TempDir::new().expect("a folder");
    let physical = "0000:03:00.0";
    function(root.path(), physical, Some("vfio-pci"), None);
    let tree = HostTree::below(root.path());
    assert_eq!(tree.virtuals(address(physical)), []);
    let virtuals = ["0000:03:10.0", "0000:03:10.2", "0000:03:11.0"];
    for (number, at) in virtuals.iter().enumerate().rev() {
        let place = root.path().join("sys/bus/pci/devices").join(physical);
        symlink(format!("../{at}"), place.join(format!("virtfn{number}"))).expect("a link");
    }
    assert_eq!(tree.virtuals(address(physical)), virtuals.map(address));
}
