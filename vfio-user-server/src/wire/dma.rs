//! DMA_MAP, DMA_UNMAP, and the server's own DMA_READ and DMA_WRITE.

use std::os::fd::OwnedFd;

use super::WireError;
use super::bytes::{Put, Reader, check_argsz, fixed};

const MAP_READ: u32 = 1 << 0;
const MAP_WRITE: u32 = 1 << 1;
// Not in QEMU's text; libvfio-user's clients may say how the fd is to be used.
const MAP_MMAP: u32 = 1 << 2;
const MAP_FILE_IO: u32 = 1 << 3;

const UNMAP_DIRTY_BITMAP: u32 = 1 << 0;
const UNMAP_ALL: u32 = 1 << 1;

const MAP_SIZE: usize = 32;
const UNMAP_SIZE: usize = 24;
const BITMAP_SIZE: usize = 16;

/// The bytes of a DMA_MAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaMapBody {
    /// Where the map begins in the device's address space.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// The device may read.
    pub readable: bool,
    /// The device may write.
    pub writable: bool,
    /// The client asks for the fd to be mapped.
    pub mmap: bool,
    /// The client asks for the fd to be read and written, not mapped.
    pub file_io: bool,
}

impl DmaMapBody {
    /// Reads the body of a DMA_MAP.
    ///
    /// # Errors
    /// Short bodies, `argsz` below the structure, unknown flags.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let (body, _) = fixed::<MAP_SIZE>(body)?;
        let mut reader = Reader::new(body);
        let (argsz, flags) = (reader.u32(), reader.u32());
        let (offset, address, size) = (reader.u64(), reader.u64(), reader.u64());
        check_argsz(argsz, MAP_SIZE as u64, u64::from(u32::MAX))?;
        if flags & !(MAP_READ | MAP_WRITE | MAP_MMAP | MAP_FILE_IO) != 0
            || flags & (MAP_MMAP | MAP_FILE_IO) == MAP_MMAP | MAP_FILE_IO
        {
            return Err(WireError::Flags(flags));
        }
        Ok(Self {
            address,
            size,
            offset,
            readable: flags & MAP_READ != 0,
            writable: flags & MAP_WRITE != 0,
            mmap: flags & MAP_MMAP != 0,
            file_io: flags & MAP_FILE_IO != 0,
        })
    }
}

/// What is behind a DMA map.
#[derive(Debug)]
pub enum Backing {
    /// Nothing to map: reach it with DMA_READ and DMA_WRITE through the link.
    Messages,
    /// A file to be mapped.
    Mmap(OwnedFd),
    /// A file to be read and written (`pread`, `pwrite`), at the client's wish not to be mapped.
    FileIo(OwnedFd),
}

/// A validated DMA_MAP: page-aligned, not empty, not overflowing, not overlapping another map.
#[derive(Debug)]
pub struct DmaMap {
    /// Where the map begins in the device's address space.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Where it begins in the file; `offset + size` fits an `off_t` if there is one.
    pub offset: u64,
    /// The device may read.
    pub readable: bool,
    /// The device may write.
    pub writable: bool,
    /// The memory itself.
    pub backing: Backing,
}

/// A validated DMA_UNMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaUnmap {
    /// Exactly one existing map.
    Range {
        /// Where it begins.
        address: u64,
        /// Its bytes.
        size: u64,
    },
    /// Every map (`VFIO_DMA_UNMAP_FLAG_ALL`).
    All,
}

/// How the client wants dirty pages of a map reported (`struct vfio_bitmap`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyQuery {
    /// Bytes that one bit stands for; a power of two.
    pub page_size: u64,
    /// Bytes of the bitmap; a multiple of 8, enough for the map.
    pub bitmap_size: u64,
}

/// Dirty pages, one bit each, lowest address in the lowest bit of the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyBitmap(pub Vec<u8>);

/// The bytes of a DMA_UNMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaUnmapBody {
    /// The `flags` as they came, for the reply.
    pub flags: u32,
    /// What to unmap.
    pub unmap: DmaUnmap,
    /// Whether and how dirty pages are asked for.
    pub dirty: Option<DirtyQuery>,
}

impl DmaUnmapBody {
    /// Reads the body of a DMA_UNMAP; `max_xfer` bounds the reply it may ask for.
    ///
    /// # Errors
    /// Short bodies, `argsz` too small for the reply or above `max_xfer`, unknown or combined flags,
    /// UNMAP_ALL with an address or size, a bitmap of the wrong size or page size.
    pub fn parse(body: &[u8], max_xfer: u32) -> Result<Self, WireError> {
        let (head, rest) = fixed::<UNMAP_SIZE>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, flags) = (reader.u32(), reader.u32());
        let (address, size) = (reader.u64(), reader.u64());
        let mut min_argsz = UNMAP_SIZE as u64;
        let mut dirty = None;
        let unmap = match flags {
            0 => DmaUnmap::Range { address, size },
            UNMAP_ALL => {
                if address != 0 || size != 0 {
                    let (field, value) = if address == 0 {
                        ("size", size)
                    } else {
                        ("address", address)
                    };
                    return Err(WireError::NotZero { field, value });
                }
                DmaUnmap::All
            }
            UNMAP_DIRTY_BITMAP => {
                if rest.len() < BITMAP_SIZE {
                    return Err(WireError::Short {
                        need: UNMAP_SIZE + BITMAP_SIZE,
                        have: body.len(),
                    });
                }
                let query = dirty_query(rest, size)?;
                min_argsz = min_argsz.saturating_add(BITMAP_SIZE as u64 + query.bitmap_size);
                dirty = Some(query);
                DmaUnmap::Range { address, size }
            }
            other => return Err(WireError::Flags(other)),
        };
        check_argsz(argsz, min_argsz, u64::from(max_xfer))?;
        Ok(Self {
            flags,
            unmap,
            dirty,
        })
    }

    /// The body of the reply: the request's entry, and the bitmap where one was asked for.
    pub fn reply(&self, bitmap: Option<&[u8]>) -> Vec<u8> {
        let (address, size) = match self.unmap {
            DmaUnmap::Range { address, size } => (address, size),
            DmaUnmap::All => (0, 0),
        };
        let mut length = UNMAP_SIZE;
        let bitmap = self.dirty.zip(bitmap);
        if let Some((_, bits)) = bitmap {
            length += BITMAP_SIZE + bits.len();
        }
        let mut out = Vec::with_capacity(length);
        out.put32(u32::try_from(length).unwrap_or(u32::MAX));
        out.put32(self.flags);
        out.put64(address);
        out.put64(size);
        if let Some((query, bits)) = bitmap {
            out.put64(query.page_size);
            out.put64(query.bitmap_size);
            out.extend_from_slice(bits);
        }
        out
    }
}

fn dirty_query(bytes: &[u8], map_size: u64) -> Result<DirtyQuery, WireError> {
    let mut reader = Reader::new(bytes);
    let (page_size, bitmap_size) = (reader.u64(), reader.u64());
    if !page_size.is_power_of_two() {
        return Err(WireError::Value {
            field: "bitmap.pgsize",
            value: page_size,
        });
    }
    let needed = map_size.div_ceil(page_size).div_ceil(64).checked_mul(8);
    if needed != Some(bitmap_size) {
        return Err(WireError::Value {
            field: "bitmap.size",
            value: bitmap_size,
        });
    }
    Ok(DirtyQuery {
        page_size,
        bitmap_size,
    })
}

/// Appends the body of a DMA_READ, or the fixed part of a DMA_WRITE.
pub fn dma_access_body(out: &mut Vec<u8>, address: u64, count: u64) {
    out.put64(address);
    out.put64(count);
}

/// The body of a client's reply to DMA_READ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaReadReply<'a> {
    /// Bytes that the client says it read.
    pub count: u64,
    /// The bytes; exactly `count`.
    pub data: &'a [u8],
}

impl<'a> DmaReadReply<'a> {
    /// Reads the body of a reply to DMA_READ.
    ///
    /// # Errors
    /// If it is short or its count differs from the data behind it.
    pub fn parse(body: &'a [u8]) -> Result<Self, WireError> {
        let (head, data) = fixed::<16>(body)?;
        let mut reader = Reader::new(head);
        let (_address, count) = (reader.u64(), reader.u64());
        if count != data.len() as u64 {
            return Err(WireError::Length {
                want: count.saturating_add(16),
                have: body.len(),
            });
        }
        Ok(Self { count, data })
    }
}

/// The body of a client's reply to DMA_WRITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaWriteReply {
    /// Bytes that the client says it wrote.
    pub count: u64,
}

impl DmaWriteReply {
    /// Reads the body of a reply to DMA_WRITE. The specification gives `count` 4 bytes, QEMU and
    /// libvfio-user send 8.
    ///
    /// # Errors
    /// If it is short.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let (_, rest) = fixed::<8>(body)?;
        if rest.len() >= 8 {
            return Ok(Self {
                count: Reader::new(rest).u64(),
            });
        }
        let (count, _) = fixed::<4>(rest).map_err(|_| WireError::Short {
            need: 12,
            have: body.len(),
        })?;
        Ok(Self {
            count: u64::from(u32::from_ne_bytes(*count)),
        })
    }
}
