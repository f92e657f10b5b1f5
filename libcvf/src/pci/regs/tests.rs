use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reg {
    Byte,
    Word,
    Dword,
    Qword,
    Tail,
}

const TABLE: RegTable<Reg, 5> = RegTable::new(
    16,
    [
        (Reg::Byte, 0, 1),
        (Reg::Word, 1, 2),
        (Reg::Dword, 3, 4),
        (Reg::Qword, 7, 8),
        (Reg::Tail, 15, 1),
    ],
);

/// Sixteen bytes of plain memory, seen as the table's registers.
#[derive(Clone, Default)]
struct Plain {
    bytes: [u8; 16],
    written: Vec<Reg>,
}

fn place(reg: Reg) -> (usize, usize) {
    let row = TABLE
        .rows()
        .iter()
        .find(|row| row.0 == reg)
        .expect("every register is in the table");
    (row.1.into(), row.2.into())
}

impl Registers<Reg> for Plain {
    fn get(&mut self, reg: Reg) -> u64 {
        let (at, width) = place(reg);
        let mut value = [0; 8];
        value[..width].copy_from_slice(&self.bytes[at..at + width]);
        u64::from_le_bytes(value)
    }

    fn set(&mut self, reg: Reg, value: u64) {
        let (at, width) = place(reg);
        self.bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.written.push(reg);
    }
}

#[test]
fn a_write_sets_whole_registers_in_ascending_order() {
    let mut plain = Plain::default();
    TABLE.write(2, &[0xaa; 6], &mut plain);
    assert_eq!(plain.written, [Reg::Word, Reg::Dword, Reg::Qword]);
}

#[test]
fn what_lies_past_the_table_reads_zero_and_ignores_writes() {
    let mut plain = Plain {
        bytes: [0x11; 16],
        ..Plain::default()
    };
    let mut data = [0xff; 8];
    TABLE.read(14, &mut data, &mut plain);
    assert_eq!(data, [0x11, 0x11, 0, 0, 0, 0, 0, 0]);
    TABLE.write(16, &[1, 2, 3], &mut plain);
    TABLE.write(usize::MAX, &[1], &mut plain);
    assert!(plain.written.is_empty());
}

#[test]
#[should_panic(expected = "not where the previous one ends")]
fn a_hole_is_refused() {
    RegTable::new(4, [(Reg::Byte, 0, 1), (Reg::Word, 2, 2)]);
}

#[test]
#[should_panic(expected = "do not sum up")]
fn a_wrong_sum_is_refused() {
    RegTable::new(4, [(Reg::Byte, 0, 1), (Reg::Word, 1, 2)]);
}

#[test]
#[should_panic(expected = "1, 2, 4 or 8")]
fn a_width_no_access_has_is_refused() {
    RegTable::new(3, [(Reg::Byte, 0, 3)]);
}

proptest! {
    /// Over plain memory, accesses of any width and offset behave as memory does.
    #[test]
    fn any_access_is_a_memory_access(
        start in any::<[u8; 16]>(),
        offset in 0usize..20,
        data in proptest::collection::vec(any::<u8>(), 0..24),
    ) {
        let mut plain = Plain { bytes: start, ..Plain::default() };
        let mut model = [0u8; 64];
        model[..16].copy_from_slice(&start);
        let mut read = vec![0xee; data.len()];
        TABLE.read(offset, &mut read, &mut plain);
        prop_assert_eq!(&read[..], &model[offset..offset + data.len()]);
        model[offset..offset + data.len()].copy_from_slice(&data);
        TABLE.write(offset, &data, &mut plain);
        prop_assert_eq!(&plain.bytes[..], &model[..16]);
    }
}
