//! Receive-side scaling and hash settings (virtio 1.3 5.1.6.5.5 to 5.1.6.5.7).

use super::super::{CONTROL_ERR, CONTROL_OK, bits};
use super::driver::Driver;
use super::host::Call;
use crate::control::{ControlReply, ControlRequest, HashSettings, RssSettings};
use crate::limits::{RSS_KEY_SIZE, RSS_TABLE};
use crate::offload::HashTypes;
use crate::personality::Personality;

/// `struct virtio_net_rss_config` with class and command.
fn rss(types: u32, mask: u16, unclassified: u16, table: &[u16], pairs: u16, key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4, 1];
    bytes.extend_from_slice(&types.to_le_bytes());
    bytes.extend_from_slice(&mask.to_le_bytes());
    bytes.extend_from_slice(&unclassified.to_le_bytes());
    bytes.extend(table.iter().flat_map(|queue| queue.to_le_bytes()));
    bytes.extend_from_slice(&pairs.to_le_bytes());
    bytes.push(key.len() as u8);
    bytes.extend_from_slice(key);
    bytes
}

fn hash(types: u32, reserved: u8, key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![4, 2];
    bytes.extend_from_slice(&types.to_le_bytes());
    bytes.extend_from_slice(&[reserved; 8]);
    bytes.push(key.len() as u8);
    bytes.extend_from_slice(key);
    bytes
}

fn key() -> Vec<u8> {
    (0..RSS_KEY_SIZE as u8).collect()
}

fn asked(d: &mut Driver, bytes: &[u8]) -> ControlRequest {
    assert_eq!(d.command(bytes), CONTROL_OK, "{bytes:x?}");
    match d.host.take().as_slice() {
        [Call::Control(request)] => request.clone(),
        other => panic!("{bytes:x?} led to {other:?}"),
    }
}

fn refused(d: &mut Driver, bytes: &[u8]) {
    assert_eq!(d.command(bytes), CONTROL_ERR, "{bytes:x?}");
    assert_eq!(d.host.take(), [], "{bytes:x?} reached the host");
}

#[test]
fn virtio_5_1_6_5_7_settings_reach_the_host() {
    let mut d = Driver::running(4);
    let table: Vec<u16> = (0..RSS_TABLE).map(|at| at % 4).collect();
    let request = asked(&mut d, &rss(0x1ff, RSS_TABLE - 1, 3, &table, 4, &key()));
    let settings = RssSettings {
        hash: HashSettings {
            types: HashTypes::ALL,
            key: key(),
        },
        unclassified: 3,
        table,
        pairs: 4,
    };
    assert_eq!(request, ControlRequest::SetRss(settings));
    assert_eq!(d.device.status().active_pairs, 4);
    // One entry, no hash, no key: everything goes to one queue.
    let request = asked(&mut d, &rss(0, 0, 1, &[2], 3, &[]));
    let settings = RssSettings {
        hash: HashSettings::default(),
        unclassified: 1,
        table: vec![2],
        pairs: 3,
    };
    assert_eq!(request, ControlRequest::SetRss(settings));
    assert_eq!(d.device.status().active_pairs, 3);
    assert_eq!(
        asked(&mut d, &[4, 0, 2, 0]),
        ControlRequest::SetQueuePairs(2),
        "5.1.6.5.4: the last command counts"
    );
    assert_eq!(d.device.status().active_pairs, 2);
}

#[test]
fn virtio_5_1_6_5_7_what_is_wrong_is_refused_and_changes_nothing() {
    let mut d = Driver::running(4);
    asked(&mut d, &rss(0x1ff, 0, 0, &[0], 2, &key()));
    let (key, long) = (key(), vec![0; RSS_KEY_SIZE + 1]);
    let twice: Vec<u16> = vec![0; 2 * usize::from(RSS_TABLE)];
    for bad in [
        // No power of two, or more than there is room for.
        rss(0x1ff, 2, 0, &[0, 0, 0], 4, &key),
        rss(0x1ff, 2 * RSS_TABLE - 1, 0, &twice, 4, &key),
        rss(0x1ff, u16::MAX, 0, &twice, 4, &key),
        // Queues that are not there, and the reserved bit.
        rss(0x1ff, 1, 0, &[0, 4], 4, &key),
        rss(0x1ff, 1, 0, &[0x8000, 0], 4, &key),
        rss(0x1ff, 0, 4, &[0], 4, &key),
        rss(0x1ff, 0, 0xffff, &[0], 4, &key),
        rss(0x1ff, 0, 0, &[0], 0, &key),
        rss(0x1ff, 0, 0, &[0], 5, &key),
        // Types that are not built, keys that are too long or too short.
        rss(0x200, 0, 0, &[0], 4, &key),
        rss(u32::MAX, 0, 0, &[0], 4, &key),
        rss(0x1ff, 0, 0, &[0], 4, &long),
        rss(0x1ff, 0, 0, &[0], 4, &key[..39]),
        rss(0x7, 0, 0, &[0], 4, &key[..15]),
        rss(0x1, 0, 0, &[0], 4, &[]),
    ] {
        refused(&mut d, &bad);
    }
    let good = rss(0x1ff, 3, 0, &[0, 1, 2, 3], 4, &key);
    for len in 2..good.len() {
        refused(&mut d, &good[..len]);
    }
    refused(&mut d, &[&good[..], &[0; 4]].concat());
    assert_eq!(d.device.status().active_pairs, 2);
    d.host.replies.push_back(ControlReply::Failed("no".into()));
    assert_eq!(d.command(&good), CONTROL_ERR);
    assert_eq!(d.device.status().active_pairs, 2, "the host did not do it");
}

/// Linux and DPDK send whole structures, which end with padding.
#[test]
fn virtio_5_1_6_5_7_padding_behind_the_key_does_not_count() {
    let mut d = Driver::running(4);
    for padding in 0..=3 {
        let settings = [&rss(0x3f, 0, 1, &[2], 3, &key())[..], &vec![7; padding]].concat();
        match asked(&mut d, &settings) {
            ControlRequest::SetRss(settings) => assert_eq!(settings.hash.key, key()),
            other => panic!("{other:?}"),
        }
        asked(
            &mut d,
            &[&hash(0x3f, 0, &key())[..], &vec![7; padding]].concat(),
        );
    }
}

#[test]
fn virtio_5_1_6_5_6_hash_settings_reach_the_host() {
    let mut d = Driver::running(1);
    let settings = HashSettings {
        types: HashTypes(0x3f),
        key: key(),
    };
    assert_eq!(
        asked(&mut d, &hash(0x3f, 0, &key())),
        ControlRequest::SetHash(settings)
    );
    assert_eq!(
        asked(&mut d, &hash(0, 0, &[])),
        ControlRequest::SetHash(HashSettings::default())
    );
    refused(&mut d, &hash(0x3f, 1, &key()));
    refused(&mut d, &hash(0x200, 0, &key()));
    refused(&mut d, &hash(0x3f, 0, &[0; RSS_KEY_SIZE + 1]));
    let good = hash(0x3f, 0, &key());
    for len in 2..good.len() {
        refused(&mut d, &good[..len]);
    }
}

#[test]
fn virtio_5_1_6_5_each_command_needs_its_feature() {
    let mut d = Driver::running_with(4, bits::CTRL_VQ | bits::MQ);
    refused(&mut d, &rss(0, 0, 0, &[0], 4, &[]));
    refused(&mut d, &hash(0, 0, &[]));
    let mut d = Driver::running_with(4, bits::CTRL_VQ | bits::RSS);
    asked(&mut d, &rss(0, 0, 0, &[0], 4, &[]));
    refused(&mut d, &hash(0, 0, &[]));
    refused(&mut d, &[4, 0, 2, 0]);
    let mut d = Driver::running_with(4, bits::CTRL_VQ | bits::HASH_REPORT);
    asked(&mut d, &hash(0, 0, &[]));
    refused(&mut d, &rss(0, 0, 0, &[0], 4, &[]));
}

/// With one queue pair there is nothing to choose, but a hash can be told.
#[test]
fn virtio_5_1_6_4_3_one_pair_has_hash_reports_only() {
    let d = Driver::pairs(1);
    assert_eq!(d.device.offered() & (bits::RSS | bits::MQ), 0);
    assert_ne!(d.device.offered() & bits::HASH_REPORT, 0);
}
