//! REGION_READ and REGION_WRITE.

use vfio_user_server::wire::Command;
use vfio_user_server::{Config, Errno};

use crate::client::{Body, access};
use crate::device::{BAR_RAM, BAR_REGISTERS, CONFIG, ROM, VGA_EMPTY};
use crate::on_each_transport;
use crate::server::Server;

const READ: Command = Command::RegionRead;
const WRITE: Command = Command::RegionWrite;

fn write(region: u32, offset: u64, data: &[u8]) -> Body {
    access(region, offset, data.len() as u32).bytes(data)
}

on_each_transport! {
    fn what_is_written_is_read(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = server.client().ok(WRITE, &write(BAR_RAM, 0x10, b"abcd"));
        // rust-vmm's client waits for exactly 32 bytes.
        assert_eq!(reply.header.size, 32);
        assert_eq!((reply.u64(0), reply.u32(8), reply.u32(12)), (0x10, BAR_RAM, 4));
        let reply = server.client().ok(READ, &access(BAR_RAM, 0x10, 4));
        assert_eq!((reply.u64(0), reply.u32(8), reply.u32(12)), (0x10, BAR_RAM, 4));
        assert_eq!(&reply.body[16..], b"abcd");
    }

    fn a_whole_config_space_in_one_read(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = server.client().ok(READ, &access(CONFIG, 0, 256));
        assert_eq!(reply.body.len(), 16 + 256);
    }

    fn the_largest_transfer_and_one_more(transport: Transport) {
        let mut server = Server::new(transport);
        let max = 1 << 20;
        server.client().ok(WRITE, &write(BAR_RAM, 0, &vec![7; max]));
        let reply = server.client().ok(READ, &access(BAR_RAM, 0, max as u32));
        assert!(reply.body[16..].iter().all(|&byte| byte == 7));
        server.client().fails(READ, &access(BAR_RAM, 0, max as u32 + 1), libc::EINVAL);
        server.client().fails(WRITE, &write(BAR_RAM, 0, &vec![7; max + 1]), libc::EINVAL);
    }

    fn accesses_stay_inside_their_region(transport: Transport) {
        let mut server = Server::new(transport);
        for (region, offset, count) in [
            (CONFIG, 0x100, 1), (CONFIG, 0xff, 2), (CONFIG, u64::MAX, 1), (CONFIG, u64::MAX, 2),
            (CONFIG, 0, 0x101), (CONFIG, u64::MAX - 3, 4), (VGA_EMPTY, 0, 1), (9, 0, 1),
            (u32::MAX, 0, 1), (CONFIG, 0, u32::MAX),
        ] {
            server.client().fails(READ, &access(region, offset, count), libc::EINVAL);
        }
        server.client().fails(WRITE, &write(CONFIG, 0xfd, &[0; 4]), libc::EINVAL);
        server.client().ok(WRITE, &write(CONFIG, 0xfc, &[0; 4]));
        assert_eq!(server.device.take_log(), ["write 7 0xfc 00 00 00 00"]);
    }

    fn a_rom_is_not_written(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().fails(WRITE, &write(ROM, 0, &[1]), libc::EINVAL);
        server.client().ok(READ, &access(ROM, 0, 0x800));
    }

    fn registers_take_natural_accesses_only(transport: Transport) {
        let mut server = Server::new(transport);
        for (offset, count) in [(0, 1), (3, 1), (6, 2), (4, 4), (8, 8)] {
            server.client().ok(READ, &access(BAR_REGISTERS, offset, count));
        }
        for (offset, count) in [(1, 2), (2, 4), (4, 8), (0, 3), (0, 16), (0, 256)] {
            server.client().fails(READ, &access(BAR_REGISTERS, offset, count), libc::EINVAL);
        }
    }

    fn an_access_of_nothing_is_answered_without_the_device(transport: Transport) {
        let mut server = Server::new(transport);
        assert_eq!(server.client().ok(READ, &access(CONFIG, 0x100, 0)).body.len(), 16);
        assert_eq!(server.client().ok(WRITE, &access(CONFIG, 0, 0)).body.len(), 16);
        server.client().fails(READ, &access(CONFIG, 0x101, 0), libc::EINVAL);
        assert!(server.device.take_log().is_empty());
    }

    fn lengths_that_do_not_match_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        for body in [
            Body::new(),
            Body::new().bytes(&access(CONFIG, 0, 1).0[..15]),
            access(CONFIG, 0, 4).bytes(&[0; 3]),
            access(CONFIG, 0, 4).bytes(&[0; 5]),
            access(CONFIG, 0, u32::MAX),
        ] {
            server.client().fails(WRITE, &body, libc::EINVAL);
        }
        server.client().fails(READ, &Body::new().u64(0).u32(0), libc::EINVAL);
        assert!(server.device.take_log().is_empty());
    }

    fn posted_writes_are_not_answered_and_stay_in_order(transport: Transport) {
        let mut server = Server::new(transport);
        for value in 0..100u8 {
            server.client().post(WRITE, &write(BAR_RAM, 0, &[value]));
        }
        let reply = server.client().ok(READ, &access(BAR_RAM, 0, 1));
        assert_eq!(reply.body[16], 99);
        assert_eq!(server.device.take_log().len(), 101);
    }

    fn posted_writes_that_fail_are_silent_but_noted(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().post(WRITE, &write(ROM, 0, &[0]));
        server.client().post(WRITE, &Body::new());
        server.device.lock().refuse.push_back(Errno::EIO);
        server.client().post(WRITE, &write(BAR_RAM, 0, &[0]));
        server.client().ok(READ, &access(BAR_RAM, 0, 1));
        assert_eq!(server.observer.counters().refused, 3);
        let refusal = server.observer.last_refusal().unwrap();
        assert_eq!((refusal.command, refusal.errno), (10, Errno::EIO));
    }

    fn errors_of_the_device_reach_the_client(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.extend([Errno::ENODEV, Errno::EPERM]);
        server.client().fails(READ, &access(BAR_RAM, 0, 1), libc::ENODEV);
        server.client().fails(WRITE, &write(BAR_RAM, 0, &[0]), libc::EPERM);
    }

    fn a_deferred_answer_of_the_wrong_length_is_an_io_error(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 1;
        let id = server.client().send(READ.number(), &access(BAR_RAM, 0, 4), &[]);
        server.device.promise().data(Ok(vec![1, 2, 3]));
        let reply = server.client().recv();
        assert_eq!((reply.header.id, reply.header.errno), (id, libc::EIO as u32));
    }

    fn small_transfers_may_be_agreed_on(transport: Transport) {
        let config = Config { max_data_xfer_size: 4096, ..Config::default() };
        let mut server = Server::fresh(transport, config);
        server.client().negotiate();
        server.client().ok(READ, &access(BAR_RAM, 0, 4096));
        server.client().fails(READ, &access(BAR_RAM, 0, 4097), libc::EINVAL);
    }
}
