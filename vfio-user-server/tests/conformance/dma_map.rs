//! DMA_MAP.

use std::os::fd::AsFd;

use vfio_user_server::wire::Command;
use vfio_user_server::{Config, Errno, limits};

use crate::client::{Body, dma_map, dma_unmap, memfd};
use crate::on_each_transport;
use crate::server::Server;

const MAP: Command = Command::DmaMap;

on_each_transport! {
    fn with_and_without_a_file(transport: Transport) {
        let mut server = Server::new(transport);
        let file = memfd(0x10000);
        let with = [file.as_fd()];
        let reply = server.client().ok_fds(MAP, &dma_map(3, 0x4000, 0x1000, 0x2000), &with);
        assert!(reply.body.is_empty());
        server.client().ok(MAP, &dma_map(1, 0, 0x3000, 0x1000));
        server.client().ok_fds(MAP, &dma_map(2, 0, 0x10000, 0x1000), &with);
        server.client().ok_fds(MAP, &dma_map(3 | 4, 0, 0x20000, 0x1000), &with);
        server.client().ok_fds(MAP, &dma_map(3 | 8, 0, 0x30000, 0x1000), &with);
        server.client().ok(MAP, &dma_map(0, 0, 0x40000, 0x1000));
        assert_eq!(server.device.take_log(), [
            "map 0x1000+0x2000 @0x4000 rw mmap",
            "map 0x3000+0x1000 @0x0 r messages",
            "map 0x10000+0x1000 @0x0 w mmap",
            "map 0x20000+0x1000 @0x0 rw mmap",
            "map 0x30000+0x1000 @0x0 rw file",
            "map 0x40000+0x1000 @0x0 - messages",
        ]);
    }

    fn an_explicit_use_of_a_file_needs_one(transport: Transport) {
        let mut server = Server::new(transport);
        for flags in [3 | 4, 3 | 8] {
            server.client().fails(MAP, &dma_map(flags, 0, 0x1000, 0x1000), libc::EINVAL);
        }
    }

    fn flags_argsz_and_length_are_checked(transport: Transport) {
        let mut server = Server::new(transport);
        let file = memfd(0x1000);
        for flags in [16, 0x8000_0000, u32::MAX, 3 | 4 | 8] {
            let body = dma_map(flags, 0, 0x1000, 0x1000);
            server.client().fails_fds(MAP, &body, &[file.as_fd()], libc::EINVAL);
        }
        let whole = dma_map(3, 0, 0x1000, 0x1000);
        for length in [0, 1, 16, 31] {
            server.client().fails(MAP, &Body::new().bytes(&whole.0[..length]), libc::EINVAL);
        }
        server.client().fails(MAP, &Body::new().u32(31).bytes(&whole.0[4..]), libc::EINVAL);
        server.client().ok(MAP, &whole);
    }

    fn sizes_and_addresses_make_sense(transport: Transport) {
        let mut server = Server::new(transport);
        let file = memfd(0x1000);
        for (offset, address, size, errno) in [
            (0, 0x1000, 0, libc::EINVAL),
            (0, 0x1800, 0x1000, libc::EINVAL),
            (0, 0x1000, 0x800, libc::EINVAL),
            (0, !0xfffu64, 0x2000, libc::EINVAL),
            (0, u64::MAX, u64::MAX, libc::EINVAL),
            (!0xfffu64, 0x1000, 0x1000, libc::EINVAL),
            (i64::MAX as u64, 0x1000, 0x1000, libc::EINVAL),
            (0, 0, limits::MAX_DMA_MAP_SIZE + 0x1000, libc::ENOSPC),
        ] {
            let body = dma_map(3, offset, address, size);
            server.client().fails_fds(MAP, &body, &[file.as_fd()], errno);
        }
        assert!(server.device.take_log().is_empty());
        server.client().ok(MAP, &dma_map(3, 0, 0, limits::MAX_DMA_MAP_SIZE));
        server.client().ok(MAP, &dma_map(3, 0, u64::MAX - 0xfff, 0x1000));
    }

    fn a_file_offset_need_not_be_aligned(transport: Transport) {
        // Hugetlb memory is mapped at such offsets.
        let mut server = Server::new(transport);
        let file = memfd(0x10_0000);
        let body = dma_map(3, 0xc3000, 0xc3000, 0x1000);
        server.client().ok_fds(MAP, &body, &[file.as_fd()]);
    }

    fn overlaps_are_refused_with_eexist(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().map(0x4000, 0x4000, None);
        for (address, size) in [
            (0x4000, 0x4000), (0x3000, 0x2000), (0x7000, 0x1000), (0x7000, 0x2000),
            (0x5000, 0x1000), (0x3000, 0x6000), (0, 0x10000),
        ] {
            server.client().fails(MAP, &dma_map(3, 0, address, size), libc::EEXIST);
        }
        server.client().map(0x3000, 0x1000, None);
        server.client().map(0x8000, 0x1000, None);
        assert_eq!(server.device.take_log().len(), 3);
    }

    fn no_more_maps_than_agreed(transport: Transport) {
        let config = Config { max_dma_maps: 3, ..Config::default() };
        let mut server = Server::fresh(transport, config);
        server.client().negotiate();
        for n in 0..3 {
            server.client().map(n << 12, 0x1000, None);
        }
        server.client().fails(MAP, &dma_map(3, 0, 0x10000, 0x1000), libc::EINVAL);
        server.client().ok(Command::DmaUnmap, &dma_unmap(0, 0x1000, 0x1000));
        server.client().map(0x10000, 0x1000, None);
    }

    fn what_the_device_refuses_is_not_mapped(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.push_back(Errno::ENOMEM);
        server.client().fails(MAP, &dma_map(3, 0, 0x1000, 0x1000), libc::ENOMEM);
        server.client().fails(Command::DmaUnmap, &dma_unmap(0, 0x1000, 0x1000), libc::ENOENT);
        server.client().map(0x1000, 0x1000, None);
    }

    fn two_descriptors_are_refused_and_closed(transport: Transport) {
        let mut server = Server::new(transport);
        let (read, write) = nix::unistd::pipe().unwrap();
        let body = dma_map(3, 0, 0x1000, 0x1000);
        server.client().fails_fds(MAP, &body, &[write.as_fd(), write.as_fd()], libc::EINVAL);
        drop(write);
        let mut byte = [0];
        assert_eq!(nix::unistd::read(&read, &mut byte), Ok(0), "the server kept a descriptor");
    }

    fn a_pipelined_batch_gives_each_map_its_own_file(transport: Transport) {
        use std::os::unix::fs::FileExt;
        let mut server = Server::new(transport);
        server.client().map(0x1000, 0x1000, None);
        let mut files = Vec::new();
        for n in 2..12u64 {
            let file = std::fs::File::from(memfd(0x1000));
            file.write_all_at(&n.to_ne_bytes(), 0).unwrap();
            server.client().send(3, &dma_unmap(0, (n - 1) << 12, 0x1000), &[]);
            server.client().send(2, &dma_map(3, 0, n << 12, 0x1000), &[file.as_fd()]);
            files.push(file);
        }
        for _ in 2..12 {
            assert_eq!(server.client().recv().header.errno, 0);
            assert_eq!(server.client().recv().header.errno, 0);
        }
        let held: Vec<u64> = server.device.lock().fds.drain(..).map(|fd| {
            let mut bytes = [0; 8];
            std::fs::File::from(fd).read_exact_at(&mut bytes, 0).unwrap();
            u64::from_ne_bytes(bytes)
        }).collect();
        assert_eq!(held, (2..12).collect::<Vec<_>>());
    }
}
