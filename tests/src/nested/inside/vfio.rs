//! A function opened through VFIO, in the order that VFIO wants, with words for every step that may fail.

use crate::nested::sys;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

/// The node of all containers.
const CONTAINER: &str = "/dev/vfio/vfio";

/// `VFIO_API_VERSION`.
const API_VERSION: i32 = 0;

/// `VFIO_TYPE1v2_IOMMU`.
const TYPE1_V2: u32 = 3;

/// `VFIO_GROUP_FLAGS_VIABLE`.
const VIABLE: u32 = 1;

/// `VFIO_DEVICE_FLAGS_PCI`.
const PCI: u32 = 2;

/// `VFIO_PCI_BAR0_REGION_INDEX` and `VFIO_PCI_CONFIG_REGION_INDEX`.
const BAR0: u32 = 0;
const CONFIG: u32 = 7;

/// PCI command register: memory space and bus master.
const COMMAND: u64 = 4;
const MEMORY_AND_MASTER: u16 = 6;

/// Which function, as options of verbs below `lab inside`.
#[derive(Clone, Debug, Args)]
pub struct VfioArgs {
    /// The function's IOMMU group.
    #[arg(long)]
    pub group: u32,
    /// The function's PCI address.
    #[arg(long)]
    pub address: String,
}

/// What `lab inside vfio-ready` prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct VfioReport {
    /// Always true: what is not ready is an error.
    pub ok: bool,
    /// Regions of the device, BARs and configuration space among them.
    pub regions: u32,
    /// Kinds of interrupts of the device.
    pub irqs: u32,
}

/// A function in the hands of this program, in a container of its own that maps nothing.
pub(super) struct Opened {
    /// The device.
    pub device: File,
    /// What it has.
    pub info: sys::VfioDeviceInfo,
    /// What its DMA reaches.
    pub container: File,
    _group: File,
}

impl Opened {
    /// Opens container, group and device.
    pub fn open(args: &VfioArgs) -> Result<Self> {
        Self::open_named(args, &args.address)
    }

    /// The same where the kernel wants more than an address, to know who shares a function with whom.
    pub fn open_with(args: &VfioArgs, token: &str) -> Result<Self> {
        Self::open_named(args, &format!("{} vf_token={token}", args.address))
    }

    fn open_named(args: &VfioArgs, name: &str) -> Result<Self> {
        let VfioArgs { group, address } = args;
        let container = node(CONTAINER)?;
        let version = sys::vfio_api_version(&container).context("ask VFIO for its version")?;
        ensure!(
            version == API_VERSION,
            "{CONTAINER} speaks version {version} of VFIO's interface, not {API_VERSION}"
        );
        ensure!(
            sys::vfio_has_extension(&container, TYPE1_V2)
                .context("ask VFIO for its IOMMU types")?,
            "{CONTAINER} knows no type 1 IOMMU: is vfio_iommu_type1 loaded?"
        );
        let path = format!("/dev/vfio/{group}");
        let group = node(&path)?;
        let flags =
            sys::vfio_group_flags(&group).with_context(|| format!("ask for {path}'s state"))?;
        ensure!(
            flags & VIABLE != 0,
            "{path} is not viable (flags {flags:#x}): another device of the group has another driver"
        );
        sys::vfio_join(&group, &container)
            .with_context(|| format!("put {path} into a container"))?;
        sys::vfio_set_iommu(&container, TYPE1_V2).context("choose type 1 for the container")?;
        let device = sys::vfio_device(&group, name)
            .with_context(|| format!("take {address} out of {path}"))?;
        let info =
            sys::vfio_device_info(&device).with_context(|| format!("ask what {address} has"))?;
        ensure!(
            info.flags & PCI != 0 && info.regions > 0,
            "{address} is no PCI device to VFIO: {info:?}"
        );
        Ok(Opened {
            device: File::from(device),
            info,
            container,
            _group: group,
        })
    }

    /// Lets it answer to accesses of its registers, and reach memory.
    pub fn master(&self) -> Result<()> {
        let (config, _) =
            sys::vfio_region(&self.device, CONFIG).context("find its configuration space")?;
        self.device
            .write_all_at(&MEMORY_AND_MASTER.to_le_bytes(), config + COMMAND)
            .context("make it a bus master")
    }

    /// Its registers, of which there must be some at `last`.
    pub fn registers(&self, last: u64) -> Result<Registers<'_>> {
        let (bar, size) = sys::vfio_region(&self.device, BAR0).context("find its BAR 0")?;
        ensure!(size > last, "its BAR 0 has {size} bytes");
        Ok(Registers {
            device: &self.device,
            bar,
        })
    }
}

/// The registers of a function.
pub(super) struct Registers<'a> {
    device: &'a File,
    bar: u64,
}

impl Registers<'_> {
    /// Writes one.
    pub fn write(&self, at: u64, value: u32) -> Result<()> {
        let written = self
            .device
            .write_all_at(&value.to_le_bytes(), self.bar + at);
        written.with_context(|| format!("write {value:#x} to register {at:#x}"))
    }

    /// Reads one.
    pub fn read(&self, at: u64) -> Result<u32> {
        let mut value = [0; 4];
        let read = self.device.read_exact_at(&mut value, self.bar + at);
        read.with_context(|| format!("read register {at:#x}"))?;
        Ok(u32::from_le_bytes(value))
    }
}

/// Opens a function, as a program that drives it would; what the device has, as an object.
///
/// # Errors
/// With the step that failed and on what.
pub fn run(args: &VfioArgs) -> Result<Value> {
    let opened = Opened::open(args)?;
    let report = VfioReport {
        ok: true,
        regions: opened.info.regions,
        irqs: opened.info.irqs,
    };
    Ok(serde_json::to_value(report)?)
}

fn node(path: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    options.open(path).with_context(|| format!("open {path}"))
}
