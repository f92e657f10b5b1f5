//! DEVICE_SET_IRQS.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::eventfd::EventFd;
use vfio_user_server::vfio::{
    VFIO_IRQ_SET_ACTION_MASK as MASK, VFIO_IRQ_SET_ACTION_TRIGGER as TRIGGER,
    VFIO_IRQ_SET_ACTION_UNMASK as UNMASK, VFIO_IRQ_SET_DATA_BOOL as BOOL,
    VFIO_IRQ_SET_DATA_EVENTFD as EVENTFD, VFIO_IRQ_SET_DATA_NONE as NONE,
};
use vfio_user_server::wire::Command;
use vfio_user_server::{Config, Errno};

use crate::client::{Body, eventfd, memfd, set_irqs};
use crate::device::{ERR, INTX, MSI_NONE, MSIX};
use crate::on_each_transport;
use crate::server::Server;

const SET: Command = Command::DeviceSetIrqs;

fn fds(count: usize) -> Vec<EventFd> {
    (0..count).map(|_| eventfd()).collect()
}

fn borrow(fds: &[EventFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}

fn refused(server: &mut Server, body: &Body, with: usize) {
    let fds = fds(with);
    server
        .client()
        .fails_fds(SET, body, &borrow(&fds), libc::EINVAL);
    assert!(
        server.device.take_log().is_empty(),
        "the device must not see refused requests"
    );
}

fn fired(fd: &EventFd) -> bool {
    fd.read().is_ok()
}

on_each_transport! {
    fn connect_trigger_update_disconnect(transport: Transport) {
        let mut server = Server::new(transport);
        let first = fds(3);
        let body = set_irqs(EVENTFD | TRIGGER, MSIX, 1, 3);
        server.client().ok_fds(SET, &body, &borrow(&first));
        server.device.lock().irqs.trigger(MSIX, 2).unwrap();
        assert_eq!([0, 1, 2].map(|n| fired(&first[n])), [false, true, false]);
        let second = fds(1);
        let body = set_irqs(EVENTFD | TRIGGER, MSIX, 2, 1);
        server.client().ok_fds(SET, &body, &borrow(&second));
        server.device.lock().irqs.trigger(MSIX, 2).unwrap();
        assert!(fired(&second[0]) && !fired(&first[1]));
        server.client().ok(SET, &set_irqs(EVENTFD | TRIGGER, MSIX, 2, 1));
        assert_eq!(server.device.lock().irqs.trigger(MSIX, 2), Err(Errno::ENOENT));
        server.device.lock().irqs.trigger(MSIX, 3).unwrap();
        assert!(fired(&first[2]));
        let log = server.device.take_log();
        assert_eq!(log[0], "irqs 2 1+3 Trigger connect 3");
        assert_eq!(log[2], "irqs 2 2+1 Trigger disconnect");
    }

    fn count_0_disables_the_whole_type(transport: Transport) {
        let mut server = Server::new(transport);
        let all = fds(8);
        server.client().ok_fds(SET, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 8), &borrow(&all));
        let line = fds(1);
        server.client().ok_fds(SET, &set_irqs(EVENTFD | TRIGGER, INTX, 0, 1), &borrow(&line));
        server.client().ok(SET, &set_irqs(NONE | TRIGGER, MSIX, 0, 0));
        assert_eq!(server.device.lock().irqs.trigger(MSIX, 0), Err(Errno::ENOENT));
        server.device.lock().irqs.trigger(INTX, 0).unwrap();
        assert!(fired(&line[0]));
        assert_eq!(server.device.take_log()[2], "irqs 2 0+0 Trigger disable all");
    }

    fn the_client_may_trigger(transport: Transport) {
        let mut server = Server::new(transport);
        let all = fds(8);
        server.client().ok_fds(SET, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 8), &borrow(&all));
        server.client().ok(SET, &set_irqs(NONE | TRIGGER, MSIX, 2, 2));
        let lit: Vec<_> = all.iter().map(fired).collect();
        assert_eq!(lit, [false, false, true, true, false, false, false, false]);
        let body = set_irqs(BOOL | TRIGGER, MSIX, 4, 4).bytes(&[1, 0, 0, 0xff]);
        server.client().ok(SET, &body);
        let lit: Vec<_> = all.iter().map(fired).collect();
        assert_eq!(lit, [false, false, false, false, true, false, false, true]);
    }

    fn intx_is_masked_and_unmasked(transport: Transport) {
        let mut server = Server::new(transport);
        let line = fds(2);
        server.client().ok_fds(SET, &set_irqs(EVENTFD | TRIGGER, INTX, 0, 1), &borrow(&line[..1]));
        server.client().ok_fds(SET, &set_irqs(EVENTFD | UNMASK, INTX, 0, 1), &borrow(&line[1..]));
        server.client().ok(SET, &set_irqs(NONE | MASK, INTX, 0, 1));
        server.device.lock().irqs.trigger(INTX, 0).unwrap();
        assert!(!fired(&line[0]));
        server.client().ok(SET, &set_irqs(BOOL | UNMASK, INTX, 0, 1).bytes(&[0]));
        assert!(!fired(&line[0]));
        server.client().ok(SET, &set_irqs(BOOL | UNMASK, INTX, 0, 1).bytes(&[1]));
        assert!(fired(&line[0]), "what was pending fires at unmask");
        assert!(server.device.lock().irqs.unmask_fd(INTX, 0).is_some());
        server.client().ok(SET, &set_irqs(EVENTFD | UNMASK, INTX, 0, 1));
        assert!(server.device.lock().irqs.unmask_fd(INTX, 0).is_none());
    }

    fn short_bodies_and_a_small_argsz_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        let whole = set_irqs(NONE | TRIGGER, MSIX, 0, 1);
        for length in [0, 1, 19] {
            refused(&mut server, &Body::new().bytes(&whole.0[..length]), 0);
        }
        let small = Body::new().u32(19).bytes(&whole.0[4..]);
        refused(&mut server, &small, 0);
    }

    fn exactly_one_action_and_one_data_type(transport: Transport) {
        let mut server = Server::new(transport);
        for flags in [
            0, NONE, TRIGGER, NONE | BOOL | TRIGGER, NONE | EVENTFD | TRIGGER,
            NONE | MASK | UNMASK, NONE | MASK | TRIGGER, NONE | UNMASK | TRIGGER,
            NONE | TRIGGER | 0x40, NONE | TRIGGER | 0x8000_0000, u32::MAX,
        ] {
            refused(&mut server, &set_irqs(flags, INTX, 0, 1), 0);
        }
    }

    fn index_start_and_count_are_in_bounds(transport: Transport) {
        let mut server = Server::new(transport);
        for (index, start, count) in [
            (5, 0, 1), (u32::MAX, 0, 1), (MSIX, 8, 1), (MSIX, 0, 9), (MSIX, 7, 2),
            (MSIX, u32::MAX, 1), (MSIX, 1, u32::MAX), (MSIX, 0, u32::MAX), (MSI_NONE, 0, 1),
            (MSI_NONE, 0, 0), (ERR, 0, 2), (INTX, 1, 1),
        ] {
            refused(&mut server, &set_irqs(NONE | TRIGGER, index, start, count), 0);
        }
        server.client().ok(SET, &set_irqs(NONE | TRIGGER, MSIX, 7, 1));
        server.client().ok(SET, &set_irqs(NONE | TRIGGER, ERR, 0, 1));
    }

    fn count_0_goes_only_with_trigger_none_and_start_0(transport: Transport) {
        let mut server = Server::new(transport);
        for (flags, start) in [
            (NONE | MASK, 0), (NONE | UNMASK, 0), (BOOL | TRIGGER, 0), (EVENTFD | TRIGGER, 0),
        ] {
            refused(&mut server, &set_irqs(flags, INTX, start, 0), 0);
        }
        refused(&mut server, &set_irqs(NONE | TRIGGER, MSIX, 1, 0), 0);
    }

    fn only_maskable_types_are_masked(transport: Transport) {
        let mut server = Server::new(transport);
        for action in [MASK, UNMASK] {
            refused(&mut server, &set_irqs(NONE | action, MSIX, 0, 1), 0);
            refused(&mut server, &set_irqs(NONE | action, ERR, 0, 1), 0);
        }
    }

    fn booleans_are_as_many_as_count(transport: Transport) {
        let mut server = Server::new(transport);
        for length in [0, 1, 3] {
            let body = set_irqs(BOOL | TRIGGER, MSIX, 0, 2).bytes(&vec![1; length]);
            refused(&mut server, &body, 0);
        }
    }

    fn descriptors_are_as_many_as_count_or_none(transport: Transport) {
        let mut server = Server::new(transport);
        refused(&mut server, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 2), 1);
        refused(&mut server, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 2), 3);
        refused(&mut server, &set_irqs(NONE | TRIGGER, MSIX, 0, 2), 2);
        refused(&mut server, &set_irqs(BOOL | TRIGGER, MSIX, 0, 2).bytes(&[1, 1]), 2);
        refused(&mut server, &set_irqs(NONE | TRIGGER, MSIX, 0, 0), 1);
    }

    fn sixteen_descriptors_are_taken_whatever_was_announced(transport: Transport) {
        // cloud-hypervisor sends up to 16.
        let mut server = Server::new(transport);
        let many = fds(8);
        server.client().ok_fds(SET, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 8), &borrow(&many));
        assert_eq!(server.observer.counters().fds_received, 8);
        server.device.take_log();
        refused(&mut server, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 8), 16);
        refused(&mut server, &set_irqs(EVENTFD | TRIGGER, MSIX, 0, 8), 17);
        let refusal = server.observer.last_refusal().unwrap();
        assert_eq!(refusal.reason, "more than 16 file descriptors came with one message");
    }

    fn other_files_than_eventfds_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        let file = memfd(4096);
        let body = set_irqs(EVENTFD | TRIGGER, MSIX, 0, 1);
        server.client().fails_fds(SET, &body, &[file.as_fd()], libc::EINVAL);
        let config = Config { require_eventfds: false, ..Config::default() };
        let mut server = Server::fresh(transport, config);
        server.client().negotiate();
        server.client().ok_fds(SET, &body, &[file.as_fd()]);
    }

    fn a_full_eventfd_does_not_block_the_device(transport: Transport) {
        let mut server = Server::new(transport);
        let fd = EventFd::from_value_and_flags(0, nix::sys::eventfd::EfdFlags::empty()).unwrap();
        fd.write(u64::MAX - 1).unwrap();
        let body = set_irqs(EVENTFD | TRIGGER, MSIX, 0, 1);
        server.client().ok_fds(SET, &body, &[fd.as_fd()]);
        server.client().ok(SET, &set_irqs(NONE | TRIGGER, MSIX, 0, 1));
    }

    fn the_devices_refusal_reaches_the_client(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.push_back(Errno::EBUSY);
        server.client().fails(SET, &set_irqs(NONE | TRIGGER, MSIX, 0, 1), libc::EBUSY);
    }
}
