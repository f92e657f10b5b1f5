//! How connections end.

use std::os::fd::AsFd;

use vfio_user_server::{Config, Ended};

use crate::client::{Body, access, command, dma_map, memfd};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::Server;

on_each_transport! {
    fn a_client_that_leaves_is_noticed_and_the_device_told_once(transport: Transport) {
        let mut server = Server::new(transport);
        let file = memfd(0x1000);
        server.client().ok_fds(
            vfio_user_server::wire::Command::DmaMap,
            &dma_map(3, 0, 0x1000, 0x1000),
            &[file.as_fd()],
        );
        assert!(matches!(server.close(), Ended::ClientClosed));
        let state = server.device.lock();
        assert_eq!(state.ended, ["ClientClosed"]);
        assert!(state.fds.is_empty());
    }

    fn before_a_word_and_in_mid_message(transport: Transport) {
        let mut server = Server::fresh(transport, Config::default());
        assert!(matches!(server.close(), Ended::ClientClosed));
        let mut server = Server::new(transport);
        server.client().raw(&command(1, 9, false, &access(BAR_RAM, 0, 1).0)[..20]);
        assert!(matches!(server.close(), Ended::ClientClosed));
    }

    fn with_unread_replies(transport: Transport) {
        let mut server = Server::new(transport);
        for _ in 0..10 {
            server.client().send(9, &access(BAR_RAM, 0, 4096), &[]);
        }
        assert!(matches!(server.close(), Ended::ClientClosed));
    }

    fn with_a_deferred_request(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 1;
        server.client().send(13, &Body::new(), &[]);
        let promise = server.device.promise();
        assert!(matches!(server.close(), Ended::ClientClosed));
        promise.done(Ok(()));
    }

    fn by_shutdown_from_another_thread(transport: Transport) {
        let mut server = Server::new(transport);
        let link = server.device.lock().link.clone().unwrap();
        link.shutdown_handle().shutdown();
        server.client().expect_close();
        assert!(matches!(server.ended(), Ended::Shutdown));
    }

    fn by_shutdown_while_a_client_floods(transport: Transport) {
        let mut server = Server::new(transport);
        let link = server.device.lock().link.clone().unwrap();
        let mut stream = server.client().stream.try_clone().unwrap();
        let flood = std::thread::spawn(move || {
            use std::io::Write;
            let one = command(1, 10, true, &access(BAR_RAM, 0, 1).bytes(&[0]).0);
            while stream.write_all(&one).is_ok() {}
        });
        server.device.wait(|state| (state.log.len() > 1000).then_some(()));
        link.shutdown_handle().shutdown();
        assert!(matches!(server.ended(), Ended::Shutdown));
        flood.join().unwrap();
    }
}
