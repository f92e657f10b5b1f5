//! A function by the kernel's VFIO alone, with nothing of mdevd between the fake VM and it: what a device that hardware
//! works itself is compared with.

use super::north_south::{Exchange, exchange};
use crate::fakevm::bus::Bus;
use crate::fakevm::client::{DeviceInfo, RegionInfo, flags};
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::{Error, FakeVm, FakeVmConfig, Result as FakeResult};
use crate::nested::sys;
use anyhow::{Context, Result};
use clap::Args;
use libcvf::mem::{GuestMemory as Memory, MapRequest};
use libcvf::pf::vfio::{Function, HostTree, Mapped, PciAddress, VectorEvents};
use nix::sys::eventfd::EventFd;
use serde_json::Value;
use std::fmt::{self, Display};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Regions that are BARs.
const BARS: u32 = 6;

/// Regions and interrupts of a PCI function (`VFIO_PCI_NUM_REGIONS`, `VFIO_PCI_NUM_IRQS`).
const REGIONS: u32 = 9;
const IRQS: u32 = 5;

/// Options of `lab inside plain-vfio`.
#[derive(Clone, Debug, Args)]
pub struct PlainArgs {
    /// The function's PCI address; it must be bound to vfio-pci.
    pub address: PciAddress,
    /// What is exchanged.
    #[command(flatten)]
    pub exchange: Exchange,
}

/// Has the fake VM drive a virtio-net function itself, and exchange frames with the outside; the report as an object.
///
/// # Errors
/// If the function cannot be driven. Frames that are lost or wrong are in the report.
pub fn run(args: &PlainArgs) -> Result<Value> {
    let address = args.address;
    let plain = Plain::open(address).with_context(|| format!("open {address}"))?;
    let mut vm = FakeVm::over(plain, FakeVmConfig::default())
        .with_context(|| format!("attach the fake VM to {address}"))?;
    vm.start()
        .with_context(|| format!("start the device of {address}"))?;
    let report = exchange(&mut vm, &args.exchange).with_context(|| format!("drive {address}"))?;
    vm.stop()?;
    report.told()
}

/// A function in the hands of this program.
struct Plain {
    mapped: Vec<Mapped>,
    function: Function,
    device: File,
    events: VectorEvents,
}

impl Plain {
    fn open(address: PciAddress) -> Result<Self> {
        let function = Function::open(&HostTree::default(), address)?;
        let device = File::from(function.share()?);
        Ok(Plain {
            mapped: Vec::new(),
            function,
            device,
            events: VectorEvents::default(),
        })
    }

    /// Where a region begins in the function's descriptor, and its size.
    fn place(&self, region: u32) -> FakeResult<(u64, u64)> {
        sys::vfio_region(&self.device, region).map_err(Error::io("asking for a region"))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // What it may have been told to do ends before its memory goes.
        let _ = self.function.master(false);
        self.mapped.clear();
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.function.address();
        f.debug_struct("Plain")
            .field("address", &address)
            .finish_non_exhaustive()
    }
}

fn failed(error: impl Display) -> Error {
    Error::Vfio(error.to_string())
}

impl Bus for Plain {
    fn map_memory(&mut self, memory: &GuestMemory) -> FakeResult<()> {
        let ours = Memory::default();
        for region in memory.regions() {
            let file = region
                .file()
                .ok_or_else(|| Error::Memory("it has no file".into()))?;
            let fd = file
                .try_clone_to_owned()
                .map_err(Error::io("copying a descriptor"))?;
            let request = MapRequest {
                iova: region.gpa,
                size: region.size,
                fd: Some(fd),
                fd_offset: region.file_offset,
                read: true,
                write: region.writable,
            };
            ours.map(request).map_err(failed)?;
        }
        let container = self.function.container();
        self.mapped = container.map_regions(&ours.load()).map_err(failed)?;
        Ok(())
    }

    fn device_info(&mut self) -> FakeResult<DeviceInfo> {
        Ok(DeviceInfo {
            flags: flags::DEVICE_PCI | flags::DEVICE_RESET,
            regions: REGIONS,
            irqs: IRQS,
        })
    }

    fn reset(&mut self) -> FakeResult<()> {
        self.function.reset().map_err(failed)
    }

    fn region_info(&mut self, index: u32) -> FakeResult<RegionInfo> {
        let (offset, size) = self.place(index)?;
        let mut info = RegionInfo {
            index,
            flags: flags::REGION_READ | flags::REGION_WRITE,
            size,
            offset,
            areas: Vec::new(),
            file: None,
        };
        if index < BARS && self.function.bar(index as u8).is_ok() {
            info.flags |= flags::REGION_MMAP;
            info.file = Some(self.function.share().map_err(failed)?);
        }
        Ok(info)
    }

    fn region_read(&mut self, region: u32, offset: u64, to: &mut [u8]) -> FakeResult<()> {
        let (begin, _) = self.place(region)?;
        let read = self.device.read_exact_at(to, begin + offset);
        read.map_err(Error::io("reading a region"))
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> FakeResult<()> {
        let (begin, _) = self.place(region)?;
        let written = self.device.write_all_at(data, begin + offset);
        written.map_err(Error::io("writing a region"))
    }

    fn vectors(&mut self) -> FakeResult<u16> {
        Ok(self.function.vectors())
    }

    fn wire_vectors(&mut self, count: u16) -> FakeResult<Vec<Arc<EventFd>>> {
        self.events = VectorEvents::ours(count).map_err(Error::errno("making events"))?;
        self.function.set_vectors(&self.events).map_err(failed)?;
        let event = |vector| self.events.get(vector).cloned();
        Ok((0..count).filter_map(event).collect())
    }

    fn cut_vectors(&mut self) -> FakeResult<()> {
        self.function.clear_vectors().map_err(failed)
    }
}
