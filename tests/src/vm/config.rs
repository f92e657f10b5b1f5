//! What a virtual machine shall be, and the command line that says so to QEMU.

use crate::limits;
use lab_guest::wire::PORT_NAME;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

/// How guest code is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Emulated: works everywhere.
    Tcg,
    /// On the processor.
    Kvm,
}

/// What backs the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A memfd that other processes can share: what vfio-user devices need.
    Shared,
    /// A shared memfd on huge pages of the default size.
    Huge,
    /// A memfd mapped privately: it is announced to devices, but what they see is not the guest's.
    PrivateMemfd,
    /// Anonymous memory, never shared with anybody.
    Anonymous,
}

/// Which of the lab's kernels a guest boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKernel {
    /// The newest that there is a package of.
    Newest,
    /// That of the stable release.
    Stable,
}

/// A virtual machine's description.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// Host name of the guest, and name of its files in the run directory.
    pub name: String,
    /// What it boots.
    pub kernel: GuestKernel,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// What backs the memory.
    pub memory: Memory,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Values of `-device`, in order.
    pub devices: Vec<String>,
    /// Empty PCIe root ports `hot0`, `hot1`, ... for hot-plugging.
    pub hotplug_ports: u32,
    /// Puts the guest behind a virtual IOMMU.
    pub iommu: bool,
    /// Added to the kernel's command line.
    pub kernel_words: String,
    /// Added to QEMU's command line.
    pub more: Vec<String>,
    /// A shell on the terminal instead of a console log.
    pub interactive: bool,
    /// From start to the agent's greeting.
    pub boot_limit: Duration,
}

impl VmConfig {
    /// A machine with the newest kernel, shared memory, two CPUs and no device.
    #[must_use]
    pub fn new(name: &str) -> Self {
        VmConfig {
            name: name.to_owned(),
            kernel: GuestKernel::Newest,
            memory_mib: 320,
            memory: Memory::Shared,
            cpus: 2,
            devices: Vec::new(),
            hotplug_ports: 0,
            iommu: false,
            kernel_words: String::new(),
            more: Vec::new(),
            interactive: false,
            boot_limit: limits::BOOT,
        }
    }

    /// Adds a device, given as the value of `-device`.
    #[must_use]
    pub fn device(mut self, value: impl Into<String>) -> Self {
        self.devices.push(value.into());
        self
    }

    /// Adds QEMU's own network device with this hardware address, joined by `socket` to another machine's:
    /// one of the two `listens`.
    #[must_use]
    pub fn own_nic(mut self, socket: &Path, listens: bool, mac: &str) -> Self {
        let server = if listens {
            "on"
        } else {
            "off,reconnect-ms=100"
        };
        let socket = socket.display();
        self.more.extend([
            "-netdev".into(),
            format!("stream,id=n0,server={server},addr.type=unix,addr.path={socket}"),
        ]);
        self.device(format!(
            "virtio-net-pci,netdev=n0,disable-legacy=on,mac={mac}"
        ))
    }

    /// Sets the kernel.
    #[must_use]
    pub fn kernel(mut self, kernel: GuestKernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// Sets the number of CPUs.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Sets what backs the memory.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Sets the number of free root ports.
    #[must_use]
    pub fn hotplug_ports(mut self, ports: u32) -> Self {
        self.hotplug_ports = ports;
        self
    }

    /// QEMU's arguments. `qmp` and `agent` are connected sockets that QEMU inherits.
    #[must_use]
    pub fn arguments(
        &self,
        accel: Accel,
        kernel: &Path,
        image: &Path,
        console: &Path,
        qmp: RawFd,
        agent: RawFd,
    ) -> Vec<String> {
        let mut args: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| args.extend(words.iter().map(|w| (*w).to_owned()));
        let size = format!("{}M", self.memory_mib);
        let (backend, machine_memory) = match self.memory {
            Memory::Anonymous => (None, ""),
            Memory::Shared => (Some("share=on"), ",memory-backend=m"),
            Memory::Huge => (Some("share=on,hugetlb=on"), ",memory-backend=m"),
            Memory::PrivateMemfd => (Some("share=off"), ",memory-backend=m"),
        };
        let split = if self.iommu {
            ",kernel-irqchip=split"
        } else {
            ""
        };
        let machine = format!("q35,usb=off,vmport=off{machine_memory}{split}");
        add(&[
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-m",
            &size,
        ]);
        match accel {
            Accel::Tcg => add(&["-accel", "tcg,thread=multi", "-cpu", "max"]),
            Accel::Kvm => add(&["-accel", "kvm", "-cpu", "host"]),
        }
        if let Some(options) = backend {
            add(&[
                "-object",
                &format!("memory-backend-memfd,id=m,size={size},{options}"),
            ]);
        }
        add(&[
            "-machine",
            &machine,
            "-smp",
            &self.cpus.to_string(),
            "-name",
            &self.name,
        ]);
        if self.iommu {
            add(&["-device", "intel-iommu,intremap=on,caching-mode=on"]);
        }
        add(&[
            "-chardev",
            &format!("socket,id=qmp,fd={qmp}"),
            "-qmp",
            "chardev:qmp",
        ]);
        if self.interactive {
            add(&["-chardev", "stdio,id=console,signal=off"]);
        } else {
            add(&[
                "-chardev",
                &format!("file,id=console,path={}", console.display()),
            ]);
        }
        add(&["-serial", "chardev:console"]);
        add(&["-chardev", &format!("socket,id=agent,fd={agent}")]);
        add(&["-device", "virtio-serial-pci,id=vser,max_ports=2"]);
        add(&[
            "-device",
            &format!("virtserialport,bus=vser.0,chardev=agent,name={PORT_NAME}"),
        ]);
        for port in 0..self.hotplug_ports {
            let slot = port + 1;
            add(&[
                "-device",
                &format!("pcie-root-port,id=hot{port},chassis={slot},slot={slot}"),
            ]);
        }
        for device in &self.devices {
            add(&["-device", device]);
        }
        let kernel_path = kernel.display().to_string();
        let image_path = image.display().to_string();
        add(&[
            "-kernel",
            &kernel_path,
            "-initrd",
            &image_path,
            "-append",
            &self.kernel_command_line(),
        ]);
        args.extend(self.more.iter().cloned());
        args
    }

    /// What the guest's kernel is told.
    ///
    /// The clock source's watchdog is off: where emulated CPUs wait long for the host's, this kernel's
    /// waits in an interrupt for CPUs that are stopped until it returns, and the guest hangs in its boot.
    #[must_use]
    pub fn kernel_command_line(&self) -> String {
        let mut words = format!(
            "console=ttyS0 loglevel=4 panic=-1 unknown_nmi_panic panic_print=0x61 \
             tsc=nowatchdog mitigations=off random.trust_cpu=on net.ifnames=0 lab.name={}",
            self.name
        );
        if self.iommu {
            words.push_str(" intel_iommu=on");
        }
        if self.interactive {
            words.push_str(" lab.shell");
        }
        if !self.kernel_words.is_empty() {
            words.push(' ');
            words.push_str(&self.kernel_words);
        }
        words
    }
}

#[cfg(test)]
mod tests;
