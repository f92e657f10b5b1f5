//! Names of devices, and the identities made from them.

mod check;
mod identity;

pub use check::{NameError, check_length, check_name};
pub use identity::{HostId, Identity};

#[cfg(test)]
mod tests;
