//! What the fuzz targets do with their bytes.

pub mod claims;
pub mod input;
pub mod rings;
pub mod session;
