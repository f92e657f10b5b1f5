use proptest::prelude::*;

use super::{IommuInfo, read};
use crate::pf::vfio::IovaRange;

/// A message as the kernel writes it: flags, page sizes and capabilities (identifier, body).
fn message(flags: u32, sizes: u64, capabilities: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let fixed = 24u32;
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sizes.to_ne_bytes());
    bytes.extend(if capabilities.is_empty() { 0 } else { fixed }.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    for (index, (id, body)) in capabilities.iter().enumerate() {
        let next = bytes.len() + 8 + body.len();
        let next = if index + 1 == capabilities.len() {
            0
        } else {
            next as u32
        };
        bytes.extend(id.to_ne_bytes());
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend(next.to_ne_bytes());
        bytes.extend(body);
    }
    bytes
}

fn ranges(list: &[(u64, u64)]) -> Vec<u8> {
    let mut body = (list.len() as u32).to_ne_bytes().to_vec();
    body.extend([0; 4]);
    for (first, last) in list {
        body.extend(first.to_ne_bytes());
        body.extend(last.to_ne_bytes());
    }
    body
}

#[test]
fn ranges_page_and_limit_are_read() {
    let list = [(0, 0xfedf_ffff), (0xfef0_0000, (1 << 48) - 1)];
    let message = message(
        3,
        0x4020_1000,
        &[
            (2, vec![0; 8]),
            (1, ranges(&list)),
            (3, vec![0xff, 0xff, 0, 0]),
        ],
    );
    let usable = list.map(|(first, last)| IovaRange { first, last }).to_vec();
    let expected = IommuInfo {
        usable,
        page: 4096,
        most_maps: Some(65_535),
    };
    assert_eq!(read(&message), expected);
}

#[test]
fn an_old_kernel_says_nothing() {
    let info = read(&message(0, 0, &[]));
    assert_eq!(info.page, 4096);
    assert_eq!(info.most_maps, None);
    assert!(
        info.usable
            .iter()
            .all(|range| !range.covers(0xfee0_0000, 4096))
    );
    assert_eq!(read(&[]), info);
}

#[test]
fn a_chain_without_end_ends() {
    let mut message = message(3, 0x1000, &[(7, vec![])]);
    message[28..32].copy_from_slice(&24u32.to_ne_bytes());
    assert_eq!(read(&message).most_maps, None);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), count: u32) {
        read(&bytes);
        let mut body = ranges(&[(0, 1)]);
        body[..4].copy_from_slice(&count.to_ne_bytes());
        read(&message(u32::MAX, 0, &[(1, body)]));
    }
}
