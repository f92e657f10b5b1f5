//! A physical function of the machine: how QEMU is told of it, and where the machine's kernel has it.

use crate::vm::Vm;
use anyhow::{Context, Result, bail, ensure};

/// What kind of NIC a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Intel's 82576 as QEMU emulates it: 16 queue pairs, VMDq.
    Igb,
    /// QEMU's virtio-net behind the IOMMU, with a page for each doorbell, that can use buffers in order.
    Virtio,
}

impl Model {
    /// Name for messages and QEMU's ids.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Model::Igb => "igb",
            Model::Virtio => "virtio",
        }
    }

    /// PCI vendor and device, as sysfs writes them.
    #[must_use]
    pub fn ids(self) -> (&'static str, &'static str) {
        match self {
            Model::Igb => ("0x8086", "0x10c9"),
            Model::Virtio => ("0x1af4", "0x1041"),
        }
    }

    /// The driver that the kernel has for it by itself.
    #[must_use]
    pub fn stock_driver(self) -> &'static str {
        match self {
            Model::Igb => "igb",
            Model::Virtio => "virtio-pci",
        }
    }

    /// QEMU's `-device` value for a function with `pairs` queue pairs of the network back end.
    #[must_use]
    pub fn device(self, bus: &str, netdev: &str, mac: &str, pairs: u16) -> String {
        let place = format!("bus={bus},netdev={netdev},mac={mac},id={}", device_id(bus));
        match self {
            Model::Igb => format!("igb,{place}"),
            Model::Virtio => {
                // One vector for each queue, the control queue and the configuration.
                let vectors = 2 * pairs + 2;
                format!(
                    "virtio-net-pci,{place},disable-legacy=on,iommu_platform=on,ats=on,page-per-vq=on,\
                     in_order=on,mq=on,vectors={vectors}"
                )
            }
        }
    }
}

/// QEMU's name of the device on a bus of its own.
#[must_use]
pub fn device_id(bus: &str) -> String {
    format!("{bus}-nic")
}

/// A function as the machine's kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// What it is.
    pub model: Model,
    /// PCI address.
    pub address: String,
    /// IOMMU group.
    pub group: u32,
}

impl Function {
    /// Finds the only function of this model, by what sysfs says of all devices.
    ///
    /// # Errors
    /// If there is none, or more than one, or it is in no IOMMU group.
    pub fn find(vm: &Vm, model: Model) -> Result<Self> {
        let (vendor, device) = model.ids();
        let (name, ids) = (model.name(), format!("{vendor}:{device}"));
        let found = vm.run(&format!(
            "for d in /sys/bus/pci/devices/*; do \
             [ \"$(cat $d/vendor):$(cat $d/device)\" != {ids} ] || \
             echo $(basename $d) $(basename $(readlink $d/iommu_group || echo none)); done"
        ))?;
        let mut lines = found.lines();
        let line = lines
            .next()
            .with_context(|| format!("no PCI device {ids} ({name}) in the machine"))?;
        ensure!(lines.next().is_none(), "more than one {name}: {found}");
        let (address, group) = line.split_once(' ').context("address and group")?;
        let Ok(group) = group.parse() else {
            bail!("{name} at {address} is in no IOMMU group ({group}): is there an IOMMU in use?");
        };
        Ok(Function {
            model,
            address: address.to_owned(),
            group,
        })
    }

    /// Its directory in sysfs.
    #[must_use]
    pub fn sysfs(&self) -> String {
        format!("/sys/bus/pci/devices/{}", self.address)
    }

    /// The VFIO node of its group.
    #[must_use]
    pub fn node(&self) -> String {
        format!("/dev/vfio/{}", self.group)
    }

    /// PCI addresses of all devices in its group.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn group_members(&self, vm: &Vm) -> Result<Vec<String>> {
        let group = self.group;
        let list = vm.run(&format!("ls /sys/kernel/iommu_groups/{group}/devices"))?;
        Ok(list.split_whitespace().map(str::to_owned).collect())
    }

    /// Name of the network interface that the kernel's own driver makes of it, once it is there.
    ///
    /// # Errors
    /// If it does not appear.
    pub fn interface(&self, vm: &Vm) -> Result<String> {
        let dir = self.sysfs();
        // A virtio driver's interface is below the virtio device on the PCI function.
        vm.run(&format!(
            "n=0; until i=$(ls -d {dir}/net/* {dir}/virtio*/net/* 2>/dev/null); [ -n \"$i\" ]; do n=$((n+1)); \
             [ $n -lt 1000 ] || {{ echo 'no interface below {dir}' >&2; exit 1; }}; usleep 10000; done; \
             basename $i"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtio_function_has_a_vector_for_each_queue() {
        let device = Model::Virtio.device("p", "n", "02:00:00:00:00:01", 8);
        assert!(device.ends_with("mq=on,vectors=18"), "{device}");
        assert!(
            device.starts_with("virtio-net-pci,bus=p,netdev=n,mac=02:"),
            "{device}"
        );
    }
}
