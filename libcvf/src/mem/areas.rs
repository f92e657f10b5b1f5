//! The areas of a queue, whatever its format: translated once, joined where they are scattered.
//!
//! [`Areas`] keeps the translation between bursts and renews it when the device's memory changed. It
//! knows sizes and alignments only; what lies in an area is the business of the views.

use std::sync::Arc;

use super::fault::Guarded;
use super::file::MappedFile;
use super::regions::{Access, Regions, TranslateError};
use crate::limits::{MAX_AVF_BUFFER, MAX_RING_RUNS, MIN_AVF_BUFFER};

const PAGE: usize = 4096;

/// Why a ring cannot be used where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Not a size of this format.
    #[error(
        "ring size {0} is not one of this ring format (split: a power of two; packed: 1 to 32768; AVF: \
         64 to 4096 in steps of 32)"
    )]
    Size(u16),
    /// Not a size of receive buffers, where a ring has one for all.
    #[error(
        "receive buffers of {0} bytes: a ring has them of {MIN_AVF_BUFFER} to {MAX_AVF_BUFFER}"
    )]
    Buffer(u32),
    /// Misaligned.
    #[error("the {area} at {address:#x} is not aligned to {align} bytes")]
    Align {
        /// Which area.
        area: &'static str,
        /// Where.
        address: u64,
        /// What the specification asks for.
        align: u64,
    },
    /// Not reachable.
    #[error("the {area}: {source}")]
    Translate {
        /// Which area.
        area: &'static str,
        /// Why.
        source: TranslateError,
    },
    /// Scattered in a way that cannot be joined.
    #[error("the {0} is scattered over memory that cannot be joined into one piece")]
    Scattered(&'static str),
}

/// What an area has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct AreaPlan {
    /// Its name in messages.
    pub name: &'static str,
    /// Guest address.
    pub address: u64,
    /// Bytes.
    pub len: u64,
    /// Alignment, also of the host address.
    pub align: u64,
    /// What the device does there; the last one decides about the mapping, all must be allowed.
    pub access: &'static [Access],
}

impl AreaPlan {
    fn misaligned(&self) -> PlaceError {
        PlaceError::Align {
            area: self.name,
            address: self.address,
            align: self.align,
        }
    }
}

/// One area of a ring: its translation, and the alias that joins it when it is scattered.
#[derive(Debug, Default)]
struct Area {
    base: usize,
    alias: Option<Alias>,
}

/// The translation of a queue's areas, kept while the device's memory stays as it is.
#[derive(Debug)]
pub(super) struct Areas<const COUNT: usize = 3> {
    plans: [AreaPlan; COUNT],
    serial: u64,
    areas: [Area; COUNT],
}

impl<const COUNT: usize> Areas<COUNT> {
    /// Nothing is translated yet.
    ///
    /// # Errors
    /// Alignment.
    pub(super) fn new(plans: [AreaPlan; COUNT]) -> Result<Self, PlaceError> {
        for plan in &plans {
            if plan.address % plan.align != 0 {
                return Err(plan.misaligned());
            }
        }
        Ok(Self {
            plans,
            serial: 0,
            areas: std::array::from_fn(|_| Area::default()),
        })
    }

    /// Host addresses of the areas in this state of the device's memory; good as long as both
    /// borrows.
    ///
    /// # Errors
    /// [`PlaceError`] when an area is not (any more) reachable.
    #[inline]
    pub(super) fn bases(&mut self, regions: &Regions) -> Result<[usize; COUNT], PlaceError> {
        if self.serial != regions.serial() {
            self.translate(regions)?;
        }
        Ok(self.areas.each_ref().map(|area| area.base))
    }

    #[cold]
    fn translate(&mut self, regions: &Regions) -> Result<(), PlaceError> {
        self.serial = 0;
        for (slot, plan) in self.areas.iter_mut().zip(&self.plans) {
            let AreaPlan {
                name: area,
                address,
                len,
                ..
            } = *plan;
            let mut runs = None;
            for access in plan.access {
                runs = regions
                    .raw_pieces(address, len, *access, MAX_RING_RUNS)
                    .map_err(|source| PlaceError::Translate { area, source })?;
            }
            let runs = runs.ok_or(PlaceError::Scattered(area))?;
            if let [(base, _)] = runs[..] {
                *slot = Area { base, alias: None };
            } else if slot.alias.as_ref().is_none_or(|alias| alias.runs != runs) {
                // The old alias goes first, so that an endless renewal never holds two.
                slot.alias = None;
                let files = regions.files(address, len);
                let alias = Alias::join(runs, files).ok_or(PlaceError::Scattered(area))?;
                *slot = Area {
                    base: alias.start,
                    alias: Some(alias),
                };
            }
            if !(slot.base as u64).is_multiple_of(plan.align) {
                return Err(plan.misaligned());
            }
        }
        self.serial = regions.serial();
        Ok(())
    }

    /// True once the memory under a joined area was truncated.
    pub(super) fn faulted(&self) -> bool {
        self.areas
            .iter()
            .any(|a| a.alias.as_ref().is_some_and(Alias::faulted))
    }
}

/// Scattered pages, mapped a second time side by side.
#[derive(Debug)]
struct Alias {
    guard: Option<Guarded>,
    base: usize,
    len: usize,
    start: usize,
    runs: Vec<(usize, usize)>,
    /// Keeps the addresses in `runs` from being given to another file.
    _files: Vec<Arc<MappedFile>>,
}

impl Alias {
    fn join(runs: Vec<(usize, usize)>, files: Vec<Arc<MappedFile>>) -> Option<Self> {
        let skip = runs.first()?.0 % PAGE;
        let inner_ends_aligned = runs
            .iter()
            .rev()
            .skip(1)
            .all(|(at, len)| (at + len) % PAGE == 0);
        let inner_starts_aligned = runs.iter().skip(1).all(|(at, _)| at % PAGE == 0);
        if !inner_ends_aligned || !inner_starts_aligned {
            return None;
        }
        let pages = |at: usize, len: usize| (at - at % PAGE, (at + len).next_multiple_of(PAGE));
        let spans: Vec<_> = runs.iter().map(|&(at, len)| pages(at, len)).collect();
        let total = spans.iter().map(|(from, to)| to - from).sum();
        // SAFETY: reserves fresh address space at the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                total,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        let base = base as usize;
        let mut at = base;
        for (from, to) in spans {
            // SAFETY: with an old size of 0 the pages of a shared mapping of ours are mapped once
            // more; the target lies inside the reservation just made.
            let joined = unsafe {
                libc::mremap(
                    from as *mut libc::c_void,
                    0,
                    to - from,
                    libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                    at as *mut libc::c_void,
                )
            };
            if joined == libc::MAP_FAILED {
                // SAFETY: exactly the reservation.
                unsafe { libc::munmap(base as *mut libc::c_void, total) };
                return None;
            }
            at += to - from;
        }
        let Some(guard) = Guarded::enter(base, total) else {
            // SAFETY: exactly the reservation.
            unsafe { libc::munmap(base as *mut libc::c_void, total) };
            return None;
        };
        Some(Self {
            guard: Some(guard),
            base,
            len: total,
            start: base + skip,
            runs,
            _files: files,
        })
    }
}

impl Alias {
    fn faulted(&self) -> bool {
        self.guard.as_ref().is_some_and(Guarded::faulted)
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        // As in `MappedFile`: a fault must never find an entry whose range is somebody else's.
        self.guard = None;
        // SAFETY: exactly what was reserved; views of it borrow the cache that owns this alias.
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.len) };
    }
}
