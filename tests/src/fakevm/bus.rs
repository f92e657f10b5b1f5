//! Whoever carries what a driver asks of its PCI function: messages to a server, or the kernel's VFIO.
//!
//! Both speak of regions, offsets and vectors in the same way: vfio-user is VFIO by message. So everything above is
//! the same driver whichever it is, and what two of them do can be compared.

use std::fmt::Debug;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::eventfd::EventFd;

use super::client::{DeviceInfo, IoFd, RegionInfo};
use super::error::{Error, Result};
use super::memory::GuestMemory;

/// A PCI function as its driver reaches it. One thread has it.
pub trait Bus: Debug {
    /// Has the function's DMA find all of a VM's memory where the VM has it.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn map_memory(&mut self, memory: &GuestMemory) -> Result<()>;

    /// What the function is.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn device_info(&mut self) -> Result<DeviceInfo>;

    /// Resets the function.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn reset(&mut self) -> Result<()>;

    /// What a region is, with something to map where it can be mapped.
    ///
    /// # Errors
    /// Fails when there is no such region.
    fn region_info(&mut self, index: u32) -> Result<RegionInfo>;

    /// Reads from a region.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn region_read(&mut self, region: u32, offset: u64, to: &mut [u8]) -> Result<()>;

    /// Writes to a region; done on return.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()>;

    /// Writes to a region; it will be done before anything that is asked for later.
    ///
    /// # Errors
    /// Fails when whoever has the function is gone.
    fn region_post(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        self.region_write(region, offset, data)
    }

    /// Events that stand for writes to a region.
    ///
    /// # Errors
    /// Fails where there is no such thing.
    fn region_io_fds(&mut self, index: u32) -> Result<Vec<IoFd>> {
        Err(Error::Unsupported(format!(
            "events for writes to region {index}"
        )))
    }

    /// MSI-X vectors.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn vectors(&mut self) -> Result<u16>;

    /// Switches the first vectors on; what tells of each, in order.
    ///
    /// # Errors
    /// Fails when there are fewer.
    fn wire_vectors(&mut self, count: u16) -> Result<Vec<Arc<EventFd>>>;

    /// Switches all vectors off.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    fn cut_vectors(&mut self) -> Result<()>;

    /// Answers what the other side asks of the driver's VM, of which nothing may have come by `deadline`. How much that was.
    ///
    /// # Errors
    /// Fails when the other side is gone.
    fn serve(&mut self, memory: &GuestMemory, deadline: Instant) -> Result<usize> {
        let _ = (memory, deadline);
        Ok(0)
    }

    /// Messages so far, both ways, where there are messages.
    fn messages(&self) -> u64 {
        0
    }

    /// Readable when the other side asks something, or has gone.
    fn attention(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
