//! The real back end: CVFs of libcvf behind vfio-user sockets.
//!
//! The one place where protocol, data plane and sockets meet; none of them knows another.

mod adapter;
mod backend;
mod bells;
mod capture;
mod change;
mod conduct;
mod errors;
mod gate;
mod groups;
mod irqs;
mod numbers;
mod patrol;
mod policy;
mod quiet;
mod restart;
mod served;
mod sys;
mod uplink;

pub use backend::{BackendError, RealBackend};
pub(crate) use errors::{compose_error, socket_error, suits};
pub use groups::{GroupRates, Groups};

#[cfg(test)]
mod tests;
