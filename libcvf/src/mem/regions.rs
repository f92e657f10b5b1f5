//! One immutable state of a device's memory: sorted regions and translation.
//!
//! Readers load a snapshot once per burst. A change copies one node of [`REGION_NODE`] regions, so
//! that the 65,535 maps a client may make stay cheap to change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::MappedFile;
use super::slice::{ReadSlice, WriteSlice};
use crate::limits::REGION_NODE;

/// What an access wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The device reads.
    Read,
    /// The device writes.
    Write,
}

/// Why a guest address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// Nobody mapped it.
    #[error("guest address {0:#x} is not mapped")]
    Unmapped(u64),
    /// The client mapped it, but gave no file descriptor (or one that cannot be used).
    #[error("guest address {0:#x} is in memory mapped without a usable file descriptor")]
    NoFile(u64),
    /// The map forbids this access.
    #[error("guest address {0:#x} is mapped, but not for writing")]
    Forbidden(u64),
    /// Address and length overflow 64 bits.
    #[error("guest range at {0:#x} wraps around the address space")]
    Wraps(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Region {
    pub iova: u64,
    pub size: u64,
    /// Host address of `iova`; meaningful with `file`.
    pub host: usize,
    pub read: bool,
    pub write: bool,
    pub file: Option<Arc<MappedFile>>,
}

impl Region {
    fn last(&self) -> u64 {
        self.iova + (self.size - 1)
    }
}

/// A region that lies in a file: what a function's DMA may be given to reach.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Its guest address.
    pub guest: u64,
    /// Where it is in this process.
    pub address: usize,
    /// Bytes.
    pub size: u64,
    /// The device may write there.
    pub writable: bool,
    /// Keeps it mapped.
    pub file: Arc<MappedFile>,
}

/// A snapshot of a device's memory. Shared, never changed.
#[derive(Debug)]
pub struct Regions {
    nodes: Vec<Arc<Vec<Region>>>,
    count: usize,
    bytes: u64,
    serial: u64,
}

fn next_serial() -> u64 {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

impl Default for Regions {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            count: 0,
            bytes: 0,
            serial: next_serial(),
        }
    }
}

impl Regions {
    /// Regions in this snapshot.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Bytes of guest memory they cover.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Unique among all snapshots of all devices.
    pub(super) const fn serial(&self) -> u64 {
        self.serial
    }

    /// True once a file under any of them was truncated.
    pub fn faulted(&self) -> bool {
        self.iter()
            .any(|r| r.file.as_ref().is_some_and(|f| f.faulted()))
    }

    /// True when some region has no usable file.
    pub fn lacks_file(&self) -> bool {
        self.iter().any(|r| r.file.is_none())
    }

    /// What of it lies in files, region by region.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Block> {
        self.iter().filter_map(|region| {
            Some(Block {
                guest: region.iova,
                address: region.host,
                size: region.size,
                writable: region.write,
                file: Arc::clone(region.file.as_ref()?),
            })
        })
    }

    fn iter(&self) -> impl Iterator<Item = &Region> {
        self.nodes.iter().flat_map(|n| n.iter())
    }

    #[inline]
    pub(super) fn find(&self, address: u64) -> Option<&Region> {
        let node = match self.nodes.as_slice() {
            [] => return None,
            [only] => only,
            many => {
                let after = many.partition_point(|n| n[0].iova <= address);
                &many[after.checked_sub(1)?]
            }
        };
        let after = node.partition_point(|r| r.iova <= address);
        let region = &node[after.checked_sub(1)?];
        (address <= region.last()).then_some(region)
    }

    /// Host address of `address` and how many bytes lie there contiguously, at most `len`.
    #[inline]
    fn piece(
        &self,
        address: u64,
        len: u64,
        access: Access,
    ) -> Result<(usize, usize), TranslateError> {
        let region = self
            .find(address)
            .ok_or(TranslateError::Unmapped(address))?;
        if region.file.is_none() {
            return Err(TranslateError::NoFile(address));
        }
        let allowed = match access {
            Access::Read => region.read,
            Access::Write => region.write,
        };
        if !allowed {
            return Err(TranslateError::Forbidden(address));
        }
        let skip = address - region.iova;
        let here = (region.size - skip).min(len);
        // Both fit: the region lies wholly inside a mapping of this address space.
        Ok((region.host + skip as usize, here as usize))
    }

    /// Calls `each` with every host piece of a guest range, in order.
    ///
    /// # Errors
    /// [`TranslateError`] at the first byte that cannot be used; `each` may have seen pieces before.
    #[inline]
    fn pieces(
        &self,
        address: u64,
        len: u64,
        access: Access,
        mut each: impl FnMut(usize, usize) -> bool,
    ) -> Result<bool, TranslateError> {
        if len == 0 {
            return Ok(true);
        }
        if address.checked_add(len - 1).is_none() {
            return Err(TranslateError::Wraps(address));
        }
        let (mut at, mut left) = (address, len);
        loop {
            let (host, here) = self.piece(at, left, access)?;
            if !each(host, here) {
                return Ok(false);
            }
            left -= here as u64;
            if left == 0 {
                return Ok(true);
            }
            at += here as u64;
        }
    }

    /// Readable pieces of a guest range, in order, as long as `each` takes them; false when it
    /// refused one.
    ///
    /// # Errors
    /// [`TranslateError`] at the first byte that cannot be read.
    #[inline]
    pub fn readable<'m>(
        &'m self,
        address: u64,
        len: u64,
        mut each: impl FnMut(ReadSlice<'m>) -> bool,
    ) -> Result<bool, TranslateError> {
        self.pieces(address, len, Access::Read, |host, len| {
            each(ReadSlice::new(host, len))
        })
    }

    /// As [`Self::readable`], for writing.
    ///
    /// # Errors
    /// [`TranslateError`] at the first byte that cannot be written.
    #[inline]
    pub fn writable<'m>(
        &'m self,
        address: u64,
        len: u64,
        mut each: impl FnMut(WriteSlice<'m>) -> bool,
    ) -> Result<bool, TranslateError> {
        self.pieces(address, len, Access::Write, |host, len| {
            each(WriteSlice::new(host, len))
        })
    }

    /// Translates many addresses of buffers to read; `hint` is the caller's from one time to the next.
    #[inline]
    pub fn readable_cursor<'m, 'h>(&'m self, hint: &'h mut RegionHint) -> ReadCursor<'m, 'h> {
        ReadCursor(Cursor::new(self, hint, Access::Read))
    }

    /// Translates many addresses of buffers to write; `hint` as with [`Self::readable_cursor`].
    #[inline]
    pub fn writable_cursor<'m, 'h>(&'m self, hint: &'h mut RegionHint) -> WriteCursor<'m, 'h> {
        WriteCursor(Cursor::new(self, hint, Access::Write))
    }

    /// Runs that are contiguous in host memory, as `(host, len)`; `None` when more than `limit`.
    pub(super) fn raw_pieces(
        &self,
        address: u64,
        len: u64,
        access: Access,
        limit: usize,
    ) -> Result<Option<Vec<(usize, usize)>>, TranslateError> {
        let mut all: Vec<(usize, usize)> = Vec::new();
        let fits = self.pieces(address, len, access, |host, len| {
            // Neighbours in the file are neighbours here: a file is mapped whole.
            if let Some((start, run)) = all.last_mut()
                && *start + *run == host
            {
                *run += len;
                return true;
            }
            let room = all.len() < limit;
            all.push((host, len));
            room
        })?;
        Ok(fits.then_some(all))
    }

    /// The files under a guest range that translates.
    pub(super) fn files(&self, address: u64, len: u64) -> Vec<Arc<MappedFile>> {
        let (mut files, mut at, end) = (Vec::new(), address, address.saturating_add(len));
        while at < end
            && let Some(region) = self.find(at)
        {
            files.extend(region.file.clone());
            at = region.iova.saturating_add(region.size);
        }
        files
    }

    /// First region that overlaps `[iova, last]`.
    pub(super) fn overlap(&self, iova: u64, last: u64) -> Option<&Region> {
        if let Some(region) = self.find(iova) {
            return Some(region);
        }
        let node_at = self.nodes.partition_point(|n| n[0].iova <= iova);
        let in_previous = node_at.checked_sub(1).and_then(|i| {
            let node = &self.nodes[i];
            node.get(node.partition_point(|r| r.iova <= iova))
        });
        in_previous
            .or_else(|| self.nodes.get(node_at).and_then(|n| n.first()))
            .filter(|r| r.iova <= last)
    }

    /// This state with one more region; the caller has checked that nothing overlaps.
    pub(super) fn with(&self, region: Region) -> Self {
        let mut nodes = self.nodes.clone();
        let bytes = self.bytes + region.size;
        let at = nodes
            .partition_point(|n| n[0].iova <= region.iova)
            .saturating_sub(1);
        match nodes.get(at) {
            None => nodes.push(Arc::new(vec![region])),
            Some(node) => {
                let mut changed = Vec::with_capacity(node.len() + 1);
                let place = node.partition_point(|r| r.iova < region.iova);
                changed.extend_from_slice(&node[..place]);
                changed.push(region);
                changed.extend_from_slice(&node[place..]);
                if changed.len() > REGION_NODE {
                    let second = changed.split_off(REGION_NODE / 2);
                    nodes.insert(at + 1, Arc::new(second));
                }
                nodes[at] = Arc::new(changed);
            }
        }
        Self {
            nodes,
            count: self.count + 1,
            bytes,
            serial: next_serial(),
        }
    }

    /// This state without the region that is exactly `[iova, iova + size)`.
    pub(super) fn without(&self, iova: u64, size: u64) -> Option<Self> {
        let at = self
            .nodes
            .partition_point(|n| n[0].iova <= iova)
            .checked_sub(1)?;
        let place = self.nodes[at]
            .iter()
            .position(|r| r.iova == iova && r.size == size)?;
        let mut nodes = self.nodes.clone();
        let mut changed = Vec::clone(&nodes[at]);
        changed.remove(place);
        if changed.is_empty() {
            nodes.remove(at);
        } else {
            nodes[at] = Arc::new(changed);
        }
        Some(Self {
            nodes,
            count: self.count - 1,
            bytes: self.bytes - size,
            serial: next_serial(),
        })
    }
}

/// Where the last buffer lay: nearly always the next one lies there too. Kept between bursts for one
/// kind of access.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionHint {
    /// Of the regions that the rest is about.
    serial: u64,
    /// What may be done there; `None`: no region yet.
    access: Option<Access>,
    iova: u64,
    /// 0: no region yet.
    size: u64,
    host: usize,
}

/// Translation that remembers the region of the last address: a ring's buffers mostly lie in one.
/// It knows the usual case only, a buffer in one piece; for all others there is
/// [`Regions::readable`] and [`Regions::writable`], which also say what is wrong.
#[derive(Debug)]
pub(super) struct Cursor<'m, 'h> {
    regions: &'m Regions,
    access: Access,
    hint: &'h mut RegionHint,
    iova: u64,
    size: u64,
    host: usize,
}

impl<'m, 'h> Cursor<'m, 'h> {
    #[inline]
    fn new(regions: &'m Regions, hint: &'h mut RegionHint, access: Access) -> Self {
        if hint.serial != regions.serial || hint.access != Some(access) {
            // Regions of another moment: what is there may be gone. Or it is for something else.
            *hint = RegionHint::default();
        }
        let RegionHint {
            iova, size, host, ..
        } = *hint;
        Self {
            regions,
            access,
            hint,
            iova,
            size,
            host,
        }
    }

    /// The region of an address, if it may be accessed.
    #[cold]
    fn seek(regions: &Regions, address: u64, access: Access) -> Option<RegionHint> {
        let region = regions.find(address)?;
        let allowed = match access {
            Access::Read => region.read,
            Access::Write => region.write,
        };
        (allowed && region.file.is_some()).then_some(RegionHint {
            serial: regions.serial,
            access: Some(access),
            iova: region.iova,
            size: region.size,
            host: region.host,
        })
    }

    /// Host address of a range that lies in one region.
    #[inline(always)]
    pub(super) fn whole(&mut self, address: u64, len: u32) -> Option<usize> {
        let mut skip = address.wrapping_sub(self.iova);
        if skip >= self.size {
            // What is passed and returned are values, so that these stay in registers meanwhile.
            let hint = Self::seek(self.regions, address, self.access)?;
            (self.iova, self.size, self.host) = (hint.iova, hint.size, hint.host);
            *self.hint = hint;
            skip = address - self.iova;
        }
        // The region lies wholly inside a mapping of this address space.
        (u64::from(len) <= self.size - skip).then(|| self.host + skip as usize)
    }
}

/// Looks up buffers to read. See [`Regions::readable_cursor`].
#[derive(Debug)]
pub struct ReadCursor<'m, 'h>(pub(super) Cursor<'m, 'h>);

impl<'m> ReadCursor<'m, '_> {
    /// The buffer, if it is one readable piece.
    #[inline]
    pub fn buffer(&mut self, address: u64, len: u32) -> Option<ReadSlice<'m>> {
        let host = self.0.whole(address, len)?;
        Some(ReadSlice::new(host, len as usize))
    }
}

/// Looks up buffers to write. See [`Regions::writable_cursor`].
#[derive(Debug)]
pub struct WriteCursor<'m, 'h>(pub(super) Cursor<'m, 'h>);

impl<'m> WriteCursor<'m, '_> {
    /// The buffer, if it is one writable piece.
    #[inline]
    pub fn buffer(&mut self, address: u64, len: u32) -> Option<WriteSlice<'m>> {
        let host = self.0.whole(address, len)?;
        Some(WriteSlice::new(host, len as usize))
    }
}
