use proptest::prelude::*;

use super::*;
use crate::pci::{BarKind, Capability, ConfigBuilder, Identity, InterruptPin, MsixLayout};

const PM: u64 = 0x40;
const PCIE: u64 = 0x48;
const MSIX: u64 = 0x84;
const VENDOR: u64 = 0x90;

fn space(keeps_state: bool) -> ConfigSpace {
    let identity = Identity {
        vendor: 0x1af4,
        device: 0x1041,
        revision: 1,
        class: 0x02_0000,
        subsystem_vendor: 0x1af4,
        subsystem: 0x1100,
    };
    let bar64 = BarKind::Mem64 { prefetchable: true };
    let layout = MsixLayout {
        vectors: 4,
        table_bar: 0,
        table_offset: 0,
        pba_bar: 0,
        pba_offset: 0x800,
    };
    ConfigBuilder::new(identity)
        .interrupt_pin(InterruptPin::IntA)
        .bar(BarSpec {
            index: 0,
            kind: bar64,
            size: 1 << 33,
        })
        .bar(BarSpec {
            index: 2,
            kind: BarKind::Mem32 {
                prefetchable: false,
            },
            size: 0x2000,
        })
        .capability(Capability::power_management(keeps_state))
        .capability(Capability::pcie_endpoint())
        .capability(Capability::msix(layout))
        .capability(Capability::vendor(&[5, 0, 0, 0, 0]).writable(4, 1))
        .build()
        .expect("the tables fit")
}

fn get(space: &ConfigSpace, at: u64) -> u32 {
    let mut data = [0; 4];
    space
        .read(at, &mut data)
        .expect("within configuration space");
    u32::from_le_bytes(data)
}

fn put(space: &mut ConfigSpace, at: u64, value: u32) -> Effects {
    space
        .write(at, &value.to_le_bytes())
        .expect("within configuration space")
}

#[test]
fn bars_are_sized_by_writing_ones() {
    let mut space = space(true);
    assert_eq!(
        get(&space, 0x10),
        0xc,
        "64-bit, prefetchable, at reset no address"
    );
    for bar in [0x10, 0x14, 0x18, 0x1c, 0x24] {
        put(&mut space, bar, u32::MAX);
    }
    assert_eq!(get(&space, 0x10), 0x0000_000c);
    assert_eq!(get(&space, 0x14), 0xffff_fffe, "8 GiB");
    assert_eq!(get(&space, 0x18), 0xffff_e000, "8 KiB");
    assert_eq!(get(&space, 0x1c), 0, "no such BAR");
    assert_eq!(get(&space, 0x24), 0, "no such BAR");
    put(&mut space, 0x30, u32::MAX);
    assert_eq!(get(&space, 0x30), 0, "no expansion ROM");
}

#[test]
fn bar_addresses_are_kept_below_the_size() {
    let mut space = space(true);
    put(&mut space, 0x10, 0x1234_5678);
    put(&mut space, 0x14, 0x0000_00f7);
    put(&mut space, 0x18, 0xfebf_1234);
    assert_eq!(space.bar_address(0), Some(0xf6_0000_0000));
    assert_eq!(space.bar_address(2), Some(0xfebf_0000));
    assert_eq!(space.bar_address(1), None, "upper half of BAR0");
    assert_eq!(space.bar_address(6), None);
}

#[test]
fn only_what_a_real_device_lets_be_written_is_writable() {
    let mut space = space(true);
    let before = space.clone();
    for at in (0..4096).step_by(4) {
        put(&mut space, at, u32::MAX);
    }
    let mut all = [0; 4096];
    space.read(0, &mut all).unwrap();
    let mut old = [0; 4096];
    before.read(0, &mut old).unwrap();
    let changed: Vec<usize> = (0..4096).filter(|&i| all[i] != old[i]).collect();
    let mut expected = vec![
        0x04, 0x05, // command
        0x0c, // cache line size
        0x14, 0x15, 0x16, 0x17, 0x19, 0x1a, 0x1b, // BAR addresses
        0x3c, // interrupt line
        0x44, // power state
    ];
    expected.extend([0x50, 0x51]); // device control
    expected.push(0x87); // MSI-X enable and function mask
    expected.push(0x94); // the vendor capability's writable byte
    assert_eq!(changed, expected);
    assert_eq!(get(&space, 0x04) & 0xffff, 0x0546);
    assert_eq!(get(&space, 0x00), 0x1041_1af4);
    assert_eq!(
        get(&space, PCIE + 8) & 0x8000,
        0,
        "the reset bit reads as zero"
    );
}

#[test]
fn write_one_to_clear_bits_clear() {
    let mut space = space(true);
    space.poke(STATUS + 1, &[0xf9]);
    space.poke(PCIE as usize + 0x0a, &[0x0f]);
    assert_eq!(get(&space, 0x04) >> 16, 0xf910);
    put(&mut space, 0x04, 0x4000_0000);
    assert_eq!(
        get(&space, 0x04) >> 16,
        0xb910,
        "one error cleared, the others stay"
    );
    space.write(PCIE + 0x0a, &[0x05]).unwrap();
    assert_eq!(get(&space, PCIE + 8) >> 16, 0x000a);
}

#[test]
fn accesses_past_the_end_are_refused_and_change_nothing() {
    let mut space = space(true);
    let whole = |s: &ConfigSpace| {
        let mut all = vec![0; 4096];
        s.read(0, &mut all).map(|()| all)
    };
    let before = whole(&space).unwrap();
    for (offset, len) in [
        (4096, 1),
        (4095, 2),
        (0, 4097),
        (1, 4096),
        (u64::MAX, 1),
        (u64::MAX, 4),
    ] {
        let refused = space.read(offset, &mut vec![0; len]).unwrap_err();
        assert_eq!(
            (refused.offset, refused.len, refused.size),
            (offset, len, 4096)
        );
        assert_eq!(space.write(offset, &vec![0xff; len]).unwrap_err(), refused);
    }
    assert_eq!(whole(&space).unwrap(), before);
    assert!(space.read(4096, &mut []).is_ok());
    assert!(space.read(4092, &mut [0; 4]).is_ok());
    let text = space.read(4095, &mut [0; 2]).unwrap_err().to_string();
    assert!(
        text.contains("2 bytes at 0xfff reach past its end at 0x1000"),
        "{text}"
    );
}

#[test]
fn command_changes_are_effects_once() {
    let mut space = space(true);
    let effects = put(&mut space, 0x04, 0x0406);
    assert_eq!(
        effects,
        Effects {
            bus_master: Some(true),
            memory_enable: Some(true),
            intx_disable: Some(true),
            ..Effects::default()
        }
    );
    assert!(space.bus_master() && space.memory_enabled() && space.intx_disabled());
    assert_eq!(
        put(&mut space, 0x04, 0x0406),
        Effects::default(),
        "nothing changed"
    );
    let effects = space.write(0x04, &[0x02]).unwrap();
    assert_eq!(
        effects,
        Effects {
            bus_master: Some(false),
            ..Effects::default()
        }
    );
}

#[test]
fn function_level_reset_is_seen_at_any_width() {
    let control = PCIE + 8;
    let cases: [(u64, &[u8]); 4] = [
        (control, &[0x10, 0xa8]),
        (control + 1, &[0x80]),
        (control, &[0x10, 0xa8, 0, 0]),
        (PCIE + 6, &[0, 0, 0, 0x80, 0, 0]),
    ];
    for (at, data) in cases {
        let mut space = space(true);
        let effects = space.write(at, data).unwrap();
        assert!(effects.flr && effects.resets(), "{data:x?} at {at:#x}");
    }
    let mut space = space(true);
    for (at, data) in [
        (control, [0xff, 0x7f]),
        (control - 1, [0x80, 0x80]),
        (control + 2, [0x80, 0x80]),
    ] {
        assert!(!space.write(at, &data).unwrap().flr, "{data:x?} at {at:#x}");
    }
}

#[test]
fn a_power_transition_resets_unless_the_function_keeps_its_state() {
    for keeps_state in [true, false] {
        let mut space = space(keeps_state);
        let down = put(&mut space, PM + 4, 3);
        let change = down.power.expect("the state changed");
        assert_eq!(
            (change.from, change.to),
            (PowerState::D0, PowerState::D3hot)
        );
        assert!(!down.resets(), "going down resets nothing");
        assert_eq!(space.power(), PowerState::D3hot);
        assert_eq!(
            put(&mut space, PM + 4, 1),
            Effects::default(),
            "D1 is not there"
        );
        assert_eq!(space.power(), PowerState::D3hot);
        let up = put(&mut space, PM + 4, 0);
        assert_eq!(up.power.map(|change| change.to), Some(PowerState::D0));
        assert_eq!(up.resets(), !keeps_state);
        assert_eq!(
            put(&mut space, PM + 4, 2),
            Effects::default(),
            "D2 is not there"
        );
        assert_eq!(space.power(), PowerState::D0);
    }
}

#[test]
fn msix_control_is_an_effect() {
    let mut space = space(true);
    assert_eq!(get(&space, MSIX) >> 16, 3, "four vectors");
    let effects = space.write(MSIX + 2, &[0xff, 0xff]).unwrap();
    let on = MsixControl {
        enabled: true,
        masked: true,
    };
    assert_eq!(
        effects,
        Effects {
            msix: Some(on),
            ..Effects::default()
        }
    );
    assert_eq!(
        get(&space, MSIX) >> 16,
        0xc003,
        "the table size is read-only"
    );
    let effects = space.write(MSIX + 3, &[0x80]).unwrap();
    assert_eq!(
        effects.msix,
        Some(MsixControl {
            enabled: true,
            masked: false
        })
    );
    assert_eq!(
        space.msix(),
        MsixControl {
            enabled: true,
            masked: false
        }
    );
    assert_eq!(space.write(MSIX + 3, &[0x80]).unwrap(), Effects::default());
}

#[test]
fn reset_restores_everything() {
    let mut space = space(true);
    let fresh = space.clone();
    for at in (0..4096).step_by(4) {
        put(&mut space, at, u32::MAX);
    }
    space.set_interrupt_status(true);
    space.reset();
    for at in (0..4096).step_by(4) {
        assert_eq!(get(&space, at), get(&fresh, at), "{at:#x}");
    }
}

#[test]
fn interrupt_status_is_the_devices_to_set() {
    let mut space = space(true);
    space.set_interrupt_status(true);
    assert_eq!(get(&space, 0x04) >> 16, 0x0018);
    put(&mut space, 0x04, 0xffff_0000);
    assert_eq!(get(&space, 0x04) >> 16, 0x0018);
    space.set_interrupt_status(false);
    assert_eq!(get(&space, 0x04) >> 16, 0x0010);
}

#[test]
fn the_pcie_capability_is_an_endpoint_of_version_2_with_flr() {
    let space = space(true);
    assert_eq!(get(&space, PCIE) >> 16 & 0xff, 0x02, "version 2, endpoint");
    assert_ne!(get(&space, PCIE + 4) & 1 << 28, 0, "function level reset");
    assert_eq!(get(&space, PCIE + 8) & 0xffff, 0x2810);
    assert_eq!(get(&space, VENDOR) & 0xff, 0x09);
    assert_eq!(get(&space, 0x100), 0, "no extended capabilities");
}

proptest! {
    /// Bits outside the masks never change, a byte-wise write equals a wide one, nothing panics.
    #[test]
    fn any_sequence_of_accesses_keeps_read_only_bits(
        writes in proptest::collection::vec(
            (0u64..4200, proptest::collection::vec(any::<u8>(), 0..40)), 0..40),
    ) {
        let mut wide = space(false);
        let mut narrow = space(false);
        for (offset, data) in &writes {
            let effects = wide.write(*offset, data);
            prop_assert_eq!(effects.is_ok(), offset + data.len() as u64 <= 4096);
            if effects.is_ok() && !touches_power(*offset, data.len()) {
                for (i, byte) in data.iter().enumerate() {
                    narrow.write(offset + i as u64, &[*byte]).expect("within the wide one");
                }
            } else if effects.is_ok() {
                narrow.write(*offset, data).expect("the same write");
            }
        }
        for i in 0..DESCRIBED {
            let read_only = !wide.writable[i] & !wide.write_1_to_clear[i];
            prop_assert_eq!(wide.now[i] & read_only, wide.init[i] & read_only);
            prop_assert_eq!(wide.now[i], narrow.now[i]);
        }
    }
}

/// The power state settles once per write, so only there may width matter.
fn touches_power(offset: u64, len: usize) -> bool {
    offset <= PM + 4 && offset + len as u64 > PM + 4
}

/// PCIe base specification 7.2.2: all of a function's 4096 bytes exist, described or not.
#[test]
fn bytes_that_no_table_describes_read_as_zero_and_ignore_writes() {
    let mut space = space(true);
    let end = DESCRIBED as u64;
    for offset in [end - 4, end, 4096 - 8] {
        assert_eq!(space.write(offset, &[0xff; 8]), Ok(Effects::default()));
        let mut data = [0x55; 8];
        space.read(offset, &mut data).unwrap();
        assert_eq!(data, [0; 8], "{offset:#x}");
    }
    let mut all = [0x55; CONFIG_SIZE];
    space.read(0, &mut all).unwrap();
    assert_eq!(all[..4], [0xf4, 0x1a, 0x41, 0x10]);
    assert!(all[DESCRIBED..].iter().all(|byte| *byte == 0));
    assert!(space.read(4096 - 4, &mut [0; 8]).is_err());
}
