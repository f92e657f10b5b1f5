//! Virtual machines under QEMU: how they are described, started, talked to and ended.

mod agent;
mod config;
mod machine;
mod qmp;

pub use agent::{Agent, GuestOutput, Job};
pub use config::{Accel, GuestKernel, Memory, VmConfig};
pub use machine::{Vm, vfio_user_device};
pub use qmp::Qmp;
