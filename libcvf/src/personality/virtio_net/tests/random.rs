//! Whatever a guest does: no panic, and the host is called in order. The order is asserted by the
//! host itself; see `host.rs`.

use proptest::prelude::*;

use super::super::bits;
use super::driver::{Driver, reg, settings};
use crate::personality::{Doorbells, Interrupts, Personality};

#[derive(Clone, Debug)]
enum Op {
    Read {
        bar: u8,
        offset: u64,
        len: usize,
    },
    Write {
        bar: u8,
        offset: u64,
        data: Vec<u8>,
    },
    ConfigRead {
        offset: u64,
        len: usize,
    },
    ConfigWrite {
        offset: u64,
        data: Vec<u8>,
    },
    Register {
        reg: u64,
        value: u16,
    },
    Status(u8),
    Accept(u64),
    SetUp(u16),
    Doorbell(u64),
    Window {
        bar: u8,
        offset: u32,
        len: u32,
        value: u32,
    },
    Command(Vec<u8>),
    Link(bool),
    Announce,
    NeedsReset,
    Refuse(u16),
    Flr,
    Reset,
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

fn op() -> impl Strategy<Value = Op> {
    let offset = || prop_oneof![6 => 0u64..0x48, 2 => 0u64..0x9000, 1 => any::<u64>()];
    let status = prop_oneof![
        Just(1u8),
        Just(3),
        Just(0xb),
        Just(0xf),
        Just(0),
        any::<u8>()
    ];
    let features = prop_oneof![Just(u64::MAX), Just(1 << 32), any::<u64>()];
    let small = prop_oneof![4 => 0u16..4, 1 => any::<u16>()];
    let command = prop_oneof![
        bytes(24),
        (0u8..7, 0u8..7, bytes(12)).prop_map(|(class, command, data)| [
            &[class, command][..],
            &data
        ]
        .concat())
    ];
    prop_oneof![
        2 => (0u8..7, offset(), 0usize..80).prop_map(|(bar, offset, len)| Op::Read { bar, offset, len }),
        4 => (0u8..7, offset(), bytes(80)).prop_map(|(bar, offset, data)| Op::Write { bar, offset, data }),
        1 => (0u64..4200, 0usize..300).prop_map(|(offset, len)| Op::ConfigRead { offset, len }),
        2 => (0u64..0x110, bytes(40)).prop_map(|(offset, data)| Op::ConfigWrite { offset, data }),
        6 => (prop_oneof![
                Just(reg::QUEUE_SELECT), Just(reg::QUEUE_SIZE), Just(reg::QUEUE_MSIX_VECTOR),
                Just(reg::QUEUE_ENABLE), Just(reg::QUEUE_RESET), Just(reg::CONFIG_MSIX_VECTOR)
            ], small.clone()).prop_map(|(reg, value)| Op::Register { reg, value }),
        4 => status.prop_map(Op::Status),
        2 => features.prop_map(Op::Accept),
        4 => (0u16..7).prop_map(Op::SetUp),
        3 => (0u64..0x8002).prop_map(Op::Doorbell),
        1 => (0u8..5, 0u32..0x3000, 0u32..5, any::<u32>())
            .prop_map(|(bar, offset, len, value)| Op::Window { bar, offset, len, value }),
        3 => command.prop_map(Op::Command),
        1 => any::<bool>().prop_map(Op::Link),
        1 => Just(Op::Announce),
        1 => Just(Op::NeedsReset),
        1 => small.prop_map(Op::Refuse),
        1 => Just(Op::Flr),
        1 => Just(Op::Reset),
    ]
}

fn apply(d: &mut Driver, op: Op) {
    match op {
        Op::Read { bar, offset, len } => {
            let mut data = vec![0xee; len];
            let end = d
                .device
                .bars()
                .iter()
                .find(|b| b.index == bar)
                .map_or(0, |b| b.size);
            let fits = offset.checked_add(len as u64).is_some_and(|to| to <= end);
            assert_eq!(
                d.device.read(&mut d.host, bar, offset, &mut data).is_ok(),
                fits
            );
        }
        Op::Write { bar, offset, data } => {
            let end = d
                .device
                .bars()
                .iter()
                .find(|b| b.index == bar)
                .map_or(0, |b| b.size);
            let fits = offset
                .checked_add(data.len() as u64)
                .is_some_and(|to| to <= end);
            assert_eq!(
                d.device.write(&mut d.host, bar, offset, &data).is_ok(),
                fits
            );
        }
        Op::ConfigRead { offset, len } => {
            let read = d.device.config_read(&mut d.host, offset, &mut vec![0; len]);
            assert_eq!(read.is_ok(), offset + len as u64 <= 4096);
        }
        Op::ConfigWrite { offset, data } => {
            assert!(d.device.config_write(&mut d.host, offset, &data).is_ok());
        }
        Op::Register { reg, value } => d.write16(reg, value),
        Op::Status(value) => d.write8(reg::DEVICE_STATUS, value),
        Op::Accept(mask) => {
            let offered = d.offered();
            d.accept(offered & mask | 1 << 32);
        }
        Op::SetUp(queue) => {
            d.select(queue);
            d.write64_twice(reg::QUEUE_DESC, u64::from(queue) << 16);
            d.write64_twice(reg::QUEUE_DRIVER, 0x4000);
            d.write64_twice(reg::QUEUE_DEVICE, 0x8000);
            d.write16(reg::QUEUE_ENABLE, 1);
        }
        Op::Doorbell(offset) => {
            let quick = d.device.doorbell_of(2, offset);
            let before = d.host.calls.len();
            let size = d
                .device
                .bars()
                .iter()
                .find(|b| b.index == 2)
                .map_or(0, |b| b.size);
            if offset < size {
                d.write_at(d.notify, offset, 0, 1);
                assert_eq!(d.host.calls.len() - before, usize::from(quick.is_some()));
            }
        }
        Op::Window {
            bar,
            offset,
            len,
            value,
        } => {
            let at = d.window.at;
            d.config_write(at + 4, &[bar]);
            d.config_write(at + 8, &offset.to_le_bytes());
            d.config_write(at + 12, &len.to_le_bytes());
            d.config_write(at + 16, &value.to_le_bytes());
            d.config_read(at + 16, 4);
        }
        Op::Command(bytes) => assert!(d.command(&bytes) <= 1),
        Op::Link(up) => drop(d.device.set_link(&mut d.host, up)),
        Op::Announce => drop(d.device.announce(&mut d.host)),
        Op::NeedsReset => d.host.needs_reset = true,
        Op::Refuse(queue) => d.host.refuse.push(queue),
        Op::Flr => assert!(d.flr().flr),
        Op::Reset => d.device.reset(&mut d.host),
    }
}

/// What holds after every step.
fn check(d: &mut Driver) {
    let status = d.device.status();
    assert_eq!(status.driver_status & 0x30, 0, "reserved bits");
    if status.driver_status & 4 != 0 {
        assert_ne!(status.driver_status & 8, 0, "ready without agreed features");
    }
    assert_eq!(d.host.started.is_some(), status.driver_status & 4 != 0);
    if let Some(features) = d.host.started {
        assert_eq!(features, status.features, "features change while running");
    }
    assert_eq!(status.features & !d.device.offered(), 0);
    if status.driver_status & 8 == 0 {
        assert!(d.host.enabled.is_empty(), "rings before agreed features");
    }
    for &queue in &d.host.enabled {
        assert!(d.device.role(queue).is_some(), "queue {queue} has no role");
    }
    let selected = d.read16(reg::QUEUE_SELECT);
    let mut enabled = std::collections::BTreeSet::new();
    for queue in 0..d.device.queues() {
        d.select(queue);
        if d.read16(reg::QUEUE_ENABLE) == 1 {
            enabled.insert(queue);
        }
        let size = d.read16(reg::QUEUE_SIZE);
        let packed = status.features & bits::RING_PACKED != 0;
        assert!(size == 0 || (packed || size.is_power_of_two()) && size <= 1024);
        let vector = d.read16(reg::QUEUE_MSIX_VECTOR);
        assert!(vector == 0xffff || vector < d.device.vectors());
    }
    d.select(selected);
    assert_eq!(
        enabled, d.host.enabled,
        "device and host agree on the rings in use"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_accesses_breaks_an_invariant(
        pairs in 1u16..4,
        intx: bool,
        mapped: bool,
        ops in proptest::collection::vec(op(), 0..80),
    ) {
        let mut config = settings(pairs);
        if intx {
            config.interrupts = Interrupts::Intx;
        }
        if mapped {
            config.doorbells = Doorbells::Mapped;
        }
        let mut d = Driver::new(config);
        for op in ops {
            apply(&mut d, op);
            check(&mut d);
        }
        d.device.reset(&mut d.host);
        prop_assert!(d.host.enabled.is_empty() && d.host.started.is_none());
    }

    #[test]
    fn no_command_breaks_a_running_device(commands in proptest::collection::vec(bytes(64), 0..64)) {
        let mut d = Driver::running(3);
        for command in commands {
            prop_assert!(d.command(&command) <= 1);
            check(&mut d);
        }
    }
}
