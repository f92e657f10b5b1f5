//! REGION_WRITE_MULTI.

use vfio_user_server::wire::Command;
use vfio_user_server::{Config, Errno, limits};

use crate::client::{Body, access};
use crate::device::{BAR_RAM, BAR_REGISTERS, CONFIG, ROM};
use crate::on_each_transport;
use crate::server::Server;

const MULTI: Command = Command::RegionWriteMulti;

fn entry(body: Body, region: u32, offset: u64, count: u32, data: u64) -> Body {
    body.u64(offset).u32(region).u32(count).u64(data)
}

on_each_transport! {
    fn writes_arrive_one_by_one_in_order(transport: Transport) {
        let mut server = Server::new(transport);
        let body = Body::new().u64(4);
        let body = entry(body, BAR_RAM, 0, 4, 0x0403_0201);
        let body = entry(body, CONFIG, 4, 1, 0xff);
        let body = entry(body, BAR_RAM, 0, 0, 0);
        let body = entry(body, BAR_RAM, 2, 8, u64::MAX);
        let reply = server.client().ok(MULTI, &body);
        assert_eq!((reply.body.len(), reply.u64(0)), (8, 4));
        assert_eq!(server.device.take_log(), [
            "write 0 0x0 01 02 03 04",
            "write 7 0x4 ff",
            "write 0 0x2 ff ff ff ff ff ff ff ff",
        ]);
    }

    fn none_at_all_is_fine(transport: Transport) {
        let mut server = Server::new(transport);
        assert_eq!(server.client().ok(MULTI, &Body::new().u64(0)).u64(0), 0);
        let body = entry(Body::new().u64(1), CONFIG, 0, 0, 0);
        assert_eq!(server.client().ok(MULTI, &body).u64(0), 1);
    }

    fn the_most_and_one_more(transport: Transport) {
        let mut server = Server::new(transport);
        let max = limits::MAX_MULTI_WRITES;
        let full = (0..max).fold(Body::new().u64(max), |body, n| entry(body, BAR_RAM, n, 1, n));
        assert_eq!(server.client().ok(MULTI, &full).u64(0), max);
        assert_eq!(server.device.take_log().len() as u64, max);
        let more = (0..=max).fold(Body::new().u64(max + 1), |body, n| entry(body, BAR_RAM, n, 1, n));
        server.client().fails(MULTI, &more, libc::EINVAL);
        server.client().fails(MULTI, &Body::new().u64(u64::MAX), libc::EINVAL);
    }

    fn one_bad_write_refuses_all_before_the_first(transport: Transport) {
        let mut server = Server::new(transport);
        for (region, offset, count) in
            [(ROM, 0, 4), (CONFIG, 0xfe, 4), (9, 0, 4), (BAR_RAM, 0, 9), (BAR_REGISTERS, 1, 4)]
        {
            let body = entry(Body::new().u64(2), BAR_RAM, 0, 4, 0);
            let body = entry(body, region, offset, count, 0);
            server.client().fails(MULTI, &body, libc::EINVAL);
        }
        assert!(server.device.take_log().is_empty());
    }

    fn lengths_that_do_not_match_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        let one = entry(Body::new().u64(1), BAR_RAM, 0, 4, 0);
        for length in [0, 7, 8, 31] {
            server.client().fails(MULTI, &Body::new().bytes(&one.0[..length]), libc::EINVAL);
        }
        server.client().fails(MULTI, &one.bytes(&[0]), libc::EINVAL);
    }

    fn a_refusal_of_the_device_stops_the_rest(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.push_back(Errno::EIO);
        let body = entry(Body::new().u64(2), BAR_RAM, 0, 1, 0);
        server.client().fails(MULTI, &entry(body, BAR_RAM, 1, 1, 0), libc::EIO);
        assert_eq!(server.device.take_log(), ["write 0 0x0 00"]);
    }

    fn deferred_writes_are_waited_for_one_by_one(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 2;
        let body = (0..3).fold(Body::new().u64(3), |body, n| entry(body, BAR_RAM, n, 1, n));
        let multi = server.client().send(MULTI.number(), &body, &[]);
        let read = server.client().send(9, &access(BAR_RAM, 2, 1), &[]);
        let first = server.device.promise();
        assert_eq!(server.device.lock().log.len(), 1);
        first.done(Ok(()));
        server.device.promise().done(Ok(()));
        let reply = server.client().recv();
        assert_eq!((reply.header.id, reply.u64(0)), (multi, 3));
        let reply = server.client().recv();
        assert_eq!((reply.header.id, reply.body[16]), (read, 2));
    }

    fn refused_unless_agreed_on(transport: Transport) {
        let mut server = Server::fresh(transport, Config::default());
        assert!(!server.client().version(0, 0, Some("{}")).header.error);
        let body = entry(Body::new().u64(1), BAR_RAM, 0, 4, 0);
        server.client().fails(MULTI, &body, libc::EOPNOTSUPP);
    }
}
