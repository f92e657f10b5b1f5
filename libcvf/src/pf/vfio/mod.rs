//! A PCI function of the host in our hands, by the kernel's VFIO.
//!
//! Owns the plumbing that every driver of such a function shares: its group and container, what its DMA can
//! reach and how much of that is taken, its BARs, configuration space, interrupts and reset, and how it is let go of
//! while it is in use. Never knows what the function is: that is what the drivers beside this module do.

mod address;
mod bar;
mod container;
mod faults;
mod function;
mod host;
mod info;
mod interrupts;
mod iova;
mod sys;

pub use address::{AddressError, PciAddress};
pub use bar::{Bar, Registers};
pub use container::{Container, DmaAccount, DmaError, Mapped};
pub use faults::{FaultLog, FaultWatch};
pub use function::{Function, VfioError};
pub use host::{Binding, HostFunction, HostTree};
pub use interrupts::{Alarms, VectorEvents};
pub use iova::{IovaRange, IovaSpace};
