//! The tokio side of a device's vfio-user socket.

mod access;
mod listen;
mod place;
mod visit;

pub use access::{Access, group, owner};
pub use listen::{Guest, listen};
pub use place::{Place, PlaceError};
pub use visit::Visits;
