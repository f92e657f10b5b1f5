//! Sockets: they move bytes and descriptors between a client and an endpoint, and nothing else.

pub mod blocking;
#[cfg(feature = "tokio")]
pub mod tokio;

#[cfg(feature = "tokio")]
mod linger;
mod listener;
mod step;

pub use listener::Listener;
