//! DEVICE_GET_IRQ_INFO.

use vfio_user_server::vfio;
use vfio_user_server::wire::Command;

use crate::client::Body;
use crate::device::{ERR, INTX, MSI_NONE, MSIX};
use crate::on_each_transport;
use crate::server::Server;

fn query(argsz: u32, index: u32) -> Body {
    Body::new().u32(argsz).u32(0).u32(index).u32(0)
}

on_each_transport! {
    fn every_type(transport: Transport) {
        let mut server = Server::new(transport);
        let eventfd = vfio::VFIO_IRQ_INFO_EVENTFD;
        let intx = eventfd | vfio::VFIO_IRQ_INFO_MASKABLE | vfio::VFIO_IRQ_INFO_AUTOMASKED;
        let msix = eventfd | vfio::VFIO_IRQ_INFO_NORESIZE;
        for (index, flags, count) in
            [(INTX, intx, 1), (MSI_NONE, eventfd, 0), (MSIX, msix, 8), (ERR, eventfd, 1)]
        {
            let reply = server.client().ok(Command::DeviceGetIrqInfo, &query(16, index));
            assert_eq!(reply.body.len(), 16);
            assert_eq!([0, 4, 8, 12].map(|at| reply.u32(at)), [16, flags, index, count]);
        }
    }

    fn bad_index_short_body_and_small_argsz_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        let get = Command::DeviceGetIrqInfo;
        for index in [5, 50, u32::MAX] {
            server.client().fails(get, &query(16, index), libc::EINVAL);
        }
        server.client().fails(get, &query(15, 0), libc::EINVAL);
        server.client().fails(get, &Body::new().bytes(&query(16, 0).0[..15]), libc::EINVAL);
        server.client().fails(get, &Body::new(), libc::EINVAL);
    }
}
