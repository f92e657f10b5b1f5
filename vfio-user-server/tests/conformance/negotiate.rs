//! VERSION.

use vfio_user_server::wire::Command;
use vfio_user_server::{Config, Ended, limits};

use crate::client::Body;
use crate::on_each_transport;
use crate::server::{Server, Transport};

fn fresh(transport: Transport) -> Server {
    Server::fresh(transport, Config::default())
}

fn refused(transport: Transport, body: &[u8]) {
    let mut server = fresh(transport);
    server
        .client()
        .fails(Command::Version, &Body::new().bytes(body), libc::EINVAL);
    server.client().expect_close();
    assert!(matches!(server.ended(), Ended::Violation(_)));
}

fn refused_json(transport: Transport, json: &str) {
    refused(transport, &[&[0, 0, 0, 0], json.as_bytes(), &[0]].concat());
}

fn capabilities(server: &mut Server, json: Option<&str>) -> serde_json::Value {
    let reply = server.client().version(0, 0, json);
    assert!(!reply.header.error);
    let (nul, text) = reply.body[4..].split_last().unwrap();
    assert_eq!(*nul, 0);
    serde_json::from_slice::<serde_json::Value>(text).unwrap()["capabilities"].clone()
}

on_each_transport! {
    fn qemu_gets_minor_0_and_a_reply_that_fits_its_request(transport: Transport) {
        let mut server = fresh(transport);
        let json = r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,"pgsizes":4096,"write_multiple":true,"migration":{"pgsize":4096,"max_bitmap_size":268435456}}}"#;
        let reply = server.client().version(0, 0, Some(json));
        assert!(!reply.header.error);
        assert_eq!((reply.u16(0), reply.u16(2)), (0, 0));
        assert!(reply.header.size as usize <= limits::MAX_VERSION_REPLY, "{}", reply.header.size);
        assert_eq!(reply.body.last(), Some(&0));
    }

    fn the_lower_minor_is_agreed_on(transport: Transport) {
        for (asked, got) in [(0, 0), (1, 1), (2, 1), (u16::MAX, 1)] {
            let mut server = fresh(transport);
            let reply = server.client().version(0, asked, None);
            assert_eq!((reply.header.error, reply.u16(2)), (false, got));
        }
    }

    fn absent_json_means_defaults(transport: Transport) {
        let mut server = fresh(transport);
        let caps = capabilities(&mut server, None);
        assert_eq!(caps["max_msg_fds"], 16);
        assert_eq!(caps["max_data_xfer_size"], 1 << 20);
        assert_eq!(caps["max_dma_maps"], 65535);
        assert_eq!(caps["pgsizes"], 4096);
        assert!(caps.get("write_multiple").is_none());
        assert!(caps.get("twin_socket").is_none());
        assert!(caps.get("migration").is_none());
    }

    fn empty_json_and_unknown_names_are_fine(transport: Transport) {
        for json in ["{}", r#"{"capabilities":{}}"#, r#"{"x":1,"capabilities":{"y":[2]}}"#] {
            capabilities(&mut fresh(transport), Some(json));
        }
    }

    fn what_needs_both_sides_is_answered_only_if_proposed(transport: Transport) {
        let json = r#"{"capabilities":{"write_multiple":true,"twin_socket":{"supported":true},
            "migration":{"pgsize":4096}}}"#;
        let caps = capabilities(&mut fresh(transport), Some(json));
        assert_eq!(caps["write_multiple"], true);
        assert_eq!(caps["migration"]["pgsize"], 4096);
        assert!(caps.get("twin_socket").is_none());
        let json = r#"{"capabilities":{"write_multiple":false}}"#;
        let caps = capabilities(&mut fresh(transport), Some(json));
        assert!(caps.get("write_multiple").is_none());
    }

    fn max_dma_maps_can_only_be_lowered(transport: Transport) {
        for (asked, got) in [("10", 10), ("70000", 65535), ("18446744073709551615", 65535)] {
            let json = format!(r#"{{"capabilities":{{"max_dma_maps":{asked}}}}}"#);
            let caps = capabilities(&mut fresh(transport), Some(&json));
            assert_eq!(caps["max_dma_maps"], got);
        }
    }

    fn page_sizes_are_intersected_and_must_meet(transport: Transport) {
        let json = r#"{"capabilities":{"pgsizes":2101248}}"#;
        assert_eq!(capabilities(&mut fresh(transport), Some(json))["pgsizes"], 4096);
        refused_json(transport, r#"{"capabilities":{"pgsizes":2097152}}"#);
        refused_json(transport, r#"{"capabilities":{"pgsizes":0}}"#);
    }

    fn a_configured_server_says_so(transport: Transport) {
        let config = Config {
            max_msg_fds: 4,
            max_data_xfer_size: 65536,
            max_dma_maps: 3,
            pgsizes: 0x1000 | 0x20_0000,
            write_multiple: false,
            ..Config::default()
        };
        let mut server = Server::fresh(transport, config);
        let json = r#"{"capabilities":{"write_multiple":true,"pgsizes":2101248}}"#;
        let caps = capabilities(&mut server, Some(json));
        assert_eq!(caps["max_msg_fds"], 4);
        assert_eq!(caps["max_data_xfer_size"], 65536);
        assert_eq!(caps["max_dma_maps"], 3);
        assert_eq!(caps["pgsizes"], 0x20_1000);
        assert!(caps.get("write_multiple").is_none());
    }

    fn the_device_sees_what_was_negotiated(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().ok(Command::DeviceGetInfo, &Body::new().u32(16).u32(0).u64(0));
        let link = server.device.lock().link.clone().unwrap();
        let agreed = link.negotiated().unwrap();
        assert_eq!((agreed.minor, agreed.client_max_msg_fds, agreed.page_size()), (0, 16, 4096));
        assert!(agreed.write_multiple);
    }

    fn a_short_body_is_refused(transport: Transport) {
        for length in 0..4 {
            refused(transport, &vec![0; length]);
        }
    }

    fn a_long_message_is_refused_before_it_arrives(transport: Transport) {
        let mut server = fresh(transport);
        let mut bytes = crate::client::command(7, 1, false, &[]);
        let size = limits::MAX_VERSION_MESSAGE as u32 + 1;
        bytes[4..8].copy_from_slice(&size.to_ne_bytes());
        server.client().raw(&bytes);
        let reply = server.client().recv();
        assert_eq!((reply.header.error, reply.header.errno), (true, libc::EINVAL as u32));
        server.client().expect_close();
    }

    fn the_longest_version_message_is_accepted(transport: Transport) {
        let mut server = fresh(transport);
        let json = format!("{{}}{}", " ".repeat(limits::MAX_VERSION_MESSAGE - 16 - 4 - 2 - 1));
        let reply = server.client().version(0, 0, Some(&json));
        assert!(!reply.header.error);
    }

    fn another_first_command_is_refused(transport: Transport) {
        for number in [0, 2, 4, 9, 13, 14, 16, 999] {
            let mut server = fresh(transport);
            let reply = server.client().call(number, &Body::new(), &[]);
            assert_eq!((reply.header.error, reply.header.errno), (true, libc::EINVAL as u32));
            server.client().expect_close();
        }
    }

    fn another_major_is_refused(transport: Transport) {
        refused(transport, &[1, 0, 0, 0]);
        refused(transport, &[0xe7, 3, 0, 0]);
    }

    fn json_without_nul_is_refused(transport: Transport) {
        refused(transport, b"\0\0\0\0{}");
    }

    fn bad_json_is_refused(transport: Transport) {
        for json in ["", "{", "\"", "[", "{}x", "23", "null", "\u{0}", &"[".repeat(2000)] {
            refused_json(transport, json);
        }
        refused(transport, &[&[0, 0, 0, 0][..], &[0xff, 0xfe, 0]].concat());
    }

    fn bad_types_are_refused(transport: Transport) {
        for caps in [
            r#""23""#,
            r#"{"max_msg_fds":"foo"}"#,
            r#"{"max_msg_fds":-1}"#,
            r#"{"max_msg_fds":1.5}"#,
            r#"{"max_data_xfer_size":"1"}"#,
            r#"{"max_dma_maps":{}}"#,
            r#"{"pgsizes":true}"#,
            r#"{"write_multiple":1}"#,
            r#"{"twin_socket":true}"#,
            r#"{"twin_socket":{"supported":"yes"}}"#,
            r#"{"migration":"23"}"#,
            r#"{"migration":{"pgsize":"foo"}}"#,
            r#"{"migration":{"pgsize":4095}}"#,
            r#"{"migration":{"pgsize":0}}"#,
        ] {
            refused_json(transport, &format!(r#"{{"capabilities":{caps}}}"#));
        }
    }

    fn version_takes_no_descriptors(transport: Transport) {
        use std::os::fd::AsFd;
        let mut server = fresh(transport);
        let fd = crate::client::eventfd();
        let body = Body::new().u32(0);
        server.client().fails_fds(Command::Version, &body, &[fd.as_fd()], libc::EINVAL);
        server.client().expect_close();
    }

    fn a_second_version_is_refused_and_changes_nothing(transport: Transport) {
        let mut server = Server::new(transport);
        server.client().fails(Command::Version, &Body::new().u32(0), libc::EINVAL);
        server.client().ok(Command::DeviceGetInfo, &Body::new().u32(16).u32(0).u64(0));
    }

    fn commands_may_be_pipelined_behind_version(transport: Transport) {
        let mut server = fresh(transport);
        let version = crate::client::command(1, 1, false, &[0; 4]);
        let info = crate::client::command(2, 4, false, &Body::new().u32(16).u32(0).u64(0).0);
        server.client().raw(&[version, info].concat());
        assert_eq!(server.client().recv().header.id, 1);
        assert_eq!(server.client().recv().header.id, 2);
    }
}
