//! Definitions and what runs of them: `define`, `undefine`, `start`, `stop`, and what comes back when.
//!
//! A *definition* is what the store keeps. A *persistent* one stays until it is undefined or destroyed, whether
//! its device runs or not. A *transient* device is stored, too, so that it survives the daemon; it belongs to one
//! boot of the host and is forgotten when it stops.

mod answer;
mod boot;
mod define;
mod document;
mod due;
mod exchange;
mod hooks;
mod import;
mod life;
mod promote;
mod replace;
mod since;
pub(in crate::engine) mod start;
mod stop;
mod types;
mod undefine;

pub use answer::{Ended, LifeOutcome};
pub use boot::BootId;
pub use define::DefineRequest;
pub use due::Due;
pub use exchange::{Exported, FORMAT, VERSION};
pub use hooks::{Action, Hooks, Moment};
pub use import::{ImportOptions, ImportOutcome, Imported, ImportedDevice};
pub(super) use life::order;
pub use life::{Life, LifeDraft, LifeRequest, MAX_ORDER, Start};
pub use types::{ProfileLimits, TypeView, Types};
