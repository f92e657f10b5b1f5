use super::*;

#[test]
fn pieces_join_to_the_whole() {
    let mut whole = [0; 100];
    fill(3, 5, &mut whole);
    let mut pieces = [0; 100];
    for (start, end) in [(0, 1), (1, 9), (9, 10), (10, 63), (63, 100)] {
        fill(3, 5 + start as u64, &mut pieces[start..end]);
    }
    assert_eq!(whole, pieces);
}

#[test]
fn every_changed_byte_is_counted() {
    let mut data = [0; 64];
    fill(9, 0, &mut data);
    assert_eq!(mismatches(9, 0, &data), 0);
    data[0] ^= 1;
    data[33] ^= 0x80;
    data[63] ^= 0xff;
    assert_eq!(mismatches(9, 0, &data), 3);
}

#[test]
fn seeds_and_positions_differ() {
    let mut data = [0; 64];
    fill(1, 0, &mut data);
    assert!(mismatches(2, 0, &data) > 32);
    assert!(mismatches(1, 8, &data) > 32);
}
