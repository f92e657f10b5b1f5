//! A PF's inventory and the slices cut from it.
//!
//! Never touches hardware: it only says who has what. Internally synchronised by one lock that is
//! held for one cut, one return or one listing.

mod book;
mod ids;
mod inventory;
mod request;
mod slice;

pub use book::{Ledger, Owner};
pub use ids::{DoorbellPage, IdSet, QueuePair, RssDomain, Vector};
pub use inventory::{Inventory, Resource};
pub use request::{CutError, Request, Shortage};
pub use slice::{Slice, SliceId};
