//! The tail of a ring: the descriptor behind the last that the driver has made available.

use std::sync::Arc;

use crate::mem::SharedRegisters;
use crate::sync::atomic::{AtomicU32, Ordering};

/// A line of its own: others would share it with rings of other devices.
#[derive(Debug)]
#[repr(align(64))]
struct Cell(AtomicU32);

/// A tail register, which the worker reads; clones are the same register.
#[derive(Clone, Debug)]
pub struct Tail(Place);

/// Where its value is.
#[derive(Clone, Debug)]
enum Place {
    /// Here: whoever hears the doorbell sets it.
    Own(Arc<Cell>),
    /// In memory that the driver writes itself: among these, so many bytes in.
    Shared(Arc<SharedRegisters>, usize),
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

impl Tail {
    /// A register that reads 0.
    pub fn new() -> Self {
        Self(Place::Own(Arc::new(Cell(AtomicU32::new(0)))))
    }

    /// The register of four bytes at `at` of these.
    pub const fn shared(registers: Arc<SharedRegisters>, at: usize) -> Self {
        Self(Place::Shared(registers, at))
    }

    /// Makes it one that reads 0. A ring that has it still keeps the value that it had, if nobody else could change that.
    pub fn renew(&mut self) {
        match self.0 {
            Place::Own(_) => *self = Self::new(),
            Place::Shared(..) => self.set(0),
        }
    }

    /// What the driver wrote, whatever that is: the ring says what is wrong with it. All that it wrote to memory
    /// before is seen by whoever reads this.
    #[inline]
    pub fn set(&self, value: u32) {
        match &self.0 {
            Place::Own(cell) => cell.0.store(value, Ordering::Release),
            Place::Shared(registers, at) => registers.store(*at, value),
        }
    }

    /// What the driver wrote last.
    #[inline]
    pub fn get(&self) -> u32 {
        match &self.0 {
            Place::Own(cell) => cell.0.load(Ordering::Acquire),
            Place::Shared(registers, at) => registers.load(*at),
        }
    }
}

#[cfg(all(test, loom))]
mod models;
