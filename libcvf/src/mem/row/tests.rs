use super::*;

/// A slice of local memory, to be written.
fn slot(bytes: &mut [u8]) -> WriteSlice<'_> {
    WriteSlice::new(bytes.as_mut_ptr() as usize, bytes.len())
}

const SKIP: usize = 12;
const FRONT: usize = 20;

/// Copies `entries` bytes-long buffers into `slots` bytes-long ones, all at once; what was done, and the
/// slots.
fn copied(
    entries: &[usize],
    slots: &[usize],
    from: (usize, usize),
    first: usize,
) -> (usize, u64, Vec<Vec<u8>>) {
    let buffers: Vec<Vec<u8>> = entries
        .iter()
        .enumerate()
        .map(|(n, len)| (0..*len).map(|i| (i * 3 + n) as u8).collect())
        .collect();
    let mut room: Vec<Vec<u8>> = slots.iter().map(|len| vec![0xaa; len + 1]).collect();
    let starts = [[0x55; FLOW_COPY]; BURST];
    let (mut lent, mut to) = (Row::new(), WriteRow::new());
    let mut row = lent.lend();
    assert!(
        buffers
            .iter()
            .all(|bytes| row.push(bytes.as_slice().into()))
    );
    for bytes in &mut room {
        let len = bytes.len() - 1;
        assert!(to.push(slot(&mut bytes[..len])));
    }
    let (done, bytes) = row.copy_to(from, SKIP, &starts, (&mut to, first), |n| [n as u8; FRONT]);
    let written: Vec<_> = to.lens().map(|len| len as usize).collect();
    for nth in 0..done {
        let (entry, got) = (&buffers[from.0 + nth], &room[first + nth]);
        let len = entry.len() - SKIP;
        assert_eq!(written[first + nth], FRONT + len);
        assert_eq!(got[..FRONT], [(from.0 + nth) as u8; FRONT]);
        assert_eq!(got[FRONT..FRONT + FLOW_COPY], [0x55; FLOW_COPY]);
        assert_eq!(
            got[FRONT + FLOW_COPY..FRONT + len],
            entry[SKIP + FLOW_COPY..]
        );
        assert!(
            got[FRONT + len..].iter().all(|byte| *byte == 0xaa),
            "nothing behind it"
        );
    }
    (done, bytes, room)
}

#[test]
fn what_fits_exactly_is_copied_and_nothing_else() {
    let least = SKIP + FLOW_COPY;
    let fits = |entry: usize| FRONT + entry - SKIP;
    for entry in [least, least + 1, 76, 300, 1500] {
        let (done, bytes, _) = copied(&[entry], &[fits(entry)], (0, 1), 0);
        assert_eq!((done, bytes), (1, (entry - SKIP) as u64), "{entry}");
        let (done, bytes, room) = copied(&[entry], &[fits(entry) - 1], (0, 1), 0);
        assert_eq!((done, bytes), (0, 0), "{entry}");
        assert!(room[0].iter().all(|byte| *byte == 0xaa), "untouched");
    }
    assert_eq!(
        copied(&[least - 1], &[100], (0, 1), 0).0,
        0,
        "shorter than its start"
    );
    assert_eq!(copied(&[0], &[100], (0, 1), 0).0, 0);
}

#[test]
fn rows_are_copied_up_to_the_first_that_does_not_fit() {
    let entries = [100, 400, 76, 1000, 60];
    let slots = [2000, 2000, 2000, 500, 2000];
    assert_eq!(copied(&entries, &slots, (0, 5), 0).0, 3);
    assert_eq!(copied(&entries, &slots, (1, 3), 0).0, 3);
    assert_eq!(
        copied(&entries, &slots, (1, 2), 2).0,
        2,
        "the small one is large enough for that"
    );
    assert_eq!(copied(&entries, &slots, (2, 9), 4).0, 1, "no more slots");
    assert_eq!(copied(&entries, &slots, (4, 9), 0).0, 1, "no more buffers");
    assert_eq!(copied(&entries, &slots, (5, 1), 0).0, 0);
    assert_eq!(copied(&entries, &slots, (usize::MAX, usize::MAX), 0).0, 0);
    assert_eq!(copied(&entries, &slots, (0, 1), 99).0, 0);
}

#[test]
fn a_row_holds_a_burst_and_is_empty_when_lent_again() {
    let bytes = [7; 64];
    let mut lent = Row::new();
    for _ in 0..2 {
        let mut row = lent.lend();
        assert!(row.is_empty() && row.get(0).is_none());
        assert!((0..BURST).all(|_| row.push(bytes.as_slice().into())));
        assert!(!row.push(bytes.as_slice().into()), "full");
        assert_eq!((row.len(), row.room()), (BURST, 0));
        row.set(3, bytes[..5].into());
        row.set(BURST, bytes[..5].into());
        assert_eq!(row.lens(2).take(3).collect::<Vec<_>>(), [64, 5, 64]);
        assert_eq!(row.lens(BURST + 1).count(), 0);
        let starts: Vec<_> = row.starts(12).map(|start| start.is_some()).collect();
        assert!(
            starts
                .iter()
                .enumerate()
                .all(|(index, some)| *some == (index != 3))
        );
    }
    let mut to = WriteRow::new();
    let mut room = [0; 40];
    assert!(to.push(slot(&mut room)));
    to.shorten(0, 30);
    to.shorten(0, 35);
    to.shorten(1, 1);
    assert_eq!(to.lens().collect::<Vec<_>>(), [30]);
}
