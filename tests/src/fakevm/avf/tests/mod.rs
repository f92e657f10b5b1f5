//! The driver's side of AVF against the model of a device.

mod bringup;
mod encoding;
mod frames;
mod hostile;
mod lies;
mod reset;
mod rings;

use super::model::{Behaviour, Model};
use super::*;
use crate::fakevm::InterruptMode;

const MODES: [InterruptMode; 2] = [InterruptMode::EventFd, InterruptMode::Polling];

/// Small rings, so that they wrap.
fn config(interrupts: InterruptMode) -> AvfVmConfig {
    AvfVmConfig {
        rings: AvfRingConfig {
            tx_size: 64,
            rx_size: 64,
            ..AvfRingConfig::default()
        },
        interrupts,
        ..AvfVmConfig::default()
    }
}

fn over(behaviour: Behaviour, config: AvfVmConfig) -> AvfVm<Model> {
    AvfVm::over(Model::new(behaviour), config).unwrap()
}

fn started(config: AvfVmConfig) -> AvfVm<Model> {
    let mut vm = over(Behaviour::default(), config);
    vm.start().unwrap();
    vm
}
