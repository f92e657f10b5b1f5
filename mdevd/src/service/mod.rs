//! The daemon as a service: what it tells its manager, what it is handed, and how it is reloaded.

mod activation;
mod around;
mod notify;
mod parts;
mod reload;
mod sys;
mod timeslice;
mod watchdog;

pub use activation::{ActivationError, CONTROL, control_socket};
pub use around::Around;
pub use notify::{alive, faring, ready, reloaded, reloading, stopping};
pub use parts::{CalloutSettings, LogLevel, ProfileFiles, SocketDefaults};
pub use reload::{Part, Prepared, Reloader};
pub use timeslice::shorten as shorten_timeslice;
pub use watchdog::{Watchdog, interval};

#[cfg(test)]
mod tests;
