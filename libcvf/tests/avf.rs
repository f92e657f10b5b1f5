//! An adaptive virtual function and the device around it, by its mailbox.

#[path = "avf/driver.rs"]
mod driver;
mod guest;

use driver::{Driver, op};
use guest::eventually;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use libcvf::control::{ControlRequest, MacAddr};
use libcvf::cvf::{IrqAction, IrqData, IrqRequest};
use nix::sys::eventfd::{EfdFlags, EventFd};

#[test]
fn no_letter_is_written_into_what_replaces_a_truncated_file() {
    let (mut driver, _) = Driver::new(1);
    driver.resources();
    nix::unistd::ftruncate(&driver.ram, driver::BUFFERS as i64).expect("truncated");
    driver.post(op::GET_STATS, &driver::select(1, 0));
    let reason = eventually(|| driver.cvf.health().reason).expect("the device is stopped");
    assert!(reason.contains("truncated"), "{reason}");
    let heads = driver.heads();
    for _ in 0..3 {
        driver.post(op::GET_STATS, &[]);
        driver.post(op::VERSION, &[]);
    }
    assert_eq!(driver.heads(), heads, "nothing is taken, nothing is sent");
}

#[test]
fn a_mailbox_that_is_enabled_again_goes_on_where_it_was() {
    let (mut driver, keeper) = Driver::new(1);
    driver.resources();
    let asked = *keeper.asked.lock();
    let heads = driver.heads();
    for (register, again) in [
        (0x6800, 64 | 1 << 31),
        (0x8000, 64 | 1 << 31),
        (0x7c00, 0x1000),
    ] {
        if register != 0x7c00 {
            driver.write(register, 0);
        }
        driver.write(register, again);
        assert_eq!(driver.heads(), heads, "{register:#x}");
    }
    assert_eq!(*keeper.asked.lock(), asked, "no mail is taken twice");
    let (status, _) = driver.ask(op::GET_STATS, &driver::select(1, 0));
    assert_eq!(status, 0);
    assert_eq!(*keeper.asked.lock(), asked + 1);
}

/// The interrupt that tells of a reset comes, whatever its driver is doing when it begins.
#[test]
fn a_driver_that_waits_for_an_interrupt_hears_of_a_reset() {
    for armed in [true, false] {
        let (mut driver, _) = Driver::new(1);
        driver.resources();
        let flags = EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).expect("an event");
        let fd = event.as_fd().try_clone_to_owned().expect("dup");
        let request = IrqRequest {
            index: 2,
            start: 0,
            count: 1,
            action: IrqAction::Trigger,
            data: IrqData::Events(vec![Some(fd)]),
        };
        driver.cvf.set_irqs(request).expect("set");
        let enable = |driver: &Driver| {
            driver.write(0x5c00, 1 | 3 << 3);
            driver.write(0x5000, 1 << 30);
        };
        enable(&driver);
        // What came before goes out, and the vector masks itself.
        assert_eq!(event.read().ok(), Some(1));
        if armed {
            enable(&driver);
            driver.write(0x5c00, 1 | 3 << 3);
        }
        assert_eq!(driver.cvf.set_mac(MacAddr([2, 0, 0, 0, 0, 7])), Ok(true));
        assert_eq!(event.read().is_ok(), armed);
        // It is done with the last one, and knows nothing of a reset.
        enable(&driver);
        assert_eq!(event.read().is_ok(), !armed);
        let mut said = None;
        while let Some((operation, _, bytes)) = driver.next() {
            said = (operation == op::EVENT).then(|| bytes[0]).or(said);
        }
        assert_eq!(said, Some(2), "VIRTCHNL_EVENT_RESET_IMPENDING");
        assert_eq!(driver.read(0x8000) >> 31, 0);
    }
}

#[test]
fn what_is_no_message_and_what_finds_no_buffer_is_told() {
    let (mut driver, _) = Driver::new(1);
    driver.descriptor(0x0802, 1, 0, 0);
    driver.kick();
    let refusal = driver.cvf.health().last_refusal.expect("told");
    assert!(
        refusal.what.contains("were no messages"),
        "{}",
        refusal.what
    );
    driver.no_buffers();
    for _ in 0..20 {
        driver.post(op::VERSION, &[1, 0, 0, 0, 1, 0, 0, 0]);
    }
    let refusal = driver.cvf.health().last_refusal.expect("told");
    assert!(refusal.what.contains("lost"), "{}", refusal.what);
    assert!(refusal.count > 1);
}

#[test]
fn a_driver_that_asks_too_often_is_refused_until_it_asks_less() {
    let (mut driver, keeper) = Driver::new(1);
    driver.resources();
    while driver.next().is_some() {}
    *keeper.asked.lock() = 0;
    *keeper.most.lock() = Some(40);
    // More than are carried out at a time, by one write of the tail.
    for _ in 0..50 {
        driver.fill(op::GET_STATS, &driver::select(1, 0));
    }
    driver.kick();
    let answers: Vec<_> = std::iter::from_fn(|| driver.next()).collect();
    assert_eq!(answers.len(), 50);
    let refused = |(_, status, _): &&(u32, i32, Vec<u8>)| *status == driver::FAILED;
    assert_eq!(answers.iter().filter(refused).count(), 10);
    assert!(answers[..40].iter().all(|(_, status, _)| *status == 0));
    let refusal = driver.cvf.health().last_refusal.expect("told");
    assert!(refusal.what.contains("it is a test"), "{}", refusal.what);
    *keeper.most.lock() = None;
    let (status, _) = driver.ask(op::GET_STATS, &driver::select(1, 0));
    assert_eq!(status, 0);
}

#[test]
fn a_message_and_what_it_asks_for_are_one_request() {
    let (mut driver, keeper) = Driver::new(1);
    driver.resources();
    let before = *keeper.asked.lock();
    let own = [1, 0, 1, 0, 2, 0, 0, 0, 0, 9, 0, 0];
    let (status, _) = driver.ask(op::ADD_ETH_ADDR, &own);
    assert_eq!(status, 0);
    assert_eq!(*keeper.asked.lock(), before + 1);
}

#[test]
fn the_operators_changes_are_no_resets_of_the_guests() {
    let (mut driver, keeper) = Driver::new(1);
    driver.resources();
    let before = *keeper.resets.lock();
    let mac = MacAddr([2, 0, 0, 0, 0, 7]);
    assert_eq!(driver.cvf.set_mac(mac), Ok(true));
    assert_eq!(driver.read(0x8000) >> 31, 0, "it was reset");
    assert_eq!(*keeper.resets.lock(), before);
    driver.enable_mailbox();
    driver.resources();
    driver.post(op::RESET_VF, &[]);
    assert_eq!(*keeper.resets.lock(), before + 1);
}

#[test]
fn a_driver_that_loses_what_it_was_allowed_has_to_ask_anew() {
    let (mut driver, keeper) = Driver::new(1);
    driver.resources();
    // Another address, and it says that this is its own.
    let own = [1, 0, 1, 0, 2, 0, 0, 0, 0, 9, 1, 0];
    assert_eq!(driver.ask(op::ADD_ETH_ADDR, &own).0, 0);
    assert_eq!(driver.cvf.health().mac, MacAddr([2, 0, 0, 0, 0, 9]));
    assert!(driver.cvf.reconsider().is_empty());
    assert_ne!(driver.read(0x8000) >> 31, 0, "nothing was lost");
    *keeper.denies.lock() = Some(|request| matches!(request, ControlRequest::SetMac(_)));
    let resets = *keeper.resets.lock();
    assert_eq!(driver.cvf.reconsider().len(), 1);
    assert_eq!(driver.read(0x8000) >> 31, 0, "it was reset");
    assert_eq!(*keeper.resets.lock(), resets);
    driver.enable_mailbox();
    let (_, bytes) = driver.ask(op::GET_VF_RESOURCES, &[0xff; 4]);
    assert_eq!(
        bytes[30..],
        [2, 0, 0, 0, 0, 1],
        "what it is told is its own"
    );
}

#[test]
fn what_policy_withholds_is_not_granted_and_shown_until_then() {
    let (mut driver, keeper) = Driver::new(2);
    assert_eq!(
        driver.resources(),
        1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 15 | 1 << 19 | 1 << 25 | 1 << 26
    );
    assert!(driver.cvf.health().pending_features.is_empty());
    // VIRTIO_NET_F_RSS, VIRTIO_NET_F_HOST_USO and VIRTIO_NET_F_CTRL_VLAN.
    *keeper.features.lock() = Some(!(1 << 60 | 1 << 56 | 1 << 19));
    driver.cvf.reconsider();
    driver.enable_mailbox();
    assert_eq!(
        driver.resources(),
        1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 26
    );
}

#[test]
fn an_interval_is_judged_as_a_wish_for_held_back_interrupts() {
    let (mut driver, keeper) = Driver::new(1);
    driver.resources();
    let map = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0];
    assert_eq!(driver.ask(op::CONFIG_IRQ_MAP, &map).0, 0);
    let asked = *keeper.asked.lock();
    for (interval, times) in [(25, 1), (25, 1), (0, 2), (30, 3)] {
        driver.write(0x2800, interval);
        assert_eq!(*keeper.held.lock(), times, "{interval}");
    }
    assert_eq!(*keeper.asked.lock(), asked, "nobody asked");
    *keeper.denies.lock() = Some(|request| matches!(request, ControlRequest::SetCoalescing(..)));
    // What is refused is not in force, nor is what was before: the same is judged again.
    driver.write(0x2800, 25);
    driver.write(0x2800, 30);
    assert_eq!(*keeper.held.lock(), 5);
}

/// Registers may be written by twos (they lie side by side): each of the queues whose tails that moves is served.
#[test]
fn one_write_over_two_tails_is_heard_of_both() {
    const SIZE: u16 = 64;
    let (mut driver, _) = Driver::new(2);
    driver.resources();
    let ring = |number: u64| driver::RINGS + 0x1_0000 * number;
    let mut queues = vec![1, 0, 2, 0, 0, 0, 0, 0];
    for pair in 0..2u16 {
        let words = |words: &[u16]| {
            words
                .iter()
                .flat_map(|w| w.to_le_bytes())
                .collect::<Vec<_>>()
        };
        queues.extend(words(&[1, pair, SIZE, 0]));
        queues.extend(ring(2 * u64::from(pair)).to_le_bytes());
        queues.extend([0; 8]);
        queues.extend(words(&[1, pair, SIZE, 0, 0, 0]));
        queues.extend(2048u32.to_le_bytes());
        queues.extend(1518u32.to_le_bytes());
        queues.extend([0, 1, 0, 0]);
        queues.extend(ring(2 * u64::from(pair) + 1).to_le_bytes());
        queues.extend([0; 8]);
    }
    assert_eq!(driver.ask(op::CONFIG_VSI_QUEUES, &queues).0, 0);
    assert_eq!(driver.ask(op::ENABLE_QUEUES, &driver::select(3, 3)).0, 0);
    let frame = guest::frame(9, 1, 60);
    let at = driver::BUFFERS;
    driver.ram.write_all_at(&frame, at).expect("ram");
    for sent in 0..200u32 {
        let slot = u64::from(sent) % u64::from(SIZE);
        // The end of a frame that is to be reported.
        let what = 3 << 4 | (frame.len() as u64) << 34;
        for pair in 0..2 {
            let descriptor = [at.to_le_bytes(), u64::to_le_bytes(what)].concat();
            let place = ring(2 * pair) + 16 * slot;
            driver.ram.write_all_at(&descriptor, place).expect("ram");
        }
        let tail = (sent + 1) % u32::from(SIZE);
        let both = [tail.to_le_bytes(); 2].concat();
        driver.cvf.write(0, 0, &both).expect("two registers");
        for pair in 0..2 {
            let mut word = [0; 8];
            let place = ring(2 * pair) + 16 * slot + 8;
            let done = eventually(|| {
                driver.ram.read_exact_at(&mut word, place).expect("ram");
                (word[0] & 15 == 15).then_some(())
            });
            assert!(done.is_some(), "frame {sent} of pair {pair} is given back");
        }
    }
}
