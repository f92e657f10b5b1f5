//! Places where a test has the daemon die as if its power were cut: by SIGKILL, from itself.
//!
//! They are there only with the feature `crash-points`, which release builds refuse; without it a
//! point is nothing.

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("the feature crash-points is for tests; build without it, or without --release");

#[cfg(feature = "crash-points")]
mod armed;

#[cfg(feature = "crash-points")]
pub use armed::{arm, point};

/// A place to die at, by its name: nothing, in this build.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_name: &str) {}
