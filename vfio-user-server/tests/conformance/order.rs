//! Requests answered late and in any order; replies leave in order.

use vfio_user_server::Errno;
use vfio_user_server::wire::Command;

use crate::client::{Body, access};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::Server;

on_each_transport! {
    fn replies_keep_the_order_of_the_requests(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 5;
        let ids: Vec<_> =
            (0..7).map(|n| server.client().send(9, &access(BAR_RAM, n, 1), &[])).collect();
        let mut promises: Vec<_> = (0..5).map(|_| server.device.promise()).collect();
        server.device.wait(|state| (state.log.len() == 7).then_some(()));
        for (n, index) in [3, 0, 2, 1, 0].into_iter().enumerate() {
            promises.remove(index).data(Ok(vec![n as u8]));
        }
        let replies: Vec<_> = (0..7).map(|_| server.client().recv()).collect();
        assert_eq!(replies.iter().map(|reply| reply.header.id).collect::<Vec<_>>(), ids);
        let data: Vec<_> = replies.iter().map(|reply| reply.body[16]).collect();
        assert_eq!(data[..5], [1, 4, 3, 0, 2]);
    }

    fn the_last_reply_vouches_for_what_was_posted_before(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 1;
        server.client().post(Command::RegionWrite, &access(BAR_RAM, 0, 1).bytes(&[1]));
        let last = server.client().send(9, &access(BAR_RAM, 0, 1), &[]);
        let promise = server.device.promise();
        server.device.wait(|state| (state.log.len() == 2).then_some(()));
        promise.done(Err(Errno::EIO));
        assert_eq!(server.client().recv().header.id, last);
    }

    fn the_same_message_id_may_be_used_twice(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 2;
        for offset in [1, 2] {
            let body = access(BAR_RAM, offset, 1);
            server.client().raw(&crate::client::command(5, 9, false, &body.0));
        }
        let (first, second) = (server.device.promise(), server.device.promise());
        second.data(Ok(vec![2]));
        first.data(Ok(vec![1]));
        let got = [(); 2].map(|()| {
            let reply = server.client().recv();
            (reply.header.id, reply.u64(0), reply.body[16])
        });
        assert_eq!(got, [(5, 1, 1), (5, 2, 2)]);
    }

    fn completions_from_many_threads(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 64;
        let ids: Vec<_> =
            (0..64).map(|n| server.client().send(9, &access(BAR_RAM, n, 1), &[])).collect();
        let promises: Vec<_> = ids.iter().map(|_| server.device.promise()).collect();
        std::thread::scope(|scope| {
            for promise in promises {
                scope.spawn(move || promise.data(Ok(vec![0])));
            }
        });
        for id in ids {
            assert_eq!(server.client().recv().header.id, id);
        }
    }

    fn a_reset_behind_a_deferred_read_is_not_held_back(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().defer = 1;
        let read = server.client().send(9, &access(BAR_RAM, 0, 1), &[]);
        let promise = server.device.promise();
        let reset = server.client().send(13, &Body::new(), &[]);
        server.device.wait(|state| state.log.contains(&"reset".to_owned()).then_some(()));
        promise.data(Ok(vec![0]));
        assert_eq!([(); 2].map(|()| server.client().recv().header.id), [read, reset]);
    }
}
