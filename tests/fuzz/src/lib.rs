//! What the fuzz targets do with their bytes.

pub mod avf;
pub mod avf_mailbox;
pub mod claims;
pub mod input;
pub mod rings;
pub mod session;
mod world;
