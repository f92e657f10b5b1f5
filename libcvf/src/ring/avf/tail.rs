//! The tail of a ring: the descriptor behind the last that the driver has made available.

use std::sync::Arc;

use crate::sync::atomic::{AtomicU32, Ordering};

/// A line of its own: others would share it with rings of other devices.
#[derive(Debug)]
#[repr(align(64))]
struct Cell(AtomicU32);

/// A tail register. Whoever hears the doorbell sets it, the worker reads it; clones are the same register.
#[derive(Clone, Debug)]
pub struct Tail(Arc<Cell>);

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

impl Tail {
    /// A register that reads 0.
    pub fn new() -> Self {
        Self(Arc::new(Cell(AtomicU32::new(0))))
    }

    /// What the driver wrote, whatever that is: the ring says what is wrong with it. All that it wrote to memory
    /// before is seen by whoever reads this.
    #[inline]
    pub fn set(&self, value: u32) {
        self.0.0.store(value, Ordering::Release);
    }

    /// What the driver wrote last.
    #[inline]
    pub fn get(&self) -> u32 {
        self.0.0.load(Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod models;
