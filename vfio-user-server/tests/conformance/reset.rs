//! DEVICE_RESET.

use vfio_user_server::Errno;
use vfio_user_server::wire::Command;

use crate::client::{Body, access};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::Server;

on_each_transport! {
    fn resets_and_keeps_the_maps(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x1000, None);
        assert!(server.client().ok(Command::DeviceReset, &Body::new()).body.is_empty());
        assert_eq!(server.device.take_log()[1], "reset");
        let unmap = crate::client::dma_unmap(0, 0x1000, 0x1000);
        server.client().ok(Command::DmaUnmap, &unmap);
    }

    fn a_deferred_reset_holds_back_what_follows(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 1;
        let reset = server.client().send(13, &Body::new(), &[]);
        let write = server.client().send(10, &access(BAR_RAM, 0, 1).bytes(&[1]), &[]);
        let promise = server.device.promise();
        assert_eq!(server.device.take_log(), ["reset"]);
        promise.done(Ok(()));
        assert_eq!([(); 2].map(|()| server.client().recv().header.id), [reset, write]);
    }

    fn a_promise_that_is_dropped_is_an_io_error(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 1;
        server.client().send(13, &Body::new(), &[]);
        drop(server.device.promise());
        assert_eq!(server.client().recv().header.errno, libc::EIO as u32);
    }

    fn the_device_may_refuse(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.push_back(Errno::EIO);
        server.client().fails(Command::DeviceReset, &Body::new(), libc::EIO);
    }
}
