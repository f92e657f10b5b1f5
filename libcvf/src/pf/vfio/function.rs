//! A function that is open.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, Weak};

use nix::errno::Errno;
use nix::libc;
use parking_lot::{Mutex, RwLock};
use vfio_bindings::bindings::vfio::{
    VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_GROUP_FLAGS_VIABLE,
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_ERR_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
    VFIO_PCI_REQ_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP,
};

use super::address::PciAddress;
use super::bar::Bar;
use super::container::{Container, DmaError};
use super::host::{Binding, HostFunction, HostTree};
use super::interrupts::{self, Alarms, VectorEvents};
use super::sys;
use super::sys::mmio::Mapping;

/// `PCI_COMMAND`: memory space and bus master (PCIe 7.5.1.1.3).
const COMMAND: u64 = 4;
const COMMAND_MEMORY: u16 = 2;
const COMMAND_MASTER: u16 = 4;
/// What is read where no function answers.
const NOBODY: u16 = 0xffff;

/// Why a function cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VfioError {
    /// There is none, or sysfs cannot be read.
    #[error("{}", absent(*.address, source))]
    Absent {
        /// Where.
        address: PciAddress,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else drives it.
    #[error(
        "PCI function {address} cannot be opened: {}; bind it to vfio-pci first \
         (`driverctl set-override {address} vfio-pci`; `cvfctl doctor` has the way without driverctl)",
        held(driver.as_deref())
    )]
    Bound {
        /// Where.
        address: PciAddress,
        /// By whom.
        driver: Option<String>,
    },
    /// No IOMMU stands between it and memory.
    #[error(
        "PCI function {0} cannot be opened: it is in no IOMMU group, and without an IOMMU its DMA could reach all of \
         the host's memory; switch on VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on on Intel"
    )]
    NoGroup(PciAddress),
    /// Its group's file cannot be opened.
    #[error(
        "PCI function {address} cannot be opened: its IOMMU group's {path}: {source}{}",
        permission(source)
    )]
    Group {
        /// Where.
        address: PciAddress,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Other functions of the group are driven by the kernel.
    #[error(
        "PCI function {address} cannot be opened: other drivers have functions of its IOMMU group {group} ({}); bind \
         those to vfio-pci, too, or to nothing",
        list(companions)
    )]
    NotViable {
        /// Where.
        address: PciAddress,
        /// The group.
        group: u32,
        /// Who else is in it, and has a driver.
        companions: Vec<(PciAddress, String)>,
    },
    /// Its IOMMU domain.
    #[error("PCI function {address}: {source}")]
    Dma {
        /// Where.
        address: PciAddress,
        /// Why.
        source: DmaError,
    },
    /// A call of the kernel's failed.
    #[error("PCI function {address}: {attempt}: {errno}")]
    Kernel {
        /// Where.
        address: PciAddress,
        /// What was attempted.
        attempt: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// It lacks something that its driver needs.
    #[error("PCI function {address}: {what}")]
    Lacks {
        /// Where.
        address: PciAddress,
        /// What.
        what: String,
    },
    /// It was given back to the host.
    #[error("PCI function {0} was given back to the host")]
    GivenBack(PciAddress),
}

impl VfioError {
    /// Somebody else has it open.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Group { source, .. } => source.kind() == std::io::ErrorKind::ResourceBusy,
            Self::Kernel { errno, .. } => *errno == Errno::EBUSY,
            _ => false,
        }
    }
}

fn absent(address: PciAddress, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        return format!(
            "there is no PCI function {address} on this host; give another address (`lspci -D` lists them)"
        );
    }
    format!("PCI function {address} cannot be looked at in /sys: {error}")
}

fn held(driver: Option<&str>) -> String {
    driver.map_or_else(
        || "no driver has it".to_owned(),
        |driver| format!("the kernel's driver {driver} has it"),
    )
}

fn permission(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "; the daemon's user has to be able to read and write it, and the service needs its drop-in vfio.conf"
        }
        std::io::ErrorKind::ResourceBusy => {
            "; another program has it, or another PF: of one group there can be one"
        }
        std::io::ErrorKind::NotFound => {
            "; a container has to be given the devices in /dev/vfio, on a host `modprobe vfio-pci` makes them"
        }
        _ => "",
    }
}

fn list(companions: &[(PciAddress, String)]) -> String {
    let name = |(at, driver): &(PciAddress, String)| format!("{driver} has {at}");
    let names: Vec<String> = companions.iter().map(name).collect();
    names.join(", ")
}

/// A PCI function of the host, ours until it is dropped or given back.
#[derive(Debug)]
pub struct Function {
    host: HostFunction,
    // In this order: the function is closed before its container.
    open: RwLock<Option<Open>>,
    container: Arc<Container>,
    /// Its configuration space in its descriptor.
    config: u64,
    vectors: u16,
    can_reset: bool,
    alarms: Alarms,
    /// What was mapped of it, and may be still.
    mappings: Mutex<Vec<Weak<Mapping>>>,
}

/// What keeps a function ours.
#[derive(Debug)]
struct Open {
    // In this order: the function is closed before its group.
    device: File,
    _group: File,
}

impl Function {
    /// Opens a function that is bound to vfio-pci, resets it, and lets it master the bus.
    ///
    /// # Errors
    /// [`VfioError`]; nothing is left behind then.
    pub fn open(tree: &HostTree, address: PciAddress) -> Result<Self, VfioError> {
        Self::open_named(tree, address, &address.to_string(), None)
    }

    /// The same of a function with virtual ones, or of one of those. Whoever has them shows that they belong together by
    /// a UUID, which is that of whoever opens the physical one first. `alarms` are told in place of its own: who hears of one
    /// of them hears of all.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(
        tree: &HostTree,
        address: PciAddress,
        token: &str,
        alarms: Option<&Alarms>,
    ) -> Result<Self, VfioError> {
        let name = format!("{address} vf_token={token}");
        Self::open_named(tree, address, &name, alarms)
    }

    fn open_named(
        tree: &HostTree,
        address: PciAddress,
        name: &str,
        alarms: Option<&Alarms>,
    ) -> Result<Self, VfioError> {
        let host = tree
            .look(address)
            .map_err(|source| VfioError::Absent { address, source })?;
        match &host.binding {
            Binding::Vfio => {}
            Binding::None => {
                return Err(VfioError::Bound {
                    address,
                    driver: None,
                });
            }
            Binding::Kernel(name) => {
                let driver = Some(name.clone());
                return Err(VfioError::Bound { address, driver });
            }
        }
        let number = host.group.ok_or(VfioError::NoGroup(address))?;
        let path = tree.group(number);
        let group = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(&path)
            .map_err(|source| VfioError::Group {
                address,
                path: path.display().to_string(),
                source,
            })?;
        let failed = |attempt: &str| {
            let attempt = attempt.to_owned();
            move |errno| VfioError::Kernel {
                address,
                attempt,
                errno,
            }
        };
        let flags = sys::group_flags(group.as_fd()).map_err(failed("asking its group"))?;
        if flags & VFIO_GROUP_FLAGS_VIABLE == 0 {
            return Err(VfioError::NotViable {
                address,
                group: number,
                companions: tree.holders(&host),
            });
        }
        let container = Container::open(&tree.vfio(), group.as_fd())
            .map_err(|source| VfioError::Dma { address, source })?;
        let name = CString::new(name).unwrap_or_default();
        let device = sys::device(group.as_fd(), &name).map_err(failed("opening it"))?;
        let info = sys::device_info(device.as_fd()).map_err(failed("asking what it is"))?;
        if info.flags & VFIO_DEVICE_FLAGS_PCI == 0 {
            let what = "the kernel does not take it for a PCI function".into();
            return Err(VfioError::Lacks { address, what });
        }
        let config = sys::region_info(device.as_fd(), VFIO_PCI_CONFIG_REGION_INDEX)
            .map_err(failed("asking for its configuration space"))?;
        let msix = sys::irq_info(device.as_fd(), VFIO_PCI_MSIX_IRQ_INDEX)
            .map_err(failed("asking for its interrupts"))?;
        let function = Self {
            host,
            open: RwLock::new(Some(Open {
                device: device.into(),
                _group: group,
            })),
            container,
            config: config.offset,
            vectors: u16::try_from(msix.count).unwrap_or(u16::MAX),
            can_reset: info.flags & VFIO_DEVICE_FLAGS_RESET != 0,
            alarms: alarms
                .map_or_else(Alarms::new, |alarms| Ok(alarms.clone()))
                .map_err(failed("making events for it"))?,
            mappings: Mutex::default(),
        };
        function.reset()?;
        function.notify()?;
        function.master(true)?;
        Ok(function)
    }

    /// What the kernel says of it.
    pub const fn host(&self) -> &HostFunction {
        &self.host
    }

    /// Where it is.
    pub const fn address(&self) -> PciAddress {
        self.host.address
    }

    /// Its IOMMU domain.
    pub const fn container(&self) -> &Arc<Container> {
        &self.container
    }

    /// MSI-X vectors.
    pub const fn vectors(&self) -> u16 {
        self.vectors
    }

    fn failed(&self, attempt: impl Into<String>) -> impl FnOnce(Errno) -> VfioError {
        let (address, attempt) = (self.address(), attempt.into());
        move |errno| VfioError::Kernel {
            address,
            attempt,
            errno,
        }
    }

    /// Does something with its descriptor, which stays open meanwhile.
    fn with<T>(
        &self,
        attempt: impl Into<String>,
        call: impl FnOnce(&File) -> nix::Result<T>,
    ) -> Result<T, VfioError> {
        let open = self.open.read();
        let device = &open
            .as_ref()
            .ok_or(VfioError::GivenBack(self.address()))?
            .device;
        call(device).map_err(self.failed(attempt))
    }

    /// What tells that it cannot be had much longer.
    pub const fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Maps a BAR.
    ///
    /// # Errors
    /// There is no such BAR, or it cannot be mapped.
    pub fn bar(&self, index: u8) -> Result<Bar, VfioError> {
        let info = self.with(format!("asking for BAR {index}"), |device| {
            sys::region_info(device.as_fd(), index.into())
        })?;
        let size = usize::try_from(info.size).ok().and_then(NonZeroUsize::new);
        let Some(size) = size.filter(|_| info.flags & VFIO_REGION_INFO_FLAG_MMAP != 0) else {
            let what = format!("BAR {index} cannot be mapped");
            return Err(VfioError::Lacks {
                address: self.address(),
                what,
            });
        };
        let offset = i64::try_from(info.offset).unwrap_or(i64::MAX);
        let mapping = self.with(format!("mapping BAR {index}"), |device| {
            let gone = Arc::clone(&self.alarms.error);
            let mapping = Arc::new(Mapping::new(device.as_fd(), offset, size, gone)?);
            let mut mappings = self.mappings.lock();
            mappings.retain(|mapping| mapping.strong_count() > 0);
            mappings.push(Arc::downgrade(&mapping));
            Ok(mapping)
        })?;
        Ok(Bar::new(mapping, info.offset))
    }

    fn mapped(&self) -> Vec<Arc<Mapping>> {
        self.mappings
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// An access to its registers has found that they are not there any more.
    pub fn has_vanished(&self) -> bool {
        self.mapped().iter().any(|mapping| mapping.is_gone())
    }

    /// Ends what it does and what is done to it, whoever may be at it: it does not reach memory any more, nor interrupts;
    /// registers read as all ones from here on, and what is written to them goes nowhere.
    ///
    /// # Errors
    /// The first of what could not be done.
    pub fn quit(&self) -> Result<(), VfioError> {
        // In this order: where its registers are gone its drivers take everything that it did for ended.
        let mastering = self.master(false);
        self.withdraw().and(mastering)
    }

    /// Gives it back to the host, which has waited for that where it is being unbound or removed. On return nothing here
    /// holds it; what it did has ended, and what it reached it reaches no more.
    pub fn give_back(&self) {
        if let Err(error) = self.withdraw() {
            tracing::error!(%error, "the host waits for it until the daemon ends");
        }
        self.container.end();
        // The kernel ends its DMA and interrupts with its descriptor.
        let open = self.open.write().take();
        drop(open);
    }

    fn withdraw(&self) -> Result<(), VfioError> {
        let withdrawn = self.mapped().iter().all(|mapping| mapping.withdraw());
        let error = self.failed("taking its registers away");
        withdrawn.then_some(()).ok_or_else(|| error(Errno::ENOMEM))
    }

    /// Reads configuration space.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn read_config(&self, offset: u16, into: &mut [u8]) -> Result<(), VfioError> {
        let at = self.config + u64::from(offset);
        self.with(
            format!("reading configuration space at {offset:#x}"),
            |device| {
                device
                    .read_exact_at(into, at)
                    .map_err(|error| errno(&error))
            },
        )
    }

    fn write_config(&self, offset: u64, bytes: &[u8]) -> Result<(), VfioError> {
        self.with(
            format!("writing configuration space at {offset:#x}"),
            |device| {
                device
                    .write_all_at(bytes, self.config + offset)
                    .map_err(|error| errno(&error))
            },
        )
    }

    /// Lets it reach memory, or not.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn master(&self, on: bool) -> Result<(), VfioError> {
        let mut command = [0; 2];
        self.read_config(COMMAND as u16, &mut command)?;
        let command = u16::from_le_bytes(command);
        if command == NOBODY {
            let what = "it does not answer".into();
            return Err(VfioError::Lacks {
                address: self.address(),
                what,
            });
        }
        let before = command | COMMAND_MEMORY;
        let after = if on {
            before | COMMAND_MASTER
        } else {
            before & !COMMAND_MASTER
        };
        self.write_config(COMMAND, &after.to_le_bytes())
    }

    /// Resets it, as far as it can be: what it did before is over.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn reset(&self) -> Result<(), VfioError> {
        if !self.can_reset {
            tracing::debug!(pf = %self.address(), "the function knows no reset");
            return Ok(());
        }
        self.with("resetting it", |device| sys::reset(device.as_fd()))
    }

    /// Switches MSI-X on with these events, in place of those before.
    ///
    /// # Errors
    /// There are fewer vectors, or the kernel refuses.
    pub fn set_vectors(&self, events: &VectorEvents) -> Result<(), VfioError> {
        let events = events.raw();
        let set = (
            VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
            VFIO_PCI_MSIX_IRQ_INDEX,
            0,
        );
        self.with(format!("wiring {} interrupts", events.len()), |device| {
            sys::set_irqs(device.as_fd(), set, &events)
        })
    }

    /// Wires one vector, of those that are switched on, to another event, or to none.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_vector(&self, vector: u16, event: Option<BorrowedFd<'_>>) -> Result<(), VfioError> {
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        let set = (flags, VFIO_PCI_MSIX_IRQ_INDEX, vector.into());
        self.with(format!("wiring interrupt {vector}"), |device| {
            sys::set_irqs(device.as_fd(), set, &[interrupts::raw(event)])
        })
    }

    /// Switches MSI-X off.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn clear_vectors(&self) -> Result<(), VfioError> {
        let set = (
            VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
            VFIO_PCI_MSIX_IRQ_INDEX,
            0,
        );
        self.with("switching its interrupts off", |device| {
            sys::set_irqs(device.as_fd(), set, &[])
        })
    }

    /// Has its alarms told by the kernel: when it reports an error that it cannot go on from (AER), and when the host wants
    /// it back. A function that knows neither is no error.
    fn notify(&self) -> Result<(), VfioError> {
        let Alarms { error, request } = &self.alarms;
        for (index, event) in [
            (VFIO_PCI_ERR_IRQ_INDEX, error),
            (VFIO_PCI_REQ_IRQ_INDEX, request),
        ] {
            self.with("wiring its notifications", |device| {
                let known = sys::irq_info(device.as_fd(), index).is_ok_and(|info| info.count == 1);
                if !known {
                    return Ok(());
                }
                let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
                let event = [interrupts::raw(Some(event.as_fd()))];
                sys::set_irqs(device.as_fd(), (flags, index, 0), &event)
            })?;
        }
        Ok(())
    }

    /// A descriptor of the function, for whoever maps parts of it. It carries the whole function: configuration
    /// space, every BAR, reset.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn share(&self) -> Result<OwnedFd, VfioError> {
        self.with("copying its descriptor", |device| {
            device
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| errno(&error))
        })
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

impl Drop for Function {
    fn drop(&mut self) {
        if self.open.read().is_none() {
            return;
        }
        // Nothing of what it was told to do goes on: neither DMA nor interrupts.
        for done in [self.master(false), self.clear_vectors(), self.reset()] {
            if let Err(error) = done {
                tracing::warn!(%error, "the function was not left clean");
            }
        }
    }
}
