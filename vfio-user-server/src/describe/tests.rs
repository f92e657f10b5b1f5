//! Tests.

use super::*;

fn mapping(offset: u64, areas: &[(u64, u64)]) -> Mapping {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let fd = Arc::new(nix::sys::memfd::memfd_create(c"map", flags).unwrap());
    let areas = areas
        .iter()
        .map(|&(offset, size)| MmapArea { offset, size })
        .collect();
    Mapping { fd, offset, areas }
}

fn with(mapping: Mapping) -> Result<Description, DescriptionError> {
    Description::pci().region(0, Region::read_write(0x4000).mapped(mapping))
}

#[test]
fn areas_must_be_pages_inside_in_order_and_apart() {
    assert!(
        with(mapping(
            0x1000,
            &[(0, 0x1000), (0x1000, 0x1000), (0x3000, 0x1000)]
        ))
        .is_ok()
    );
    for areas in [
        &[(0, 0)][..],
        &[(0x800, 0x1000)],
        &[(0, 0x800)],
        &[(0x3000, 0x2000)],
        &[(!0xfffu64, 0x1000)],
        &[(0x1000, 0x1000), (0, 0x1000)],
        &[(0, 0x2000), (0x1000, 0x1000)],
    ] {
        let error = with(mapping(0, areas)).unwrap_err();
        assert!(
            matches!(error, DescriptionError::BadArea { region: 0, .. }),
            "{error}"
        );
    }
}

#[test]
fn file_offsets_must_be_mappable() {
    for offset in [1, 0x800, i64::MAX as u64 & !0xfff, !0xfffu64] {
        let error = with(mapping(offset, &[])).unwrap_err();
        assert_eq!(error, DescriptionError::BadOffset { region: 0, offset });
    }
}

#[test]
fn tables_grow_to_their_limits_and_no_further() {
    let last = limits::MAX_REGIONS as u32 - 1;
    let it = Description::pci()
        .region(last, Region::read_write(1))
        .unwrap();
    assert_eq!(it.regions().len(), limits::MAX_REGIONS);
    assert!(it.region(last + 1, Region::default()).is_err());
    let last = limits::MAX_IRQ_TYPES as u32 - 1;
    let most = Irq::message_signalled(limits::MAX_IRQ_COUNT);
    let it = Description::pci().irq(last, most).unwrap();
    assert_eq!(it.irqs().len(), limits::MAX_IRQ_TYPES);
    let more = Irq::message_signalled(limits::MAX_IRQ_COUNT + 1);
    assert!(it.clone().irq(0, more).is_err());
    assert!(it.irq(last + 1, Irq::default()).is_err());
    let areas: Vec<_> = (0..=limits::MAX_MMAP_AREAS as u64)
        .map(|n| (n << 12, 0x1000))
        .collect();
    let region = |count: usize| Region::read_write(1 << 30).mapped(mapping(0, &areas[..count]));
    assert!(
        Description::pci()
            .region(0, region(limits::MAX_MMAP_AREAS))
            .is_ok()
    );
    assert!(
        Description::pci()
            .region(0, region(limits::MAX_MMAP_AREAS + 1))
            .is_err()
    );
}

#[test]
fn an_empty_region_has_no_flags() {
    assert_eq!(
        Region {
            readable: true,
            ..Region::default()
        }
        .flags(),
        0
    );
}
