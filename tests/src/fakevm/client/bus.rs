//! A vfio-user connection as what a driver reaches its function by.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::eventfd::EventFd;

use super::{ACTION_TRIGGER, Client, DeviceInfo, IoFd, IrqData, RegionInfo, Ticket};
use crate::fakevm::bus::Bus;
use crate::fakevm::error::Result;
use crate::fakevm::interrupts::new_event;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::pci::IRQ_MSIX;

impl Bus for Client {
    fn map_memory(&mut self, memory: &GuestMemory) -> Result<()> {
        // Pipelined, as QEMU does within one memory transaction.
        let regions = memory.regions().iter();
        let tickets = regions.map(|region| self.begin_dma_map(region));
        for ticket in tickets.collect::<Result<Vec<Ticket>>>()? {
            self.finish(ticket)?;
        }
        Ok(())
    }

    fn device_info(&mut self) -> Result<DeviceInfo> {
        Client::device_info(self)
    }

    fn reset(&mut self) -> Result<()> {
        Client::reset(self)
    }

    fn region_info(&mut self, index: u32) -> Result<RegionInfo> {
        Client::region_info(self, index)
    }

    fn region_read(&mut self, region: u32, offset: u64, to: &mut [u8]) -> Result<()> {
        Client::region_read(self, region, offset, to)
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        Client::region_write(self, region, offset, data)
    }

    fn region_post(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        Client::region_post(self, region, offset, data)
    }

    fn region_io_fds(&mut self, index: u32) -> Result<Vec<IoFd>> {
        Client::region_io_fds(self, index)
    }

    fn vectors(&mut self) -> Result<u16> {
        let count = self.irq_info(IRQ_MSIX)?.count;
        Ok(u16::try_from(count).unwrap_or(u16::MAX))
    }

    fn wire_vectors(&mut self, count: u16) -> Result<Vec<Arc<EventFd>>> {
        let events = (0..count).map(|_| new_event().map(Arc::new));
        let events = events.collect::<Result<Vec<_>>>()?;
        let fds: Vec<RawFd> = events
            .iter()
            .map(|event| event.as_fd().as_raw_fd())
            .collect();
        // As many in one message as the server takes.
        let batch = self.capabilities().max_msg_fds.clamp(1, 16) as usize;
        for (nth, fds) in fds.chunks(batch).enumerate() {
            let start = (nth * batch) as u32;
            self.set_irqs(IRQ_MSIX, start, ACTION_TRIGGER, IrqData::EventFds(fds))?;
        }
        Ok(events)
    }

    fn cut_vectors(&mut self) -> Result<()> {
        self.set_irqs(IRQ_MSIX, 0, ACTION_TRIGGER, IrqData::None { count: 0 })
    }

    fn serve(&mut self, memory: &GuestMemory, deadline: Instant) -> Result<usize> {
        Client::serve(self, memory, deadline)
    }

    fn messages(&self) -> u64 {
        Client::messages(self)
    }

    fn attention(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket().stream().as_fd())
    }
}
