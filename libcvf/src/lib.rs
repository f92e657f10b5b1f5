//! Composable virtual functions: composition and data plane.
//!
//! A *CVF* is a slice of a physical function (queue pairs, an RSS domain, vectors, doorbell
//! pages, filters) joined with a *personality* (the device a guest sees) and a port at the switch.
//! This crate owns all of that and never talks to sockets, files of its own or a message bus; the
//! only threads it starts are the data plane's workers.
//!
//! Modules import only those above them: `sync`, `kept`, [`mem`], [`pci`], [`ledger`], [`offload`], [`ring`],
//! [`switch`], [`control`], [`personality`], [`dataplane`], [`pf`], [`cvf`].

pub mod limits;

mod sync;

mod kept;

pub mod mem;
pub mod pci;

pub mod ledger;

pub mod offload;

pub mod ring;

pub mod switch;

pub mod control;

pub mod personality;

pub mod dataplane;

pub mod pf;

pub mod cvf;
