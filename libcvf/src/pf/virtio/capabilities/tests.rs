use proptest::prelude::*;

use super::*;

/// An entry of the list.
fn entry(config: &mut [u8; CONFIG_SPACE], at: usize, bytes: [u8; 4], body: (u8, u32, u32)) {
    config[at..at + 4].copy_from_slice(&bytes);
    config[at + 4] = body.0;
    config[at + 8..at + 12].copy_from_slice(&body.1.to_le_bytes());
    config[at + 12..at + 16].copy_from_slice(&body.2.to_le_bytes());
}

/// As QEMU's function has it, with an MSI-X entry in front.
pub(in super::super) fn usual() -> [u8; CONFIG_SPACE] {
    let mut config = [0; CONFIG_SPACE];
    config[STATUS] = STATUS_CAPABILITIES;
    config[POINTER] = 0x98;
    entry(&mut config, 0x98, [0x11, 0x84, 0, 0], (0, 0, 0));
    entry(&mut config, 0x84, [9, 0x70, 20, 5], (0, 0, 0));
    entry(&mut config, 0x70, [9, 0x60, 20, 2], (4, 0x3000, 0x40_0000));
    config[0x80..0x84].copy_from_slice(&0x1000u32.to_le_bytes());
    entry(&mut config, 0x60, [9, 0x50, 16, 4], (4, 0x2000, 0x1000));
    entry(&mut config, 0x50, [9, 0x40, 16, 3], (4, 0x1000, 0x1000));
    entry(&mut config, 0x40, [9, 0, 16, 1], (4, 0, 0x1000));
    config
}

#[test]
fn structures_are_found_where_they_are_said_to_be() {
    let part = |offset, length| Structure {
        bar: 4,
        offset,
        length,
    };
    let expected = Layout {
        common: part(0, 0x1000),
        notify: part(0x3000, 0x40_0000),
        multiplier: 0x1000,
        isr: part(0x1000, 0x1000),
        device: part(0x2000, 0x1000),
    };
    assert_eq!(Layout::find(&usual()), Ok(expected));
}

#[test]
fn of_each_kind_the_first_usable_one_counts() {
    // virtio 1.3 4.1.4.1: reserved BARs and kinds are passed over.
    let mut config = usual();
    config[POINTER] = 0xb0;
    entry(&mut config, 0xb0, [9, 0xc0, 16, 1], (6, 0, 0x1000));
    entry(&mut config, 0xc0, [9, 0xd0, 16, 1], (2, 2, 0x1000));
    entry(&mut config, 0xd0, [9, 0xe0, 16, 1], (2, 0, 59));
    entry(&mut config, 0xe0, [9, 0xf0, 16, 1], (2, !3, 0x1000));
    entry(&mut config, 0xf0, [9, 0x98, 16, 99], (2, 0, 0x1000));
    assert_eq!(Layout::find(&config).map(|found| found.common.bar), Ok(4));
    config[0xd0 + 12] = 60;
    assert_eq!(Layout::find(&config).map(|found| found.common.bar), Ok(2));
}

#[test]
fn a_list_that_is_a_ring_or_leads_outside_is_refused() {
    let mut config = usual();
    config[0x41] = 0x98;
    assert_eq!(Layout::find(&config), Err(LayoutError::Endless));
    config[0x41] = 0x40;
    assert_eq!(Layout::find(&config), Err(LayoutError::Endless));
    config[0x41] = 0x3c;
    assert_eq!(Layout::find(&config), Err(LayoutError::Outside(0x3c)));
    config[0x41] = 0xf8;
    config[0xf8..0xfc].copy_from_slice(&[9, 0, 20, 2]);
    assert_eq!(Layout::find(&config), Err(LayoutError::Outside(0xf8)));
    config[0xf8..0xfc].copy_from_slice(&[9, 0, 8, 2]);
    assert!(Layout::find(&config).is_ok(), "too short to be one of ours");
}

#[test]
fn what_is_missing_is_named() {
    let mut config = usual();
    config[0x43] = 99;
    let missing = LayoutError::Missing("common configuration");
    assert_eq!(Layout::find(&config), Err(missing));
    config = usual();
    config[0x72] = 16;
    let missing = LayoutError::Missing("notification");
    assert_eq!(Layout::find(&config), Err(missing), "no multiplier");
    config[STATUS] = 0;
    assert_eq!(Layout::find(&config), Err(LayoutError::NoList));
}

proptest! {
    #[test]
    fn whatever_stands_there_the_walk_ends_and_its_parts_are_sane(
        changes in prop::collection::vec((0usize..CONFIG_SPACE, any::<u8>()), 0..64),
    ) {
        let mut config = usual();
        for (at, value) in changes {
            config[at] = value;
        }
        config[STATUS] = STATUS_CAPABILITIES;
        if let Ok(found) = Layout::find(&config) {
            for part in [found.common, found.notify, found.isr, found.device] {
                prop_assert!(part.bar < BARS);
                prop_assert!(part.offset.checked_add(part.length).is_some());
            }
            prop_assert!(found.common.length >= regs::COMMON_LEN);
        }
    }
}
