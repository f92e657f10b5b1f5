//! The commands of a client, as methods.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::info::{DeviceInfo, IoFd, IrqInfo, RegionInfo, flags};
use super::{Client, Message, Ticket};
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::MAX_MESSAGE;
use crate::fakevm::memory::Region;
use crate::fakevm::wire::{FLAG_NO_REPLY, HEADER, Header, Reader, Writer, command};

/// Bytes of region information without capabilities.
const REGION_INFO_SIZE: u32 = 32;

/// Bytes of a list of io fds without entries.
const IO_FDS_SIZE: u32 = 16;
/// Bytes of one entry.
const IO_FD_SIZE: u32 = 40;

const DMA_READABLE: u32 = 1;
const DMA_WRITABLE: u32 = 2;
const UNMAP_ALL: u32 = 2;

const IRQ_DATA_NONE: u32 = 1;
const IRQ_DATA_BOOL: u32 = 2;
const IRQ_DATA_EVENTFD: u32 = 4;
/// Action of `DEVICE_SET_IRQS`: mask.
pub const ACTION_MASK: u32 = 8;
/// Action of `DEVICE_SET_IRQS`: unmask.
pub const ACTION_UNMASK: u32 = 16;
/// Action of `DEVICE_SET_IRQS`: assign or fire triggers.
pub const ACTION_TRIGGER: u32 = 32;

/// One of the two answers about a region.
struct RegionInfoStep {
    info: RegionInfo,
    payload: Vec<u8>,
    argsz: u32,
    cap_offset: u32,
}

/// What `DEVICE_SET_IRQS` carries.
#[derive(Clone, Copy, Debug)]
pub enum IrqData<'a> {
    /// Nothing: the action applies to `count` interrupts; a count of 0 disables all.
    None {
        /// How many interrupts.
        count: u32,
    },
    /// One byte for each interrupt.
    Bool(&'a [u8]),
    /// One descriptor for each interrupt.
    EventFds(&'a [RawFd]),
    /// The wish to take away the descriptors of `count` interrupts.
    NoEventFds {
        /// How many interrupts.
        count: u32,
    },
}

impl Client {
    /// `DEVICE_GET_INFO`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn device_info(&mut self) -> Result<DeviceInfo> {
        let payload = Writer::new()
            .put_u32(16)
            .put_u32(0)
            .put_u32(0)
            .put_u32(0)
            .finish();
        let reply = self.request(command::GET_INFO, &payload, &[])?;
        let mut reader = Reader::new(&reply.payload);
        let _argsz = reader.take_u32();
        let info = DeviceInfo {
            flags: reader.take_u32(),
            regions: reader.take_u32(),
            irqs: reader.take_u32(),
        };
        reader.end("DEVICE_GET_INFO")?;
        Ok(info)
    }

    /// `DEVICE_GET_REGION_INFO`, in two steps as QEMU asks: 32 bytes first, then what it takes.
    ///
    /// # Errors
    /// As [`Client::request`]; broken capabilities are a broken protocol.
    pub fn region_info(&mut self, index: u32) -> Result<RegionInfo> {
        let short = self.region_info_step(index, REGION_INFO_SIZE)?;
        if short.argsz == REGION_INFO_SIZE {
            return Ok(short.info);
        }
        let mut full = self.region_info_step(index, short.argsz)?;
        if full.argsz != short.argsz {
            let (first, then) = (short.argsz, full.argsz);
            return Err(Error::Protocol(format!(
                "region {index} wants {first} bytes, then {then}"
            )));
        }
        full.info.areas = RegionInfo::parse_areas(&full.payload, full.cap_offset)?;
        full.info.file = full.info.file.or(short.info.file);
        Ok(full.info)
    }

    fn region_info_step(&mut self, index: u32, argsz: u32) -> Result<RegionInfoStep> {
        let words = [argsz, 0, index, 0, 0, 0, 0, 0];
        let payload = words
            .iter()
            .fold(Writer::new(), |to, word| to.put_u32(*word))
            .finish();
        let mut reply = self.request(command::GET_REGION_INFO, &payload, &[])?;
        let mut reader = Reader::new(&reply.payload);
        let argsz = reader.take_u32();
        let flags = reader.take_u32();
        let answered = reader.take_u32();
        let cap_offset = reader.take_u32();
        let size = reader.take_u64();
        let offset = reader.take_u64();
        reader.end("DEVICE_GET_REGION_INFO")?;
        if answered != index || argsz < REGION_INFO_SIZE || argsz as usize > MAX_MESSAGE {
            return Err(Error::Protocol(format!(
                "region {index} answered as {answered} and wants {argsz} bytes"
            )));
        }
        let cap_offset = if flags & flags::REGION_CAPS == 0 {
            0
        } else {
            cap_offset
        };
        let file = reply.fds.pop();
        let info = RegionInfo {
            index,
            flags,
            size,
            offset,
            areas: Vec::new(),
            file,
        };
        Ok(RegionInfoStep {
            info,
            payload: reply.payload,
            argsz,
            cap_offset,
        })
    }

    /// `DEVICE_GET_IRQ_INFO`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn irq_info(&mut self, index: u32) -> Result<IrqInfo> {
        let payload = Writer::new()
            .put_u32(16)
            .put_u32(0)
            .put_u32(index)
            .put_u32(0)
            .finish();
        let reply = self.request(command::GET_IRQ_INFO, &payload, &[])?;
        let mut reader = Reader::new(&reply.payload);
        let (_argsz, flags, _index) = (reader.take_u32(), reader.take_u32(), reader.take_u32());
        let count = reader.take_u32();
        reader.end("DEVICE_GET_IRQ_INFO")?;
        Ok(IrqInfo { flags, count })
    }

    /// `DEVICE_SET_IRQS` with one of the `ACTION_` constants.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn set_irqs(
        &mut self,
        index: u32,
        start: u32,
        action: u32,
        data: IrqData<'_>,
    ) -> Result<()> {
        let (kind, count, bytes, fds): (_, _, &[u8], &[RawFd]) = match data {
            IrqData::None { count } => (IRQ_DATA_NONE, count, &[], &[]),
            IrqData::Bool(bytes) => (IRQ_DATA_BOOL, bytes.len() as u32, bytes, &[]),
            IrqData::EventFds(fds) => (IRQ_DATA_EVENTFD, fds.len() as u32, &[], fds),
            IrqData::NoEventFds { count } => (IRQ_DATA_EVENTFD, count, &[], &[]),
        };
        let payload = Writer::new()
            .put_u32(20 + bytes.len() as u32)
            .put_u32(kind | action)
            .put_u32(index)
            .put_u32(start)
            .put_u32(count)
            .put(bytes)
            .finish();
        self.request(command::SET_IRQS, &payload, fds).map(drop)
    }

    /// `REGION_READ`.
    ///
    /// # Errors
    /// As [`Client::request`]; a reply of another length is a broken protocol.
    pub fn region_read(&mut self, region: u32, offset: u64, to: &mut [u8]) -> Result<()> {
        let payload = region_access(region, offset, to.len());
        let reply = self.request(command::REGION_READ, &payload, &[])?;
        let data = reply.payload.get(payload.len()..).unwrap_or_default();
        if data.len() != to.len() {
            return Err(Error::Protocol(format!(
                "reading {} bytes of region {region} at {offset:#x} gave {}",
                to.len(),
                data.len()
            )));
        }
        to.copy_from_slice(data);
        Ok(())
    }

    /// `REGION_WRITE`, answered.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        let mut payload = region_access(region, offset, data.len()).to_vec();
        payload.extend_from_slice(data);
        self.request(command::REGION_WRITE, &payload, &[]).map(drop)
    }

    /// `REGION_WRITE` without a reply. Allocates nothing.
    ///
    /// # Errors
    /// Fails when the server is gone or takes nothing.
    pub fn region_post(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<()> {
        let mut header = Header::command(self.take_id(), command::REGION_WRITE, 16 + data.len());
        header.flags |= FLAG_NO_REPLY;
        let mut head = [0; HEADER + 16];
        head[..HEADER].copy_from_slice(&header.encode());
        head[HEADER..].copy_from_slice(&region_access(region, offset, data.len()));
        self.send([&head, data], &[])
    }

    /// `DMA_MAP` of one region of guest memory, with its descriptor if it has one.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn dma_map(&mut self, region: &Region) -> Result<()> {
        let ticket = self.begin_dma_map(region)?;
        self.finish(ticket).map(drop)
    }

    /// Sends `DMA_MAP` without waiting, as QEMU does within one memory transaction.
    ///
    /// # Errors
    /// Fails when the server is gone or takes nothing.
    pub fn begin_dma_map(&mut self, region: &Region) -> Result<Ticket> {
        let writable = if region.writable { DMA_WRITABLE } else { 0 };
        let file = region.file();
        self.begin_map_range(
            region.gpa,
            region.size,
            region.file_offset,
            DMA_READABLE | writable,
            file,
        )
    }

    /// Sends `DMA_MAP` of any range.
    ///
    /// # Errors
    /// Fails when the server is gone or takes nothing.
    pub fn begin_map_range(
        &mut self,
        gpa: u64,
        size: u64,
        file_offset: u64,
        flags: u32,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Ticket> {
        let payload = Writer::new()
            .put_u32(32)
            .put_u32(flags)
            .put_u64(file_offset)
            .put_u64(gpa)
            .put_u64(size)
            .finish();
        let fd = file.map(|file| file.as_raw_fd());
        self.begin(command::DMA_MAP, &payload, fd.as_slice())
    }

    /// `DMA_UNMAP` of one range.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn dma_unmap(&mut self, gpa: u64, size: u64) -> Result<()> {
        let ticket = self.begin_dma_unmap(gpa, size)?;
        self.finish(ticket).map(drop)
    }

    /// Sends `DMA_UNMAP` without waiting.
    ///
    /// # Errors
    /// Fails when the server is gone or takes nothing.
    pub fn begin_dma_unmap(&mut self, gpa: u64, size: u64) -> Result<Ticket> {
        self.begin(command::DMA_UNMAP, &unmap(0, gpa, size), &[])
    }

    /// `DMA_UNMAP` of everything.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn dma_unmap_all(&mut self) -> Result<()> {
        self.request(command::DMA_UNMAP, &unmap(UNMAP_ALL, 0, 0), &[])
            .map(drop)
    }

    /// `DEVICE_RESET`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn reset(&mut self) -> Result<()> {
        self.request(command::RESET, &[], &[]).map(drop)
    }

    /// `DEVICE_GET_REGION_IO_FDS`, in two steps: how much there is, then all of it.
    ///
    /// # Errors
    /// As [`Client::request`]; entries that name no descriptor are a broken protocol.
    pub fn region_io_fds(&mut self, index: u32) -> Result<Vec<IoFd>> {
        let argsz = self.region_io_fds_step(index, IO_FDS_SIZE)?.1;
        if argsz == IO_FDS_SIZE {
            return Ok(Vec::new());
        }
        let (reply, _) = self.region_io_fds_step(index, argsz)?;
        let mut reader = Reader::new(&reply.payload);
        let (_argsz, _flags, _index) = (reader.take_u32(), reader.take_u32(), reader.take_u32());
        let count = reader.take_u32();
        if count > (argsz - IO_FDS_SIZE) / IO_FD_SIZE {
            return Err(Error::Protocol(format!("{count} io fds in {argsz} bytes")));
        }
        let mut entries = Vec::new();
        for _ in 0..count {
            let (offset, size) = (reader.take_u64(), reader.take_u64());
            let (fd_index, kind, flags) = (reader.take_u32(), reader.take_u32(), reader.take_u32());
            let _padding = reader.take_u32();
            let datamatch = reader.take_u64();
            let fd = reply
                .fds
                .get(fd_index as usize)
                .ok_or_else(|| Error::Protocol(format!("io fd {fd_index} did not come along")))?
                .try_clone()
                .map_err(Error::io("duplicating a descriptor"))?;
            entries.push(IoFd {
                offset,
                size,
                kind,
                flags,
                datamatch,
                fd,
            });
        }
        reader.end("DEVICE_GET_REGION_IO_FDS")?;
        Ok(entries)
    }

    fn region_io_fds_step(&mut self, index: u32, argsz: u32) -> Result<(Message, u32)> {
        let words = Writer::new()
            .put_u32(argsz)
            .put_u32(0)
            .put_u32(index)
            .put_u32(0);
        let reply = self.request(command::GET_REGION_IO_FDS, &words.finish(), &[])?;
        let needed = Reader::new(&reply.payload).take_u32();
        if needed < IO_FDS_SIZE || needed as usize > MAX_MESSAGE {
            return Err(Error::Protocol(format!(
                "io fds of region {index} want {needed} bytes"
            )));
        }
        Ok((reply, needed))
    }
}

/// The fixed part of `REGION_READ` and `REGION_WRITE`.
fn region_access(region: u32, offset: u64, count: usize) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&offset.to_le_bytes());
    out[8..12].copy_from_slice(&region.to_le_bytes());
    out[12..].copy_from_slice(&(count as u32).to_le_bytes());
    out
}

fn unmap(flags: u32, gpa: u64, size: u64) -> Vec<u8> {
    Writer::new()
        .put_u32(24)
        .put_u32(flags)
        .put_u64(gpa)
        .put_u64(size)
        .finish()
}
