use super::*;
use crate::pci::MsixLayout;

const IDENTITY: Identity = Identity {
    vendor: 0x1234,
    device: 0x5678,
    revision: 9,
    class: 0x0a_0b0c,
    subsystem_vendor: 0xabcd,
    subsystem: 0xef01,
};

fn mem64(index: u8, size: u64) -> BarSpec {
    BarSpec {
        index,
        kind: BarKind::Mem64 {
            prefetchable: false,
        },
        size,
    }
}

fn mem32(index: u8, size: u64) -> BarSpec {
    BarSpec {
        index,
        kind: BarKind::Mem32 { prefetchable: true },
        size,
    }
}

fn msix(table_offset: u32, pba_offset: u32, vectors: u16) -> Capability {
    let layout = MsixLayout {
        vectors,
        table_bar: 0,
        table_offset,
        pba_bar: 0,
        pba_offset,
    };
    Capability::msix(layout)
}

fn new() -> ConfigBuilder {
    ConfigBuilder::new(IDENTITY)
}

fn bytes<const N: usize>(space: &ConfigSpace, at: u64) -> [u8; N] {
    let mut data = [0; N];
    space
        .read(at, &mut data)
        .expect("within configuration space");
    data
}

#[test]
fn the_header_shows_who_it_is() {
    let space = new().interrupt_pin(InterruptPin::IntA).build().unwrap();
    assert_eq!(bytes(&space, 0), [0x34, 0x12, 0x78, 0x56]);
    assert_eq!(bytes(&space, 0x08), [9, 0x0c, 0x0b, 0x0a]);
    assert_eq!(bytes(&space, 0x0e), [0], "type 0, single function");
    assert_eq!(bytes(&space, 0x2c), [0xcd, 0xab, 0x01, 0xef]);
    assert_eq!(bytes(&space, 0x3d), [1], "INTA");
    assert_eq!(
        bytes(&space, 0x06),
        [0, 0],
        "no capabilities, no capability bit"
    );
    assert_eq!(bytes(&space, 0x34), [0]);
}

#[test]
fn capabilities_are_linked_in_order_and_aligned() {
    let space = new()
        .bar(mem64(0, 0x4000))
        .capability(Capability::power_management(true))
        .capability(Capability::vendor(&[1, 2]))
        .capability(Capability::pcie_endpoint())
        .capability(msix(0, 0x1000, 4))
        .build()
        .unwrap();
    let places: Vec<_> = space
        .capabilities()
        .iter()
        .map(|c| (c.id, c.offset, c.len))
        .collect();
    assert_eq!(
        places,
        [
            (0x01, 0x40, 8),
            (0x09, 0x48, 5),
            (0x10, 0x50, 0x3c),
            (0x11, 0x8c, 12)
        ]
    );

    assert_eq!(bytes(&space, 0x06), [0x10, 0], "capability bit");
    let mut seen = Vec::new();
    let [mut at] = bytes(&space, 0x34);
    while at != 0 {
        let [id, next] = bytes(&space, at.into());
        seen.push((id, at));
        at = next;
    }
    assert_eq!(
        seen,
        [(0x01, 0x40), (0x09, 0x48), (0x10, 0x50), (0x11, 0x8c)]
    );
    assert_eq!(
        bytes(&space, 0x4a),
        [5, 1, 2],
        "a vendor capability carries its length"
    );
}

#[test]
fn a_vendor_capability_may_have_any_length_that_fits() {
    assert!(new().capability(Capability::vendor(&[])).build().is_ok());
    assert!(
        new()
            .capability(Capability::vendor(&[0; 0xbd]))
            .build()
            .is_ok()
    );
    let refused = new()
        .capability(Capability::vendor(&[0; 0xbe]))
        .build()
        .unwrap_err();
    assert_eq!(
        refused,
        BuildError::CapabilityPlace {
            id: 0x09,
            offset: 0x40,
            len: 0xc1
        }
    );
    assert!(
        new()
            .capability(Capability::vendor(&[0; 5000]))
            .build()
            .is_err()
    );
}

#[test]
fn capabilities_that_overlap_are_refused() {
    let at = |offset| {
        new()
            .capability_at(0x50, Capability::vendor(&[0; 9]))
            .capability_at(offset, Capability::power_management(true))
    };
    assert!(at(0x48).build().is_ok(), "just before");
    assert!(at(0x5c).build().is_ok(), "just behind");
    for offset in [0x4c, 0x50, 0x58, 0x3c, 0x00, 0xfc, 0x61] {
        assert!(
            matches!(
                at(offset).build(),
                Err(BuildError::CapabilityPlace { id: 0x01, .. })
            ),
            "{offset:#x}"
        );
    }
}

#[test]
fn a_capability_that_exists_once_is_refused_twice() {
    let twice = new()
        .capability(Capability::pcie_endpoint())
        .capability(Capability::pcie_endpoint());
    assert_eq!(
        twice.build().unwrap_err(),
        BuildError::CapabilityTwice(0x10)
    );
}

#[test]
fn bars_must_be_powers_of_two_that_their_kind_can_address() {
    for size in [0, 8, 24, 0x3000, (1 << 32) + 1] {
        let refused = new().bar(mem64(0, size)).build().unwrap_err();
        assert_eq!(refused, BuildError::BarSize(0, size));
    }
    assert!(
        new()
            .bar(mem64(0, 16))
            .bar(mem64(2, 1 << 40))
            .build()
            .is_ok()
    );
    assert!(new().bar(mem32(0, 1 << 31)).build().is_ok());
    assert_eq!(
        new().bar(mem32(1, 1 << 32)).build().unwrap_err(),
        BuildError::BarSize(1, 1 << 32)
    );
}

#[test]
fn bars_take_one_or_two_registers() {
    assert!(
        new()
            .bar(mem64(0, 16))
            .bar(mem64(2, 16))
            .bar(mem64(4, 16))
            .build()
            .is_ok()
    );
    assert!(new().bar(mem64(4, 16)).bar(mem32(3, 16)).build().is_ok());
    for (a, b) in [(mem64(0, 16), mem32(1, 16)), (mem32(2, 16), mem32(2, 16))] {
        assert_eq!(
            new().bar(a).bar(b).build().unwrap_err(),
            BuildError::BarIndex(b.index)
        );
    }
    assert_eq!(
        new().bar(mem64(5, 16)).build().unwrap_err(),
        BuildError::BarIndex(5)
    );
    assert_eq!(
        new().bar(mem32(6, 16)).build().unwrap_err(),
        BuildError::BarIndex(6)
    );
    assert_eq!(
        new().bar(mem32(255, 16)).build().unwrap_err(),
        BuildError::BarIndex(255)
    );
}

#[test]
fn msix_structures_lie_within_their_bar_and_apart() {
    let build = |table, pba, vectors| {
        new()
            .bar(mem64(0, 0x1000))
            .capability(msix(table, pba, vectors))
            .build()
    };
    assert!(build(0, 0x800, 128).is_ok());
    assert!(
        build(0, 0xff8, 255).is_err(),
        "256 bytes too long for 4 pending words"
    );
    assert!(build(0x800, 0, 128).is_ok(), "reaches the end exactly");
    assert!(build(0x808, 0, 128).is_err(), "reaches past the end");
    assert!(
        build(0, 0x7f8, 128).is_err(),
        "pending bits within the table"
    );
    assert!(build(0, 0x800, 0).is_err());
    assert!(build(0, 0x800, 2049).is_err());
    assert!(
        new().capability(msix(0, 0x800, 1)).build().is_err(),
        "no such BAR"
    );
}

#[test]
fn refusals_say_what_to_change() {
    let text = new().bar(mem64(0, 24)).build().unwrap_err().to_string();
    assert_eq!(
        text,
        "BAR0 cannot be 0x18 bytes: take a power of two of at least 16 that its kind can address"
    );
}
