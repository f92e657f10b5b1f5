//! Resets from both sides.

use std::time::Duration;

use super::*;
use crate::fakevm::avf::virtchnl::op;
use crate::fakevm::frame;

/// What is asked again after a reset: everything but the version.
const AGAIN: [u32; 10] = [3, 51, 7, 10, 23, 24, 54, 56, 6, 8];

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn works(vm: &mut AvfVm<Model>, number: u64) {
    let frame = frame::numbered(frame::BROADCAST, [2; 6], number, 100);
    vm.send(&frame).unwrap();
    assert_eq!(vm.recv(Duration::from_secs(5)).unwrap(), Some(frame));
}

#[test]
fn a_driver_resets_its_device() {
    for mode in MODES {
        let mut vm = started(config(mode));
        for turn in 0..5 {
            works(&mut vm, turn);
            let before = vm.client.ops().len();
            vm.reset().unwrap();
            let ops = vm.client.ops();
            assert_eq!(ops[before], op::RESET_VF);
            assert_eq!(ops[before + 1..], AGAIN, "{mode:?}");
        }
        works(&mut vm, 9);
    }
}

#[test]
fn a_device_resets_itself() {
    for mode in MODES {
        let mut vm = started(config(mode));
        works(&mut vm, 0);
        vm.client.reset_soon();
        assert!(vm.wait_reset_impending(soon()).unwrap());
        assert!(vm.reset_impending());
        let before = vm.client.ops().len();
        vm.recover().unwrap();
        assert_eq!(vm.client.ops()[before..], AGAIN, "{mode:?}");
        assert!(!vm.reset_impending());
        works(&mut vm, 1);
    }
}

#[test]
fn a_request_that_a_reset_overtakes_fails() {
    let mut vm = started(config(InterruptMode::EventFd));
    vm.client.reset_soon();
    let outcome = vm.request(op::VERSION, &[1, 0, 0, 0, 1, 0, 0, 0]);
    // The answer was there already, or the reset was.
    if let Err(error) = outcome {
        assert!(matches!(error, Error::Device(_)), "{error}");
    }
    vm.wait_reset_impending(soon()).unwrap();
    vm.recover().unwrap();
    works(&mut vm, 2);
}

#[test]
fn another_number_of_queues_comes_with_a_reset() {
    let mut vm = started(config(InterruptMode::EventFd));
    assert_eq!(vm.request_queues(17).unwrap(), QueueAnswer::Offers(16));
    assert_eq!(vm.request_queues(2).unwrap(), QueueAnswer::Resets);
    vm.configure(|config| config.queue_pairs = 2);
    vm.recover().unwrap();
    assert_eq!((vm.pairs(), vm.resources().queue_pairs), (2, 2));
    works(&mut vm, 3);
}

#[test]
fn a_function_that_is_reset_from_outside_starts_afresh() {
    let mut vm = started(config(InterruptMode::EventFd));
    let before = vm.client.ops().len();
    vm.start().unwrap();
    assert_eq!(vm.client.ops()[before], op::VERSION);
    works(&mut vm, 4);
}

#[test]
fn memory_does_not_run_out_over_resets() {
    let mut vm = started(config(InterruptMode::Polling));
    let mark = vm.memory.mark();
    for _ in 0..20 {
        vm.reset().unwrap();
        assert_eq!(vm.memory.mark(), mark);
    }
}
