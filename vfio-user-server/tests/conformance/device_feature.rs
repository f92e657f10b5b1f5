//! DEVICE_FEATURE.

use vfio_user_server::Errno;
use vfio_user_server::vfio::{
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT as REPORT, VFIO_DEVICE_FEATURE_GET as GET,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE as STATE, VFIO_DEVICE_FEATURE_MIGRATION as MIGRATION,
    VFIO_DEVICE_FEATURE_PROBE as PROBE, VFIO_DEVICE_FEATURE_SET as SET,
};
use vfio_user_server::wire::Command;

use crate::client::Body;
use crate::on_each_transport;
use crate::server::Server;

const FEATURE: Command = Command::DeviceFeature;

fn request(argsz: u32, flags: u32, data: &[u8]) -> Body {
    Body::new().u32(argsz).u32(flags).bytes(data)
}

on_each_transport! {
    fn get_adds_the_data(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().feature = vec![5; 8];
        let reply = server.client().ok(FEATURE, &request(16, GET | MIGRATION, &[]));
        assert_eq!((reply.u32(0), reply.u32(4)), (16, GET | MIGRATION));
        assert_eq!(&reply.body[8..], [5; 8]);
        assert_eq!(server.device.take_log(), ["feature 1 Get [] room 8"]);
    }

    fn a_get_may_ask_a_question(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().feature = vec![1; 40];
        let reply = server.client().ok(FEATURE, &request(4096, GET | REPORT, &[9; 24]));
        assert_eq!(reply.u32(0), 48);
    }

    fn a_get_with_too_little_room_is_refused(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().feature = vec![5; 8];
        server.client().fails(FEATURE, &request(15, GET | MIGRATION, &[]), libc::EINVAL);
    }

    fn set_repeats_the_request(transport: Transport) {
        let mut server = Server::new(transport);
        let reply = server.client().ok(FEATURE, &request(16, SET | STATE, &[2, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!((reply.u32(0), reply.u32(4)), (16, SET | STATE));
        assert_eq!(&reply.body[8..], [2, 0, 0, 0, 0, 0, 0, 0]);
        server.client().fails(FEATURE, &request(15, SET | STATE, &[0; 8]), libc::EINVAL);
    }

    fn probe_repeats_the_request_and_may_name_both_methods(transport: Transport) {
        let mut server = Server::new(transport);
        for (flags, seen) in [
            (PROBE, "Probe { get: false, set: false }"),
            (PROBE | GET, "Probe { get: true, set: false }"),
            (PROBE | GET | SET, "Probe { get: true, set: true }"),
        ] {
            server.device.lock().feature = vec![7; 100];
            let reply = server.client().ok(FEATURE, &request(8, flags | STATE, &[]));
            assert_eq!((reply.body.len(), reply.u32(0), reply.u32(4)), (8, 8, flags | STATE));
            assert_eq!(server.device.take_log(), [format!("feature 2 {seen} [] room 0")]);
        }
    }

    fn operations_argsz_and_length_are_checked(transport: Transport) {
        let mut server = Server::new(transport);
        for body in [
            Body::new(),
            Body::new().u32(8),
            Body::new().bytes(&[0; 7]),
            request(8, STATE, &[]),
            request(8, GET | SET | STATE, &[]),
            request(8, GET | 0x8_0000, &[]),
            request(8, GET | 0x8000_0000, &[]),
            request(7, GET | STATE, &[]),
            request(7, PROBE | STATE, &[]),
            request((1 << 20) + 1, GET | STATE, &[]),
            request(u32::MAX, GET | STATE, &[]),
        ] {
            server.client().fails(FEATURE, &body, libc::EINVAL);
        }
        assert!(server.device.take_log().is_empty());
    }

    fn an_unknown_feature_is_the_devices_to_refuse(transport: Transport) {
        let mut server = Server::new(transport);
        server.device.lock().refuse.push_back(Errno::ENOTTY);
        server.client().fails(FEATURE, &request(8, GET | 0xffff, &[]), libc::ENOTTY);
    }
}
