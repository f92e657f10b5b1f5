//! DEVICE_GET_REGION_IO_FDS.

use std::sync::Arc;

use vfio_user_server::Config;
use vfio_user_server::wire::{Command, IoFd, IoFdKind};

use crate::client::{Body, eventfd};
use crate::device::{BAR_RAM, VGA_EMPTY};
use crate::on_each_transport;
use crate::server::Server;

const GET: Command = Command::DeviceGetRegionIoFds;

fn query(argsz: u32, flags: u32, index: u32, count: u32) -> Body {
    Body::new().u32(argsz).u32(flags).u32(index).u32(count)
}

fn entry(offset: u64, fd: Option<&Arc<std::os::fd::OwnedFd>>) -> IoFd {
    let kind = IoFdKind::Ioeventfd {
        flags: 1,
        datamatch: offset + 7,
    };
    IoFd {
        offset,
        size: 4,
        fd: fd.cloned(),
        kind,
    }
}

fn some_fd() -> Arc<std::os::fd::OwnedFd> {
    Arc::new(eventfd().into())
}

on_each_transport! {
    fn none_by_default(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = server.client().ok(GET, &query(16, 0, BAR_RAM, 0));
        assert_eq!([0, 4, 8, 12].map(|at| reply.u32(at)), [16, 0, BAR_RAM, 0]);
        assert!(reply.fds.is_empty());
    }

    fn entries_share_descriptors_and_may_have_none(transport: Transport) {
        let mut server = Server::new(transport);
        let (one, two) = (some_fd(), some_fd());
        server.device.lock().io_fds = vec![
            entry(0, Some(&one)),
            entry(8, Some(&two)),
            entry(16, Some(&one)),
            entry(24, None),
            IoFd {
                kind: IoFdKind::Ioregionfd { flags: 2, user_data: 99 },
                ..entry(32, Some(&two))
            },
        ];
        let reply = server.client().ok(GET, &query(16 + 5 * 40, 0, BAR_RAM, 0));
        assert_eq!((reply.u32(0), reply.u32(12), reply.fds.len()), (216, 5, 2));
        let indices: Vec<_> = (0..5).map(|n| reply.u32(16 + n * 40 + 16)).collect();
        assert_eq!(indices, [0, 1, 0, u32::MAX, 1]);
        let offsets: Vec<_> = (0..5).map(|n| reply.u64(16 + n * 40)).collect();
        assert_eq!(offsets, [0, 8, 16, 24, 32]);
        assert_eq!((reply.u64(24), reply.u32(36), reply.u32(40)), (4, 0, 1));
        assert_eq!(reply.u64(48), 7);
        assert_eq!((reply.u32(16 + 160 + 20), reply.u64(16 + 160 + 32)), (1, 99));
    }

    fn a_small_argsz_gets_the_count_and_nothing_else(transport: Transport) {
        let mut server = Server::new(transport);
        let fd = some_fd();
        server.device.lock().io_fds = vec![entry(0, Some(&fd)), entry(8, Some(&fd))];
        for argsz in [16, 56, 95] {
            let reply = server.client().ok(GET, &query(argsz, 0, BAR_RAM, 0));
            assert_eq!((reply.body.len(), reply.u32(0), reply.u32(12)), (16, 96, 2));
            assert!(reply.fds.is_empty());
        }
    }

    fn flags_count_index_argsz_and_length_are_checked(transport: Transport) {
        let mut server = Server::new(transport);
        for body in [
            query(16, 1, BAR_RAM, 0),
            query(16, 0, BAR_RAM, 1),
            query(16, 0, 9, 0),
            query(16, 0, VGA_EMPTY, 0),
            query(15, 0, BAR_RAM, 0),
            query((1 << 20) + 1, 0, BAR_RAM, 0),
            Body::new().u32(16).u32(0).u32(BAR_RAM),
        ] {
            server.client().fails(GET, &body, libc::EINVAL);
        }
        assert!(server.device.take_log().is_empty());
    }

    fn entries_outside_the_region_are_the_devices_fault(transport: Transport) {
        let mut server = Server::new(transport);
        for offset in [(2 << 20) - 3, u64::MAX - 3] {
            let kind = IoFdKind::Ioeventfd { flags: 0, datamatch: 0 };
            server.device.lock().io_fds =
                vec![IoFd { offset, size: 4, fd: Some(some_fd()), kind }];
            server.client().fails(GET, &query(4096, 0, BAR_RAM, 0), libc::EIO);
        }
    }

    fn more_descriptors_than_the_client_takes_are_not_sent(transport: Transport) {
        let mut server = Server::fresh(transport, Config::default());
        let reply = server.client().version(0, 0, Some(r#"{"capabilities":{"max_msg_fds":2}}"#));
        assert!(!reply.header.error);
        let fds = [some_fd(), some_fd(), some_fd()];
        server.device.lock().io_fds =
            fds.iter().enumerate().map(|(n, fd)| entry(n as u64 * 8, Some(fd))).collect();
        server.client().fails(GET, &query(4096, 0, BAR_RAM, 0), libc::ENOSPC);
        server.device.lock().io_fds.pop();
        let reply = server.client().ok(GET, &query(4096, 0, BAR_RAM, 0));
        assert_eq!(reply.fds.len(), 2);
    }
}
