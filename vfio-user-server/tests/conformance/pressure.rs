//! Clients that send more than they take.

use std::io::{ErrorKind, Write};

use vfio_user_server::{Config, limits};

use crate::client::{PATIENCE, access, command};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::Server;

on_each_transport! {
    fn a_client_that_does_not_read_is_not_read_from(transport: Transport) {
        let mut server = Server::new(transport);
        let request = command(1, 9, false, &access(BAR_RAM, 0, 1 << 20).0);
        let stream = server.client().stream.try_clone().unwrap();
        stream.set_nonblocking(true).unwrap();
        // Far more replies than any socket buffer: the server must stop reading.
        let mut sent = 0usize;
        let mut pending = request.clone();
        let stuck_after = loop {
            match (&stream).write(&pending) {
                Ok(count) => {
                    sent += count;
                    pending.drain(..count);
                    if pending.is_empty() {
                        pending.clone_from(&request);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [nix::poll::PollFd::new(
                        std::os::fd::AsFd::as_fd(&stream),
                        nix::poll::PollFlags::POLLOUT,
                    )];
                    // Nothing but the server's reading makes room; it has stopped when none comes.
                    if nix::poll::poll(&mut fds, 500u16).unwrap() == 0 {
                        break sent;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        };
        let asked = server.device.lock().log.len();
        let bound = limits::MAX_QUEUED_OUTPUT / (1 << 20) + 8;
        assert!(asked <= bound, "{asked} replies of 1 MiB were made for nobody");
        // Once the client reads, everything is served.
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..stuck_after / request.len() {
            assert_eq!(server.client().recv().body.len(), 16 + (1 << 20));
        }
    }

    fn no_more_requests_than_the_limit_are_taken(transport: Transport) {
        let config = Config { max_requests: 4, ..Config::default() };
        let mut server = Server::fresh(transport, config);
        server.client().negotiate();
        server.device.lock().defer = usize::MAX;
        for n in 0..20 {
            server.client().send(9, &access(BAR_RAM, n, 1), &[]);
        }
        for _ in 0..20 {
            let promise = server.device.promise();
            assert!(server.device.lock().promises.len() < 4);
            promise.data(Ok(vec![0]));
            server.client().recv();
        }
    }
}
