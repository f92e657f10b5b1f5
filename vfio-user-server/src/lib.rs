//! A vfio-user server: present a PCI device written in Rust to a virtual machine over a UNIX socket.
//!
//! - [`Device`] is what you implement; [`Description`] says what it is made of.
//! - [`blocking`] serves it on a thread; [`tokio`](mod@tokio) (feature `tokio`) in a task.
//! - [`Endpoint`] and [`Session`] are the protocol without I/O, for other event loops and for tests.
//! - [`wire`] are the messages, parsed once into types.
//!
//! Nothing a client sends can panic, block or grow the server without bound; see [`limits`].
//! The protocol is QEMU's `docs/interop/vfio-user.rst`; numbers are those of `<linux/vfio.h>`,
//! re-exported as [`vfio`].

pub mod limits;
pub mod wire;

mod config_space;
mod describe;
mod device;
mod dma_table;
mod endpoint;
mod errno;
mod eventfd;
mod irq_table;
mod link;
mod mailbox;
mod observer;
mod session;
mod sys;
mod transport;

pub use config_space::ConfigSpace;
pub use describe::{Description, DescriptionError, Irq, Mapping, MmapArea, Region};
pub use device::{Answer, Body, Context, Device, RegionRange};
pub use dma_table::{DmaTable, DmaTableError};
pub use endpoint::Endpoint;
pub use errno::Errno;
pub use eventfd::{is_eventfd, signal};
pub use irq_table::IrqTable;
pub use link::{DmaFuture, Link};
pub use mailbox::{Completer, Deferred, Shutdown, Wake};
pub use observer::{Counters, Observer, Refusal};
pub use session::{
    Chunk, Config, DmaDone, DmaId, Ended, Negotiated, Output, Reply, Request, RequestKind, Session,
    Token, Violation,
};
pub use transport::blocking;
#[cfg(feature = "tokio")]
pub use transport::tokio;
pub use vfio_bindings::bindings::vfio;
