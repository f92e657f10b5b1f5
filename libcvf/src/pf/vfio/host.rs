//! What the host's kernel says of a PCI function, before anybody opens it.

use std::io;
use std::path::{Path, PathBuf};

use super::address::PciAddress;

/// Where sysfs and devices are; another root for tests.
#[derive(Clone, Debug)]
pub struct HostTree(PathBuf);

impl Default for HostTree {
    fn default() -> Self {
        Self("/".into())
    }
}

/// Drivers of the kernel's that leave DMA of their function to whoever has its group: those of bridges, and the one
/// that does nothing.
const HARMLESS: [&str; 2] = ["pcieport", "pci-stub"];

/// Who drives a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nobody.
    None,
    /// VFIO, so that a program can.
    Vfio,
    /// A driver of the kernel's, of this name.
    Kernel(String),
}

/// A PCI function as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFunction {
    /// Where it is.
    pub address: PciAddress,
    /// Vendor and device identifier.
    pub id: (u16, u16),
    /// Who drives it.
    pub binding: Binding,
    /// Number of its IOMMU group; `None`: there is no IOMMU for it.
    pub group: Option<u32>,
    /// The other functions of its group.
    pub companions: Vec<PciAddress>,
    /// NUMA node, where it has one.
    pub node: Option<u32>,
}

impl HostTree {
    /// A tree below another root.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Path of VFIO's own device.
    pub fn vfio(&self) -> PathBuf {
        self.0.join("dev/vfio/vfio")
    }

    /// Path of a group's device.
    pub fn group(&self, number: u32) -> PathBuf {
        self.0.join("dev/vfio").join(number.to_string())
    }

    /// Every function there is, in order; none where there is no PCI.
    pub fn functions(&self) -> Vec<PciAddress> {
        let entries = std::fs::read_dir(self.0.join("sys/bus/pci/devices")).into_iter();
        let name = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        let mut found: Vec<PciAddress> = entries.flatten().flatten().filter_map(name).collect();
        found.sort_unstable();
        found
    }

    /// Functions of the same group that drivers of the kernel's have, which keeps VFIO from all of it.
    pub fn holders(&self, function: &HostFunction) -> Vec<(PciAddress, String)> {
        let companions = function.companions.iter();
        let held = |at: &PciAddress| match self.look(*at).ok()?.binding {
            Binding::Kernel(name) if !HARMLESS.contains(&name.as_str()) => Some((*at, name)),
            _ => None,
        };
        companions.filter_map(held).collect()
    }

    /// The virtual functions that a function shows, in the order of their numbers.
    pub fn virtuals(&self, address: PciAddress) -> Vec<PciAddress> {
        let place = self.place(address);
        let link = |number: u16| {
            let name = target(&place.join(format!("virtfn{number}"))).ok()??;
            name.parse().ok()
        };
        (0..).map_while(link).collect()
    }

    /// A UUID that nobody else knows.
    ///
    /// # Errors
    /// The kernel does not give one.
    pub fn uuid(&self) -> io::Result<String> {
        let text = std::fs::read_to_string(self.0.join("proc/sys/kernel/random/uuid"))?;
        Ok(text.trim().to_owned())
    }

    fn place(&self, address: PciAddress) -> PathBuf {
        self.0.join("sys/bus/pci/devices").join(address.to_string())
    }

    /// Looks at a function.
    ///
    /// # Errors
    /// There is none, or its files cannot be read.
    pub fn look(&self, address: PciAddress) -> io::Result<HostFunction> {
        let place = self.place(address);
        let id = |name: &str| hexadecimal(&place.join(name));
        let id = (id("vendor")?, id("device")?);
        let binding = match target(&place.join("driver"))? {
            None => Binding::None,
            Some(name) if name == "vfio-pci" => Binding::Vfio,
            Some(name) => Binding::Kernel(name),
        };
        let group = target(&place.join("iommu_group"))?.and_then(|name| name.parse().ok());
        let mut companions = Vec::new();
        if group.is_some() {
            for entry in std::fs::read_dir(place.join("iommu_group/devices"))? {
                let name = entry?.file_name();
                let other: Option<PciAddress> = name.to_str().and_then(|name| name.parse().ok());
                companions.extend(other.filter(|other| *other != address));
            }
            companions.sort_unstable();
        }
        let node = std::fs::read_to_string(place.join("numa_node")).ok();
        Ok(HostFunction {
            address,
            id,
            binding,
            group,
            companions,
            node: node.and_then(|text| text.trim().parse().ok()),
        })
    }
}

/// A sixteen-bit number as sysfs writes it.
fn hexadecimal(path: &Path) -> io::Result<u16> {
    let text = std::fs::read_to_string(path)?;
    let digits = text.trim().trim_start_matches("0x");
    u16::from_str_radix(digits, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Last part of what a link points to; `None` where there is no link.
fn target(link: &Path) -> io::Result<Option<String>> {
    match std::fs::read_link(link) {
        Ok(path) => Ok(path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
