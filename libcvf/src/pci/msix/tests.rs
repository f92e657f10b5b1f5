use proptest::prelude::*;

use super::*;

const SIZE: u64 = 0x2000;
const PBA: u64 = 0x1000;

fn table() -> MsixTable {
    MsixTable::new(5, PBA, SIZE)
}

#[test]
fn entries_start_masked_and_empty() {
    let table = table();
    for vector in 0..5 {
        let expected = MsixEntry {
            address: 0,
            data: 0,
            masked: true,
        };
        assert_eq!(table.entry(vector), Some(expected));
    }
    assert_eq!(table.entry(5), None);
    assert_eq!(table.entry(u16::MAX), None);
}

#[test]
fn an_entry_is_programmed_as_a_driver_does() {
    let mut table = table();
    table.write(0x20, &0xfee0_1007u32.to_le_bytes()).unwrap();
    table.write(0x24, &1u32.to_le_bytes()).unwrap();
    table.write(0x28, &0x4123u32.to_le_bytes()).unwrap();
    table.write(0x2c, &0xffff_fffeu32.to_le_bytes()).unwrap();
    let expected = MsixEntry {
        address: 0x1_fee0_1004,
        data: 0x4123,
        masked: false,
    };
    assert_eq!(table.entry(2), Some(expected));
    table.reset();
    assert_eq!(
        table.entry(2),
        Some(MsixEntry {
            address: 0,
            data: 0,
            masked: true
        })
    );
}

#[test]
fn pending_bits_are_the_devices() {
    let mut table = MsixTable::new(70, PBA, SIZE);
    table.set_pending(0, true);
    table.set_pending(69, true);
    table.set_pending(70, true);
    let read = |table: &MsixTable| {
        let mut bits = [0xff; 32];
        table.read(PBA, &mut bits).unwrap();
        bits
    };
    let mut expected = [0; 32];
    (expected[0], expected[8]) = (1, 0x20);
    assert_eq!(read(&table), expected, "zero behind the last word");
    table.write(PBA, &[0xff; 16]).unwrap();
    assert_eq!(read(&table), expected, "read-only");
    table.set_pending(69, false);
    expected[8] = 0;
    assert_eq!(read(&table), expected);
    table.set_pending(1, true);
    table.reset();
    assert_eq!(read(&table), [0; 32]);
}

#[test]
fn the_largest_table_is_the_specifications() {
    let table = MsixTable::new(u16::MAX, 0x8000, 0x1_0000);
    assert_eq!(table.vectors(), 2048);
    assert!(table.entry(2047).is_some());
    assert!(table.entry(2048).is_none());
}

#[test]
fn accesses_past_the_region_are_refused() {
    let mut table = table();
    for (offset, len) in [
        (SIZE, 1),
        (SIZE - 1, 2),
        (u64::MAX, 1),
        (0, SIZE as usize + 1),
    ] {
        assert!(table.read(offset, &mut vec![0; len]).is_err());
        assert!(table.write(offset, &vec![0; len]).is_err());
    }
}

proptest! {
    /// Whatever is written: reserved bits stay zero, pending bits stay, nothing panics.
    #[test]
    fn any_write_keeps_reserved_bits(
        writes in proptest::collection::vec(
            (0u64..SIZE + 64, proptest::collection::vec(any::<u8>(), 0..64)), 0..32),
    ) {
        let mut table = table();
        table.set_pending(3, true);
        for (offset, data) in &writes {
            let end = offset + data.len() as u64;
            prop_assert_eq!(table.write(*offset, data).is_ok(), end <= SIZE);
        }
        for vector in 0..5 {
            let entry = table.entry(vector).expect("exists");
            prop_assert_eq!(entry.address & 3, 0);
            let mut control = [0; 4];
            table.read(u64::from(vector) * 16 + 12, &mut control).expect("within");
            prop_assert_eq!(u32::from_le_bytes(control), u32::from(entry.masked));
        }
        let mut pending = [0; 8];
        table.read(PBA, &mut pending).expect("within");
        prop_assert_eq!(u64::from_le_bytes(pending), 1 << 3);
        let mut gap = [0xff; 16];
        table.read(5 * 16, &mut gap).expect("within");
        prop_assert_eq!(gap, [0; 16]);
    }
}
