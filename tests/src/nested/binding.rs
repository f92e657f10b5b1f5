//! Handing a function from the kernel's own driver to vfio-pci, and back.

use super::function::Function;
use crate::vm::Vm;
use anyhow::{Context, Result, bail};

/// A virtual function in the hands of vfio-pci.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// PCI address.
    pub address: String,
    /// IOMMU group.
    pub group: u32,
}

impl Function {
    /// The driver that has it now, if one has.
    ///
    /// # Errors
    /// If the machine cannot be asked.
    pub fn driver(&self, vm: &Vm) -> Result<Option<String>> {
        let dir = self.sysfs();
        let name = vm.run(&format!(
            "[ ! -e {dir}/driver ] || basename $(readlink {dir}/driver)"
        ))?;
        Ok((!name.is_empty()).then_some(name))
    }

    /// Gives it to vfio-pci and waits for the node of its group.
    ///
    /// # Errors
    /// If the kernel does not do it; what was written where is in the message.
    pub fn bind_vfio(&self, vm: &Vm) -> Result<()> {
        let node = self.node();
        self.bind(vm, "vfio-pci", "vfio-pci", &format!("[ -c {node} ]"))
            .with_context(|| format!("make {node} appear"))
    }

    /// Gives it back to the kernel's own driver; the name of its interface.
    ///
    /// # Errors
    /// If the kernel does not take it.
    pub fn bind_stock(&self, vm: &Vm) -> Result<String> {
        let driver = self.model.stock_driver();
        // An empty line takes the override away.
        self.bind(vm, "", driver, "true")?;
        self.interface(vm)
    }

    /// Takes it away from vfio-pci, whoever uses it, as an operator does: the kernel waits until its user lets go.
    ///
    /// # Errors
    /// If that does not happen.
    pub fn unbind_vfio(&self, vm: &Vm) -> Result<()> {
        let address = &self.address;
        vm.run(&format!(
            "echo {address} > /sys/bus/pci/drivers/vfio-pci/unbind"
        ))
        .map(drop)
        .with_context(|| format!("unbind {} at {address} from vfio-pci", self.model.name()))
    }

    /// Takes its virtual functions away, whoever uses them: the kernel waits until they are let go.
    ///
    /// # Errors
    /// If that does not happen.
    pub fn disable_virtuals(&self, vm: &Vm) -> Result<()> {
        let dir = self.sysfs();
        vm.run(&format!("echo 0 > {dir}/sriov_numvfs"))
            .map(drop)
            .with_context(|| format!("take the virtual functions of {} away", self.address))
    }

    /// Has it show virtual functions, in the order of their numbers. It must be bound to vfio-pci, and so are they then.
    ///
    /// # Errors
    /// If the kernel does not do it.
    pub fn enable_virtuals(&self, vm: &Vm, count: u16) -> Result<Vec<Virtual>> {
        let dir = self.sysfs();
        let last = count.saturating_sub(1);
        let found = vm
            .run(&format!(
                "echo Y > /sys/module/vfio_pci/parameters/enable_sriov && echo {count} > {dir}/sriov_numvfs && \
                 for n in $(seq 0 {last}); do v=$(readlink -f {dir}/virtfn$n); \
                 echo $(basename $v) $(basename $(readlink $v/iommu_group)) $(basename $(readlink $v/driver)); done"
            ))
            .with_context(|| format!("have {} show {count} virtual functions", self.address))?;
        let one = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [address, group, "vfio-pci"] = words[..] else {
                bail!("a virtual function without address, group or driver: {line:?}");
            };
            Ok(Virtual {
                address: address.to_owned(),
                group: group.parse().context("the number of a group")?,
            })
        };
        found.lines().map(one).collect()
    }

    fn bind(&self, vm: &Vm, wanted: &str, driver: &str, there: &str) -> Result<()> {
        let (dir, address) = (self.sysfs(), &self.address);
        vm.run(&format!(
            "say() {{ echo \"$1: $2\" >&2; exit 1; }}\n\
             [ ! -e {dir}/driver ] || echo {address} > {dir}/driver/unbind || say unbind {dir}/driver\n\
             echo '{wanted}' > {dir}/driver_override || say \"write '{wanted}'\" {dir}/driver_override\n\
             echo {address} > /sys/bus/pci/drivers_probe || say 'write {address}' /sys/bus/pci/drivers_probe\n\
             n=0; until [ \"$(basename \"$(readlink {dir}/driver)\")\" = {driver} ] && {there}; do \
             n=$((n+1)); [ $n -lt 500 ] || say 'driver in the end' \"$(readlink {dir}/driver)\"; \
             usleep 10000; done"
        ))
        .map(drop)
        .with_context(|| {
            let name = self.model.name();
            format!("bind {name} at {address} (group {}) to {driver}", self.group)
        })
    }
}
