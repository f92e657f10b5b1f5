//! DEVICE_GET_INFO.

use vfio_user_server::vfio;
use vfio_user_server::wire::Command;

use crate::client::Body;
use crate::on_each_transport;
use crate::server::Server;

on_each_transport! {
    fn says_what_the_device_is(transport: Transport) {
        let mut server = Server::new(transport);
        let reply =
            server.client().ok(Command::DeviceGetInfo, &Body::new().u32(16).u32(0).u32(0).u32(0));
        let flags = vfio::VFIO_DEVICE_FLAGS_PCI | vfio::VFIO_DEVICE_FLAGS_RESET;
        assert_eq!(reply.body.len(), 16);
        assert_eq!([0, 4, 8, 12].map(|at| reply.u32(at)), [16, flags, 9, 5]);
    }

    fn a_larger_argsz_is_fine(transport: Transport) {
        // rust-vmm's client says 32.
        let mut server = Server::new(transport);
        for argsz in [32, u32::MAX] {
            let body = Body::new().u32(argsz).u32(0).u32(0).u32(0);
            assert_eq!(server.client().ok(Command::DeviceGetInfo, &body).u32(0), 16);
        }
    }

    fn short_bodies_and_a_small_argsz_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        for length in 0..16 {
            let body = Body::new().bytes(&vec![0xff; length]);
            server.client().fails(Command::DeviceGetInfo, &body, libc::EINVAL);
        }
        let body = Body::new().u32(15).u32(0).u32(0).u32(0);
        server.client().fails(Command::DeviceGetInfo, &body, libc::EINVAL);
    }
}
