//! MIG_DATA_READ and MIG_DATA_WRITE.

use vfio_user_server::Errno;
use vfio_user_server::wire::Command;

use crate::client::Body;
use crate::on_each_transport;
use crate::server::Server;

const READ: Command = Command::MigDataRead;
const WRITE: Command = Command::MigDataWrite;
const MAX: u32 = 1 << 20;

fn head(argsz: u32, size: u32) -> Body {
    Body::new().u32(argsz).u32(size)
}

on_each_transport! {
    fn state_is_a_stream_that_ends_with_a_short_read(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = server.client().ok(WRITE, &head(13, 5).bytes(b"state"));
        assert!(reply.body.is_empty());
        server.client().ok(WRITE, &head(8, 2).bytes(b"+1"));
        let reply = server.client().ok(READ, &head(12, 4));
        assert_eq!((reply.u32(0), reply.u32(4)), (12, 4));
        assert_eq!(&reply.body[8..], b"stat");
        let reply = server.client().ok(READ, &head(12, 4));
        assert_eq!((reply.u32(0), reply.u32(4), &reply.body[8..]), (11, 3, &b"e+1"[..]));
        assert_eq!(server.client().ok(READ, &head(12, 4)).u32(4), 0);
    }

    fn the_largest_transfer_and_one_more(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().ok(WRITE, &head(MAX + 8, MAX).bytes(&vec![1; MAX as usize]));
        assert_eq!(server.client().ok(READ, &head(MAX + 8, MAX)).u32(4), MAX);
        server.client().fails(READ, &head(MAX + 9, MAX + 1), libc::EINVAL);
        let body = head(MAX + 9, MAX + 1).bytes(&vec![1; MAX as usize + 1]);
        server.client().fails(WRITE, &body, libc::EINVAL);
        server.client().fails(READ, &head(u32::MAX, u32::MAX), libc::EINVAL);
    }

    fn lengths_and_argsz_are_checked(transport: Transport) {
        let mut server = Server::new(transport);
        for body in [Body::new(), Body::new().u32(8), head(7, 0), head(8, 1), head(0, u32::MAX)] {
            server.client().fails(READ, &body, libc::EINVAL);
        }
        for body in [
            Body::new(), Body::new().u32(8), head(7, 0), head(12, 4).bytes(b"abc"),
            head(12, 4).bytes(b"abcde"), head(12, u32::MAX),
        ] {
            server.client().fails(WRITE, &body, libc::EINVAL);
        }
        assert!(server.device.take_log().is_empty());
    }

    fn errors_and_wrong_answers(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.extend([Errno::EOPNOTSUPP, Errno::EINVAL]);
        server.client().fails(READ, &head(12, 4), libc::EOPNOTSUPP);
        server.client().fails(WRITE, &head(8, 0), libc::EINVAL);
        server.device.lock().defer = 1;
        server.client().send(READ.number(), &head(12, 4), &[]);
        server.device.promise().data(Ok(vec![0; 5]));
        assert_eq!(server.client().recv().header.errno, libc::EIO as u32);
    }
}
