//! What a NIC would do to a frame: header parse, checksum, segmentation. Never allocates per frame.

mod meta;

pub use meta::{Accepts, Csum, FrameMeta, Gso};
