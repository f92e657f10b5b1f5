//! DEVICE_GET_REGION_INFO.

use vfio_user_server::wire::Command;
use vfio_user_server::{Config, vfio};

use crate::client::{Body, Message};
use crate::device::{BAR_MAPPED, BAR_RAM, BAR_SPARSE, ROM, VGA_EMPTY};
use crate::on_each_transport;
use crate::server::Server;

const RW: u32 = vfio::VFIO_REGION_INFO_FLAG_READ | vfio::VFIO_REGION_INFO_FLAG_WRITE;
const MMAP: u32 = vfio::VFIO_REGION_INFO_FLAG_MMAP;
const CAPS: u32 = vfio::VFIO_REGION_INFO_FLAG_CAPS;

fn query(argsz: u32, index: u32) -> Body {
    Body::new()
        .u32(argsz)
        .u32(0)
        .u32(index)
        .u32(0)
        .u64(0)
        .u64(0)
}

fn ask(server: &mut Server, argsz: u32, index: u32) -> Message {
    server
        .client()
        .ok(Command::DeviceGetRegionInfo, &query(argsz, index))
}

on_each_transport! {
    fn a_plain_region(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = ask(&mut server, 32, BAR_RAM);
        assert_eq!([0, 4, 8, 12].map(|at| reply.u32(at)), [32, RW, BAR_RAM, 0]);
        assert_eq!((reply.u64(16), reply.u64(24), reply.fds.len()), (2 << 20, 0, 0));
        let reply = ask(&mut server, 32, ROM);
        assert_eq!(reply.u32(4), vfio::VFIO_REGION_INFO_FLAG_READ);
    }

    fn an_empty_region(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = ask(&mut server, 32, VGA_EMPTY);
        assert_eq!((reply.u32(0), reply.u32(4), reply.u64(16)), (32, 0, 0));
    }

    fn a_wholly_mappable_region_sends_its_fd_at_once(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = ask(&mut server, 32, BAR_MAPPED);
        assert_eq!((reply.u32(0), reply.u32(4)), (32, RW | MMAP));
        assert_eq!((reply.u64(16), reply.u64(24), reply.fds.len()), (0x8000, 0x1000, 1));
    }

    fn a_small_argsz_is_told_what_is_needed_and_gets_neither_caps_nor_fd(transport: Transport) {
        let mut server = Server::new(transport);
        for argsz in [32, 79] {
            let reply = ask(&mut server, argsz, BAR_SPARSE);
            assert_eq!((reply.body.len(), reply.u32(0)), (32, 80));
            assert_eq!((reply.u32(4) & CAPS, reply.u32(12), reply.fds.len()), (0, 0, 0));
        }
    }

    fn the_second_reply_has_the_areas_and_the_fd(transport: Transport) {
        let mut server = Server::new(transport);
        for argsz in [80, 4096] {
            let reply = ask(&mut server, argsz, BAR_SPARSE);
            assert_eq!((reply.body.len(), reply.u32(0), reply.u32(12)), (80, 80, 32));
            assert_eq!((reply.u32(4), reply.fds.len()), (RW | MMAP | CAPS, 1));
            let cap = [reply.u16(32), reply.u16(34)];
            assert_eq!(cap, [vfio::VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16, 1]);
            assert_eq!((reply.u32(36), reply.u32(40)), (0, 2));
            let areas = [48, 56, 64, 72].map(|at| reply.u64(at));
            assert_eq!(areas, [0x1000, 0x1000, 0x3000, 0x1000]);
        }
    }

    fn the_fd_is_the_regions_memory(transport: Transport) {
        use std::os::unix::fs::FileExt;
        let mut server = Server::new(transport);
        let first = std::fs::File::from(ask(&mut server, 32, BAR_MAPPED).fds.remove(0));
        first.write_all_at(b"shared", 0x1000).unwrap();
        let second = std::fs::File::from(ask(&mut server, 32, BAR_MAPPED).fds.remove(0));
        let mut bytes = [0; 6];
        second.read_exact_at(&mut bytes, 0x1000).unwrap();
        assert_eq!(&bytes, b"shared");
    }

    fn a_client_that_takes_no_fd_is_told_of_no_mapping(transport: Transport) {
        // cloud-hypervisor panics at MMAP without an fd.
        let mut server = Server::fresh(transport, Config::default());
        let reply = server.client().version(0, 0, Some(r#"{"capabilities":{"max_msg_fds":0}}"#));
        assert!(!reply.header.error);
        for region in [BAR_SPARSE, BAR_MAPPED] {
            let reply = ask(&mut server, 4096, region);
            assert_eq!((reply.u32(0), reply.u32(4), reply.fds.len()), (32, RW, 0));
        }
    }

    fn bad_index_short_body_and_small_argsz_are_refused(transport: Transport) {
        let mut server = Server::new(transport);
        let get = Command::DeviceGetRegionInfo;
        for index in [9, 100, u32::MAX] {
            server.client().fails(get, &query(32, index), libc::EINVAL);
        }
        for argsz in [0, 31] {
            server.client().fails(get, &query(argsz, 0), libc::EINVAL);
        }
        let whole = query(32, 0);
        for length in [0, 1, 31] {
            let body = Body::new().bytes(&whole.0[..length]);
            server.client().fails(get, &body, libc::EINVAL);
        }
    }
}
