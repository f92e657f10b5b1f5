//! Tests: no bytes make a parser panic, and what is written reads back.

use proptest::prelude::*;

use super::*;

fn header() -> impl Strategy<Value = Header> {
    let kind = prop_oneof![
        Just(MessageType::Command),
        Just(MessageType::Reply),
        (2u8..16).prop_map(MessageType::Unknown),
    ];
    let words = any::<(u16, u16, u32, u32)>();
    (words, kind, any::<bool>(), any::<bool>()).prop_map(
        |((id, command, size, errno), kind, no_reply, error)| Header {
            id,
            command,
            size,
            kind,
            no_reply,
            error,
            errno,
        },
    )
}

#[test]
fn command_numbers_are_those_of_the_specification() {
    assert_eq!(Command::ALL.len(), 17);
    for number in 0..=u16::MAX {
        let known = matches!(number, 1..=13 | 15..=18);
        let command = Command::from_number(number);
        assert_eq!(command.is_some(), known);
        if let Some(command) = command {
            assert_eq!(command.number(), number);
        }
    }
    assert_eq!(
        Command::DeviceGetRegionIoFds.to_string(),
        "DEVICE_GET_REGION_IO_FDS"
    );
}

#[test]
fn an_error_reply_is_a_header_with_a_number() {
    let command = Header::command(7, Command::DmaMap, 32);
    assert_eq!(command.size, 48);
    let reply = command.error_reply(crate::Errno::EEXIST);
    let mut bytes = Vec::new();
    reply.write_to(&mut bytes);
    assert_eq!(bytes.len(), 16);
    assert_eq!(bytes[8..], [0x21, 0, 0, 0, 17, 0, 0, 0]);
}

#[test]
fn the_longest_version_reply_fits_qemus_buffer() {
    let capabilities = Capabilities {
        max_msg_fds: Some(crate::limits::SCM_MAX_FD as u32),
        max_data_xfer_size: Some(u64::from(crate::limits::MAX_DATA_XFER)),
        max_dma_maps: Some(u64::from(u32::MAX)),
        pgsizes: Some(0x20_1000),
        write_multiple: Some(true),
        migration: Some(MigrationCapability {
            pgsize: Some(4096),
            max_bitmap_size: Some(256 << 20),
        }),
        twin_socket: Some(TwinSocket { supported: true }),
    };
    let body = version_reply(0, capabilities);
    assert!(
        HEADER_SIZE + body.len() <= crate::limits::MAX_VERSION_REPLY,
        "{}",
        body.len()
    );
}

#[test]
fn booleans_of_a_set_irqs_are_limited() {
    use vfio_bindings::bindings::vfio;
    let flags = vfio::VFIO_IRQ_SET_DATA_BOOL | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    let body = |count: u32| {
        let mut body = Vec::new();
        for word in [20, flags, 0, 0, count] {
            body.extend(word.to_ne_bytes());
        }
        body.resize(20 + count as usize, 1);
        body
    };
    let most = crate::limits::MAX_IRQ_BOOLS;
    assert!(SetIrqsBody::parse(&body(most)).is_ok());
    let error = SetIrqsBody::parse(&body(most + 1)).unwrap_err();
    assert!(
        matches!(error, WireError::TooMany { field: "count", .. }),
        "{error}"
    );
}

proptest! {
    #[test]
    fn headers_read_back(header in header()) {
        let mut bytes = Vec::new();
        header.write_to(&mut bytes);
        prop_assert_eq!(Header::parse(bytes.first_chunk().unwrap()), header);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(body in prop::collection::vec(any::<u8>(), 0..128), max: u32) {
        let _ = VersionBody::parse(&body);
        let _ = DmaMapBody::parse(&body);
        if let Ok(unmap) = DmaUnmapBody::parse(&body, max) {
            let _ = unmap.reply(None);
        }
        let _ = InfoBody::device(&body);
        let _ = InfoBody::region(&body);
        let _ = InfoBody::irq(&body);
        let _ = IoFdsBody::parse(&body, max);
        let _ = SetIrqsBody::parse(&body);
        let _ = RegionAccessBody::read(&body);
        let _ = RegionAccessBody::write(&body);
        let _ = multi_writes(&body);
        let _ = FeatureBody::parse(&body, max);
        let _ = MigrationBody::read(&body, max);
        let _ = MigrationBody::write(&body, max);
        let _ = DmaReadReply::parse(&body);
        let _ = DmaWriteReply::parse(&body);
    }

    #[test]
    fn small_numbers_in_the_right_places_do_not_either(
        words in prop::collection::vec(0u32..70, 1..24), max in 0u32..200
    ) {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let _ = DmaUnmapBody::parse(&body, max);
        let _ = SetIrqsBody::parse(&body);
        let _ = multi_writes(&body);
        let _ = RegionAccessBody::write(&body);
        let _ = MigrationBody::write(&body, max);
    }
}
