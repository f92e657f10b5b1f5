//! DMA_UNMAP.

use vfio_user_server::Errno;
use vfio_user_server::wire::Command;

use crate::client::{Body, access, command, dma_map, dma_unmap};
use crate::device::BAR_RAM;
use crate::on_each_transport;
use crate::server::Server;

const UNMAP: Command = Command::DmaUnmap;
const DIRTY: u32 = 1;
const ALL: u32 = 2;

fn dirty(argsz: u32, address: u64, size: u64, page: u64, bitmap: u64) -> Body {
    Body::new()
        .u32(argsz)
        .u32(DIRTY)
        .u64(address)
        .u64(size)
        .u64(page)
        .u64(bitmap)
}

on_each_transport! {
    fn the_reply_repeats_the_entry(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x2000, None);
        let reply = server.client().ok(UNMAP, &dma_unmap(0, 0x1000, 0x2000));
        // rust-vmm's client waits for exactly 40 bytes.
        assert_eq!(reply.header.size, 40);
        assert_eq!((reply.u32(0), reply.u32(4)), (24, 0));
        assert_eq!((reply.u64(8), reply.u64(16)), (0x1000, 0x2000));
    }

    fn only_whole_maps_are_unmapped(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x2000, None);
        for (address, size) in
            [(0x1000, 0x1000), (0x2000, 0x1000), (0x1000, 0x3000), (0, 0x3000), (0, 0)]
        {
            server.client().fails(UNMAP, &dma_unmap(0, address, size), libc::ENOENT);
        }
        server.client().ok(UNMAP, &dma_unmap(0, 0x1000, 0x2000));
        server.client().fails(UNMAP, &dma_unmap(0, 0x1000, 0x2000), libc::ENOENT);
    }

    fn all_at_once(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().ok(UNMAP, &dma_unmap(ALL, 0, 0));
        server.client().map(0x1000, 0x1000, None);
        server.client().map(0x5000, 0x1000, None);
        server.client().fails(UNMAP, &dma_unmap(ALL, 0x1000, 0), libc::EINVAL);
        server.client().fails(UNMAP, &dma_unmap(ALL, 0, 0x1000), libc::EINVAL);
        let reply = server.client().ok(UNMAP, &dma_unmap(ALL, 0, 0));
        assert_eq!((reply.header.size, reply.u32(4)), (40, ALL));
        server.client().map(0x1000, 0x5000, None);
    }

    fn length_argsz_and_flags_are_checked(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x1000, None);
        let whole = dma_unmap(0, 0x1000, 0x1000);
        for length in [0, 1, 23] {
            server.client().fails(UNMAP, &Body::new().bytes(&whole.0[..length]), libc::EINVAL);
        }
        for argsz in [0, 23, (1 << 20) + 1, u32::MAX] {
            let body = Body::new().u32(argsz).bytes(&whole.0[4..]);
            server.client().fails(UNMAP, &body, libc::EINVAL);
        }
        for flags in [4, 8, 3, 0x8000_0000, u32::MAX] {
            server.client().fails(UNMAP, &dma_unmap(flags, 0x1000, 0x1000), libc::EINVAL);
        }
        server.client().ok(UNMAP, &whole);
    }

    fn dirty_pages_come_with_the_reply(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x10_0000, None);
        let reply = server.client().ok(UNMAP, &dirty(24 + 16 + 32, 0x1000, 0x10_0000, 4096, 32));
        assert_eq!((reply.header.size, reply.u32(0), reply.u32(4)), (88, 72, DIRTY));
        assert_eq!((reply.u64(24), reply.u64(32)), (4096, 32));
        assert!(reply.body[40..].iter().all(|&byte| byte == 0x5a));
        server.client().fails(UNMAP, &dma_unmap(0, 0x1000, 0x10_0000), libc::ENOENT);
    }

    fn dirty_queries_are_checked(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x10_0000, None);
        for body in [
            dma_unmap(DIRTY, 0x1000, 0x10_0000),
            dirty(71, 0x1000, 0x10_0000, 4096, 32),
            dirty(72, 0x1000, 0x10_0000, 4095, 32),
            dirty(72, 0x1000, 0x10_0000, 0, 32),
            dirty(72, 0x1000, 0x10_0000, 4096, 24),
            dirty(80, 0x1000, 0x10_0000, 4096, 40),
            dirty(72, 0x1000, 0x10_0000, 4096, u64::MAX),
            dirty(72, 0x1000, u64::MAX, 1, 32),
        ] {
            server.client().fails(UNMAP, &body, libc::EINVAL);
        }
        server.device.lock().refuse.push_back(Errno::EINVAL);
        let good = dirty(72, 0x1000, 0x10_0000, 4096, 32);
        server.client().fails(UNMAP, &good, libc::EINVAL);
        server.client().ok(UNMAP, &good);
    }

    fn what_the_device_keeps_stays_mapped(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x1000, None);
        server.device.lock().refuse.extend([Errno::EBUSY, Errno::EBUSY]);
        server.client().fails(UNMAP, &dma_unmap(0, 0x1000, 0x1000), libc::EBUSY);
        server.client().fails(UNMAP, &dma_unmap(ALL, 0, 0), libc::EBUSY);
        server.client().fails(Command::DmaMap, &dma_map(3, 0, 0x1000, 0x1000), libc::EEXIST);
        server.client().ok(UNMAP, &dma_unmap(0, 0x1000, 0x1000));
    }

    fn a_deferred_unmap_holds_back_what_follows(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x1000, None);
        server.device.lock().defer = 1;
        let unmap = server.client().send(3, &dma_unmap(0, 0x1000, 0x1000), &[]);
        let map = server.client().send(2, &dma_map(3, 0, 0x1000, 0x1000), &[]);
        let read = server.client().send(9, &access(BAR_RAM, 0, 1), &[]);
        let promise = server.device.promise();
        assert_eq!(server.device.take_log().last().unwrap(), "unmap 0x1000+0x1000");
        promise.done(Ok(()));
        let ids = [(); 3].map(|()| server.client().recv()).map(|reply| {
            assert!(!reply.header.error);
            reply.header.id
        });
        assert_eq!(ids, [unmap, map, read]);
    }

    fn unmaps_may_be_under_way_together(transport: Transport) {
        let mut server = Server::new(transport);
        for n in 1..5u64 {
            server.client().map(n << 12, 0x1000, None);
        }
        server.device.lock().defer = 4;
        let ids = [1, 2, 3, 4u64].map(|n| {
            server.client().send(3, &dma_unmap(0, n << 12, 0x1000), &[])
        });
        let mut promises: Vec<_> = ids.iter().map(|_| server.device.promise()).collect();
        while let Some(promise) = promises.pop() {
            promise.done(Ok(()));
        }
        assert_eq!([(); 4].map(|()| server.client().recv().header.id), ids);
    }

    fn a_range_that_is_leaving_cannot_be_unmapped_again(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x1000, None);
        server.device.lock().defer = 1;
        // In one piece: were the first answered before the second is read, that would be another story.
        let one = dma_unmap(0, 0x1000, 0x1000);
        let all = [&one, &one, &dma_unmap(ALL, 0, 0)].map(|body| command(7, 3, false, &body.0));
        server.client().raw(&all.concat());
        server.device.promise().done(Err(Errno::EBUSY));
        let errnos = [(); 3].map(|()| server.client().recv().header.errno as i32);
        assert_eq!(errnos, [libc::EBUSY, libc::ENOENT, 0]);
    }
}
