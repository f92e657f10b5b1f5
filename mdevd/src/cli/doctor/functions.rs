//! PCI functions that can be PFs: who has them, and what keeps the daemon from them.

use std::io;
use std::path::Path;

use libcvf::pf::vfio::{Binding, HostFunction, HostTree};
use libcvf::pf::{igb, virtio};
use rustix::fs::Access;

use super::Check;
use super::host::Host;

/// Functions that drivers here know, by the driver's name.
const KNOWN: [(&str, &[(u16, u16)]); 2] = [("igb", &igb::IDS), ("virtio-net", &virtio::IDS)];
/// Where driverctl may be.
const DRIVERCTL: [&str; 3] = [
    "/usr/sbin/driverctl",
    "/usr/bin/driverctl",
    "/sbin/driverctl",
];
/// Names of a list before the rest is only counted.
const NAMED: usize = 3;

/// A function that a driver here knows.
struct Known {
    driver: &'static str,
    function: HostFunction,
}

fn tree(host: &Host) -> HostTree {
    HostTree::below(host.at("/"))
}

fn known(host: &Host) -> Vec<Known> {
    let tree = tree(host);
    let known = |address| {
        let function = tree.look(address).ok()?;
        let (driver, _) = KNOWN
            .into_iter()
            .find(|(_, ids)| ids.contains(&function.id))?;
        Some(Known { driver, function })
    };
    tree.functions().into_iter().filter_map(known).collect()
}

/// Whether one of them is meant to be a PF: bound to vfio-pci.
pub(super) fn any_bound(host: &Host) -> bool {
    let is_bound = |known: &Known| known.function.binding == Binding::Vfio;
    known(host).iter().any(is_bound)
}

/// One line for each such function; one that says so where there is none.
pub(super) fn checks(host: &Host) -> Vec<Check> {
    let found = known(host);
    if found.is_empty() {
        let ids = KNOWN.map(|(driver, ids)| {
            let ids = ids
                .iter()
                .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"));
            format!("{driver}: {}", ids.collect::<Vec<_>>().join(", "))
        });
        let text = format!(
            "none that a PF of kind vfio can be ({}); soft PFs need none",
            ids.join("; ")
        );
        return vec![Check::ok("pci-functions", text)];
    }
    let rights = |path: &Path| {
        rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).map_err(io::Error::from)
    };
    found
        .iter()
        .map(|known| check(host, known, &rights))
        .collect()
}

/// What is in the way of one, and what takes it away, in the order in which it is to be done.
#[derive(Default)]
struct Story {
    found: Vec<String>,
    advice: Vec<String>,
}

impl Story {
    fn add(&mut self, found: impl Into<String>, advice: impl Into<String>) {
        self.found.push(found.into());
        self.advice.push(advice.into());
    }
}

/// `rights` says whether who asks may read and write a file.
fn check(host: &Host, known: &Known, rights: &dyn Fn(&Path) -> io::Result<()>) -> Check {
    let Known { driver, function } = known;
    let at = function.address;
    let (vendor, device) = function.id;
    let group = function.group.map_or_else(
        || "no IOMMU group".to_owned(),
        |group| format!("IOMMU group {group}"),
    );
    let who = match &function.binding {
        Binding::None => "without a driver".to_owned(),
        Binding::Vfio => "bound to vfio-pci".to_owned(),
        Binding::Kernel(name) => format!("driven by the kernel's {name}"),
    };
    let mut story = Story::default();
    iommu(host, function, &mut story);
    binding(host, function, &mut story);
    companions(host, function, &mut story);
    if function.binding == Binding::Vfio {
        files(host, function, rights, &mut story);
    }
    let head = format!("{at} ({driver}, {vendor:04x}:{device:04x}): {who}, {group}");
    if story.advice.is_empty() {
        let alone = neighbours(function);
        return Check::ok(
            "pci-function",
            format!("{head}: ready for --pf vfio:{at}{alone}"),
        );
    }
    let found = std::iter::once(head)
        .chain(story.found)
        .filter(|part| !part.is_empty());
    Check::warn(
        "pci-function",
        found.collect::<Vec<_>>().join("; "),
        format!("if it is to be a PF: {}", story.advice.join("; then ")),
    )
}

fn iommu(host: &Host, function: &HostFunction, story: &mut Story) {
    if function.group.is_some() {
        return;
    }
    let others = !host.names("/sys/kernel/iommu_groups").is_empty();
    let found = if others {
        "the IOMMU that there is does not stand before it"
    } else {
        "no IOMMU is on"
    };
    story.add(
        found,
        "switch on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on on Intel (AMD needs no word)",
    );
}

fn binding(host: &Host, function: &HostFunction, story: &mut Story) {
    let at = function.address;
    let device = format!("/sys/bus/pci/devices/{at}");
    let virtuals = host.number(&format!("{device}/sriov_numvfs")).unwrap_or(0);
    if virtuals > 0 {
        story.add(
            format!("it has {virtuals} virtual functions of its own (SR-IOV)"),
            format!("echo 0 > {device}/sriov_numvfs"),
        );
    }
    let is_bound = match function.binding {
        Binding::Vfio => return,
        Binding::Kernel(_) => true,
        Binding::None => false,
    };
    let interfaces = host.names(&format!("{device}/net"));
    let found = match interfaces.is_empty() {
        true => String::new(),
        false => format!(
            "the host loses {} when it is bound to vfio-pci",
            interfaces.join(", ")
        ),
    };
    story.add(found, bind(host, &at.to_string(), is_bound));
}

/// The line that binds a function to vfio-pci.
fn bind(host: &Host, at: &str, is_bound: bool) -> String {
    if DRIVERCTL.iter().any(|path| host.at(path).exists()) {
        return format!("driverctl set-override {at} vfio-pci");
    }
    let device = format!("/sys/bus/pci/devices/{at}");
    let load = match host.at("/sys/bus/pci/drivers/vfio-pci").exists() {
        true => "",
        false => "modprobe vfio-pci && ",
    };
    let unbind = match is_bound {
        true => format!("echo {at} > {device}/driver/unbind && "),
        false => String::new(),
    };
    format!(
        "{load}echo vfio-pci > {device}/driver_override && {unbind}echo {at} > /sys/bus/pci/drivers_probe (until the next \
         boot; driverctl keeps it)"
    )
}

fn companions(host: &Host, function: &HostFunction, story: &mut Story) {
    let holders = tree(host).holders(function);
    let Some(group) = function.group.filter(|_| !holders.is_empty()) else {
        return;
    };
    let shown = holders.iter().take(NAMED);
    let names: Vec<_> = shown
        .clone()
        .map(|(at, driver)| format!("{at} ({driver})"))
        .collect();
    let more = match holders.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let lines: Vec<_> = shown
        .map(|(at, _)| bind(host, &at.to_string(), true))
        .collect();
    story.add(
        format!(
            "group {group} is not free for VFIO: the kernel drives {}{more} in it",
            names.join(", ")
        ),
        format!(
            "{}{}, or put the card into a slot where it has a group of its own",
            lines.join("; then "),
            if more.is_empty() { "" } else { " and so on" }
        ),
    );
}

fn files(
    host: &Host,
    function: &HostFunction,
    rights: &dyn Fn(&Path) -> io::Result<()>,
    story: &mut Story,
) {
    let Some(group) = function.group else {
        return;
    };
    for path in ["/dev/vfio/vfio".to_owned(), format!("/dev/vfio/{group}")] {
        match rights(&host.at(&path)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => story.add(
                format!("there is no {path}"),
                format!("modprobe vfio-pci; in a container, give it the device {path}"),
            ),
            Err(error) => story.add(
                format!("{path} may not be read and written by this user: {error}"),
                format!("run mdevd as root, or chown {path} to its user (a rule of udev keeps it)"),
            ),
        }
    }
}

/// What else in its group could have been a PF.
fn neighbours(function: &HostFunction) -> String {
    let others: Vec<_> = function
        .companions
        .iter()
        .map(ToString::to_string)
        .collect();
    match others.is_empty() {
        true => String::new(),
        false => format!(
            "; with {} in one group, of which one function can be a PF",
            others.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests;
