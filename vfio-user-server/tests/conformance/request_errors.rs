//! Messages that are wrong whatever their command is.

use std::os::fd::AsFd;

use vfio_user_server::wire::{Command, Header, MessageType};
use vfio_user_server::{Ended, Violation, limits};

use crate::client::{Body, access, command};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::Server;

fn sized(size: u32, no_reply: bool) -> Vec<u8> {
    let mut bytes = command(0xbad1, 8, no_reply, &[]);
    bytes[4..8].copy_from_slice(&size.to_ne_bytes());
    bytes
}

fn alive(server: &mut Server) {
    server
        .client()
        .ok(Command::RegionRead, &access(BAR_RAM, 0, 1));
}

on_each_transport! {
    fn impossible_sizes_are_answered_and_end_the_connection(transport: Transport) {
        let max = 16 + limits::MAX_FIXED_BODY as u32 + limits::DEFAULT_MAX_DATA_XFER;
        for size in [0, 15, max + 1, u32::MAX] {
            let mut server = Server::new(transport);
            let before = server.client().send(9, &access(BAR_RAM, 0, 1), &[]);
            server.client().raw(&sized(size, false));
            assert_eq!(server.client().recv().header.id, before);
            let reply = server.client().recv();
            assert_eq!((reply.header.id, reply.header.errno), (0xbad1, libc::EINVAL as u32));
            server.client().expect_close();
            let why = server.ended();
            assert!(matches!(why, Ended::Violation(Violation::MessageSize { .. })), "{why:?}");
        }
    }

    fn no_reply_holds_for_that_too(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().raw(&sized(3, true));
        server.client().expect_close();
    }

    fn unsolicited_replies_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        for number in [8, 11, 12, 999] {
            let header = Header {
                id: 0xbad2,
                command: number,
                size: 16,
                kind: MessageType::Reply,
                no_reply: false,
                error: false,
                errno: 0,
            };
            let mut bytes = Vec::new();
            header.write_to(&mut bytes);
            server.client().raw(&bytes);
            let reply = server.client().recv();
            assert_eq!((reply.header.id, reply.header.errno), (0xbad2, libc::EINVAL as u32));
        }
        alive(&mut server);
    }

    fn unknown_message_types_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        for bits in 2..16u8 {
            let mut bytes = command(3, 13, false, &[]);
            bytes[8] = bits;
            server.client().raw(&bytes);
            assert_eq!(server.client().recv().header.errno, libc::EINVAL as u32);
        }
        assert!(server.device.take_log().is_empty());
    }

    fn unknown_removed_and_server_commands_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        for number in [0, 11, 12, 14, 19, 999, u16::MAX] {
            let reply = server.client().call(number, &Body::new().bytes(&[0; 40]), &[]);
            assert_eq!((reply.header.error, reply.header.errno), (true, libc::EINVAL as u32));
        }
        alive(&mut server);
    }

    fn commands_without_their_payload_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        for &number in Command::ALL {
            if number != Command::DeviceReset {
                server.client().fails(number, &Body::new(), libc::EINVAL);
            }
        }
        alive(&mut server);
    }

    fn descriptors_where_none_belong_are_refused_and_closed(transport: Transport) {
        let mut server = Server::new(transport);
        let (read, write) = nix::unistd::pipe().unwrap();
        let body = Body::new().u32(16).u32(0).u64(0);
        let fds = [write.as_fd(), write.as_fd()];
        server.client().fails_fds(Command::DeviceGetInfo, &body, &fds, libc::EINVAL);
        server.client().fails_fds(Command::DeviceReset, &Body::new(), &fds[..1], libc::EINVAL);
        let many = vec![write.as_fd(); 200];
        server.client().fails_fds(Command::DeviceGetInfo, &body, &many, libc::EINVAL);
        drop(write);
        assert_eq!(nix::unistd::read(&read, &mut [0]), Ok(0), "the server kept a descriptor");
        alive(&mut server);
        assert_eq!(server.observer.counters().fds_received, 203);
    }

    fn a_message_may_arrive_byte_by_byte(transport: Transport) {
        let mut server = Server::new(transport);
        for byte in command(77, 9, false, &access(BAR_RAM, 0, 8).0) {
            server.client().raw(&[byte]);
        }
        assert_eq!(server.client().recv().header.id, 77);
    }

    fn counters_show_what_was_asked(transport: Transport) {
        let mut server = Server::new(transport);
        alive(&mut server);
        alive(&mut server);
        server.client().fails(Command::DmaUnmap, &Body::new(), libc::EINVAL);
        let counters = server.observer.counters();
        let of = |command| counters.requests.iter().find(|(one, _)| *one == command).unwrap().1;
        assert_eq!(of(Command::Version), 1);
        assert_eq!(of(Command::RegionRead), 2);
        assert_eq!(of(Command::DmaUnmap), 1);
        assert_eq!((counters.succeeded, counters.refused), (3, 1));
        assert!(counters.bytes_received > 100 && counters.bytes_sent > 100);
        let refusal = server.observer.last_refusal().unwrap();
        assert_eq!(refusal.reason, "body has 0 bytes where at least 24 are needed");
    }
}
