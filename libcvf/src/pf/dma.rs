//! Memory of ours, and where a function's DMA finds it.

use std::sync::Arc;

use super::vfio::{Container, DmaError, Mapped};
use crate::dataplane::{Hold, Reaching};
use crate::mem::OwnMemory;

/// A part of memory that a function may read and write.
#[derive(Clone)]
pub(super) struct DmaBlock {
    memory: Arc<OwnMemory>,
    iova: u64,
    /// Nothing, for a model that finds the memory itself.
    _mapped: Option<Arc<Mapped>>,
}

impl DmaBlock {
    /// `len` bytes of new memory, anywhere in the container's addresses.
    ///
    /// # Errors
    /// There is no memory, or the IOMMU refuses it.
    pub(super) fn new(container: &Arc<Container>, len: usize) -> Result<Self, DmaError> {
        let memory = OwnMemory::new(len).map_err(|errno| DmaError::Kernel {
            attempt: format!("allocating {len} bytes for DMA"),
            errno,
        })?;
        let (memory, mapped) = container.map_own(memory)?;
        Ok(Self {
            memory,
            iova: mapped.iova(),
            _mapped: Some(Arc::new(mapped)),
        })
    }

    /// The memory.
    pub(super) const fn memory(&self) -> &Arc<OwnMemory> {
        &self.memory
    }

    /// Its first byte's address for the function's DMA.
    pub(super) const fn iova(&self) -> u64 {
        self.iova
    }

    /// Memory that a model of a function finds at an address.
    #[cfg(test)]
    pub(super) const fn of_model(memory: Arc<OwnMemory>, iova: u64) -> Self {
        Self {
            memory,
            iova,
            _mapped: None,
        }
    }
}

/// Bytes of the window of addresses that one device has, and of those at its end that nothing is mapped to: hardware that
/// writes on behind a buffer finds nobody else's memory.
const WINDOW: u64 = 1 << 35;
const GUARD: u64 = 1 << 20;
/// Bytes that are pinned in one go: whoever else changes the domain waits for as long.
const PIECE: u64 = 64 << 20;

/// The DMA addresses of one device's memory: guest addresses, moved into a window of its own, so that an address in a
/// report of the IOMMU's tells whose it is.
pub(super) struct Window {
    container: Arc<Container>,
    first: u64,
}

impl Window {
    /// Window number `number` of a container. The addresses below the first are for memory of ours.
    pub(super) const fn new(container: Arc<Container>, number: u32) -> Self {
        let first = (number as u64 + 1) * WINDOW;
        Self { container, first }
    }
}

impl Reaching for Window {
    fn reach(
        &self,
        guest: u64,
        (address, size): (usize, u64),
        writable: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String> {
        let room = WINDOW - GUARD;
        if guest.checked_add(size).is_none_or(|end| end > room) {
            return Err(format!(
                "guest memory at {guest:#x}+{size:#x} does not fit into a window of {room:#x} bytes"
            ));
        }
        let iova = self.first + guest;
        let pieces = pin(&self.container, iova, (address, size), writable, &memory)?;
        Ok((iova, pieces))
    }
}

/// The DMA addresses of a device that has all of a function: the guest's own.
pub(super) struct Identity {
    container: Arc<Container>,
}

impl Identity {
    pub(super) const fn new(container: Arc<Container>) -> Self {
        Self { container }
    }
}

impl Reaching for Identity {
    fn reach(
        &self,
        guest: u64,
        place: (usize, u64),
        writable: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String> {
        let pieces = pin(&self.container, guest, place, writable, &memory)?;
        Ok((guest, pieces))
    }
}

/// Pins memory piece by piece, to be found from `iova` on.
fn pin(
    container: &Arc<Container>,
    iova: u64,
    (address, size): (usize, u64),
    writable: bool,
    memory: &Hold,
) -> Result<Hold, String> {
    let mut pieces = Vec::new();
    let mut done = 0;
    while done < size {
        let len = PIECE.min(size - done);
        let place = (address + done as usize, len);
        let mapped = container.map(iova + done, place, writable, Arc::clone(memory));
        pieces.push(mapped.map_err(|error| error.to_string())?);
        done += len;
    }
    Ok(Arc::new(pieces))
}
