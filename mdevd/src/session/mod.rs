//! The tokio side of a device's vfio-user socket.

mod access;
mod place;

pub use access::Access;
pub use place::{Place, PlaceError};
