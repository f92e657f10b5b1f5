//! What threads share without owning it: atomics, fences, locks, state that is swapped.
//!
//! Re-exports, almost nothing else: in programs these are the types of `std`, `parking_lot` and `arc-swap`. With
//! `--cfg loom` they are the model checker's, and the same code is run through every order of its steps
//! (files named `models.rs`). What is `static` keeps to `std`, which the model checker does not see.

#[cfg(not(loom))]
pub(crate) use {
    arc_swap::{ArcSwap, Guard},
    parking_lot::Mutex,
    std::sync::atomic,
};

/// A `const fn`, unless the model checker's types are in it: nothing makes those before it runs.
#[cfg(not(loom))]
macro_rules! constant {
    ($(#[$doc:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$doc])* $vis const fn $($rest)* };
}
#[cfg(loom)]
macro_rules! constant {
    ($(#[$doc:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$doc])* $vis fn $($rest)* };
}
pub(crate) use constant;

#[cfg(loom)]
mod loomed;
#[cfg(loom)]
pub(crate) use loomed::*;
