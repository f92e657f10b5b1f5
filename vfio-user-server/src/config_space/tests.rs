use super::*;
use crate::device::Timing;
use crate::errno::Errno;

fn at(offset: u64, count: u32) -> RegionRange {
    RegionRange {
        region: vfio::VFIO_PCI_CONFIG_REGION_INDEX,
        offset,
        count,
    }
}

fn space() -> ConfigSpace {
    let space = ConfigSpace::new(0x1af4, 0x11e5, 0xff_01_02);
    space.memory_bar(1, 4096).expect("a BAR").with_intx()
}

fn read(space: &ConfigSpace, offset: u64, count: u32) -> Vec<u8> {
    match space.read(at(offset, count)).0 {
        Timing::Now(Ok(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

fn write(space: &mut ConfigSpace, offset: u64, data: &[u8]) {
    let answer = space.write(at(offset, data.len() as u32), data);
    assert!(matches!(answer.0, Timing::Now(Ok(()))), "{answer:?}");
}

#[test]
fn pcie_7_5_1_identity_is_read_only() {
    let mut space = space();
    let all = vec![0xff; CONFIG_SPACE];
    write(&mut space, 0, &all);
    assert_eq!(read(&space, 0, 4), [0xf4, 0x1a, 0xe5, 0x11]);
    assert_eq!(read(&space, 9, 3), [0x02, 0x01, 0xff]);
    assert_eq!(read(&space, 4, 2), [0x06, 0x04]);
    assert_eq!(read(&space, 0x3c, 2), [0xff, 1]);
    assert_eq!(read(&space, 0x3e, 194), [0; 194]);
}

#[test]
fn pcie_7_5_1_2_1_a_bar_tells_its_size() {
    let mut space = space();
    for bar in 0..6u64 {
        write(&mut space, 0x10 + 4 * bar, &[0xff; 4]);
        let size = if bar == 1 {
            [0, 0xf0, 0xff, 0xff]
        } else {
            [0; 4]
        };
        assert_eq!(read(&space, 0x10 + 4 * bar, 4), size, "BAR {bar}");
    }
    for (index, size) in [(6, 4096), (0, 8), (0, 0), (0, 4097), (u32::MAX, 16)] {
        let refused = ConfigSpace::new(1, 2, 3).memory_bar(index, size);
        assert_eq!(
            refused.err(),
            Some(DescriptionError::BadBar { index, size })
        );
    }
    for (index, size) in [(5, 16), (0, 1 << 31)] {
        assert!(ConfigSpace::new(1, 2, 3).memory_bar(index, size).is_ok());
    }
}

#[test]
fn pcie_7_5_1_1_3_interrupt_disable_is_the_drivers_until_reset() {
    let mut space = space();
    assert!(!space.intx_disabled());
    write(&mut space, 5, &[0x04]);
    assert!(space.intx_disabled());
    space.reset();
    assert!(!space.intx_disabled());
}

#[test]
fn an_access_beyond_its_end_is_refused_and_changes_nothing() {
    let mut space = space();
    for (offset, count) in [(255, 2), (256, 1), (u64::MAX, 4)] {
        let read = space.read(at(offset, count));
        assert!(matches!(read.0, Timing::Now(Err(Errno::EINVAL))));
        let before = space.bytes;
        let written = space.write(at(offset, count), &vec![0xff; count as usize]);
        assert!(matches!(written.0, Timing::Now(Err(Errno::EINVAL))));
        assert_eq!(space.bytes, before);
    }
}
