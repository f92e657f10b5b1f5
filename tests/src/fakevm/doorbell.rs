//! How a driver tells the device about new entries: by message, by page, by event.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;

use super::bus::Bus;
use super::client::RegionInfo;
use super::error::{Error, Result};
use super::mem::Shared;
use super::sys::Mapping;
use super::virtio::Transport;

/// Which doorbells a fake VM uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DoorbellMode {
    /// Pages where the region is mappable, else messages: what QEMU does.
    #[default]
    Auto,
    /// Messages, even where pages could be mapped.
    Trapped,
    /// Pages; it is an error if they cannot be mapped.
    Mapped,
    /// The descriptors of `DEVICE_GET_REGION_IO_FDS`; it is an error if a queue has none.
    IoFds,
}

/// The doorbell of one queue.
#[derive(Debug)]
pub enum Doorbell {
    /// A write to the region, trapped and sent as a message.
    Message {
        /// First byte within the region.
        offset: u64,
    },
    /// A store to a page shared with the server.
    Page {
        /// The mapped area.
        page: Shared,
        /// First byte within the area.
        at: usize,
    },
    /// An event that the server waits for.
    Event(File),
}

/// Finds doorbells, and maps each mappable area once.
#[derive(Debug)]
pub struct DoorbellFinder<'a> {
    mode: DoorbellMode,
    region: &'a RegionInfo,
    mapped: Vec<(u64, Shared)>,
}

impl<'a> DoorbellFinder<'a> {
    /// Looks in the region that holds the doorbells.
    pub fn new(mode: DoorbellMode, region: &'a RegionInfo) -> Self {
        DoorbellFinder {
            mode,
            region,
            mapped: Vec::new(),
        }
    }

    /// The doorbell at `notify_off`.
    ///
    /// # Errors
    /// Fails when the mode demands what the device does not give.
    pub fn find(
        &mut self,
        bus: &mut dyn Bus,
        transport: &Transport,
        queue: u16,
        notify_off: u16,
    ) -> Result<Doorbell> {
        let offset = transport.doorbell(notify_off);
        let notify_end = transport.notify.offset + transport.notify.len;
        // 32 bits, in case of notification data (virtio 1.3 4.1.4.4.1).
        if offset + 4 > notify_end {
            return Err(Error::Device(format!(
                "the doorbell of queue {queue} is out of bounds"
            )));
        }
        match self.mode {
            DoorbellMode::IoFds => self.io_fd(bus, queue, offset),
            _ => self.place(queue, offset, 2),
        }
    }

    /// The doorbell of `len` bytes at `offset` within the region: a message or a page.
    ///
    /// # Errors
    /// Fails when the mode demands what the device does not give.
    pub fn place(&mut self, queue: u16, offset: u64, len: u64) -> Result<Doorbell> {
        match (self.mode, self.region.mappable(offset, len)) {
            (DoorbellMode::Auto | DoorbellMode::Trapped, None) | (DoorbellMode::Trapped, _) => {
                Ok(Doorbell::Message { offset })
            }
            (DoorbellMode::Auto | DoorbellMode::Mapped, Some(area)) => {
                let page = self.map(area.offset, area.size)?;
                Ok(Doorbell::Page {
                    page,
                    at: (offset - area.offset) as usize,
                })
            }
            (DoorbellMode::Mapped, None) => Err(Error::Unsupported(format!(
                "the doorbell of queue {queue} is not mappable"
            ))),
            (DoorbellMode::IoFds, _) => Err(Error::Unsupported(format!(
                "queue {queue} by an event: what is written counts"
            ))),
        }
    }

    fn map(&mut self, offset: u64, size: u64) -> Result<Shared> {
        if let Some((_, page)) = self.mapped.iter().find(|(at, _)| *at == offset) {
            return Ok(page.clone());
        }
        let file =
            self.region.file.as_ref().ok_or_else(|| {
                Error::Protocol("a mappable region came without a descriptor".into())
            })?;
        let map = Mapping::shared(file.as_fd(), self.region.offset + offset, size as usize)
            .map_err(Error::io("mapping a doorbell page"))?;
        let page = Shared::new(&map);
        self.mapped.push((offset, page.clone()));
        Ok(page)
    }

    fn io_fd(&self, bus: &mut dyn Bus, queue: u16, offset: u64) -> Result<Doorbell> {
        let entries = bus.region_io_fds(self.region.index)?;
        let matches = |kind, flags: u32, datamatch| {
            kind == 0 && (flags & 1 == 0 || datamatch == u64::from(queue))
        };
        entries
            .into_iter()
            .find(|entry| {
                entry.offset == offset && matches(entry.kind, entry.flags, entry.datamatch)
            })
            .map(|entry| Doorbell::Event(File::from(entry.fd)))
            .ok_or_else(|| Error::Unsupported(format!("no io fd for queue {queue}")))
    }
}

/// Rings a doorbell for `queue`, with notification data if that was agreed on (virtio 1.3 4.1.5.2).
pub(super) fn ring(
    doorbell: &Doorbell,
    bus: &mut dyn Bus,
    transport: &Transport,
    queue: u16,
    data: Option<u16>,
) -> Result<()> {
    let long = u32::from(queue) | u32::from(data.unwrap_or(0)) << 16;
    match doorbell {
        Doorbell::Message { offset } => {
            let at = offset - transport.notify.offset;
            let bytes = long.to_le_bytes();
            let len = if data.is_some() { 4 } else { 2 };
            transport
                .notify
                .write(bus, transport.posted, at, &bytes[..len])
        }
        Doorbell::Page { page, at } => {
            if data.is_some() {
                page.store32(*at, long);
            } else {
                page.store16(*at, queue);
            }
            Ok(())
        }
        Doorbell::Event(event) => signal(event),
    }
}

/// Signals an event. One that is already pending to the brim is signalled enough.
///
/// # Errors
/// Fails when the descriptor is no event.
pub fn signal(mut event: &File) -> Result<()> {
    match event.write(&1_u64.to_ne_bytes()) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(Error::io("signalling an event")(error)),
    }
}
