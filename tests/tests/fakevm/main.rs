//! mdevd driven by the fake VM: what a guest sees, what it may do, and what it cannot do to others.
//!
//! Every test starts a daemon of its own in directories of its own. `MDEVD_LAB_PROGRAMS` names
//! the directory of `mdevd` and `cvfctl`; without it they are built as they are released.

mod avf;
mod bringup;
mod capture;
mod coalescing;
mod common;
mod control;
mod doorbells;
mod hostile;
mod lifecycle;
mod memory;
mod multiqueue;
mod offloads;
mod packed;
mod policing;
mod scaling;
mod statistics;
mod switching;
mod traffic;
