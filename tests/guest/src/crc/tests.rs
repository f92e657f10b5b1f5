use super::*;

#[test]
fn it_is_the_crc_of_the_standard() {
    // The check value of CRC-32 in catalogues, and the known remainder of all zeroes of a byte.
    assert_eq!(of(b"123456789"), 0xcbf4_3926);
    assert_eq!(of(&[0]), 0xd202_ef8d);
    assert_eq!(of(&[]), 0);
}

#[test]
fn what_is_wrong_is_seen() {
    let mut frame = (0..60).collect::<Vec<u8>>();
    let sequence = of(&frame);
    frame.extend(sequence.to_le_bytes());
    assert_eq!(take(&frame), Some((&frame[..60], true)));
    for at in 0..frame.len() {
        frame[at] ^= 4;
        assert_eq!(take(&frame).map(|(_, right)| right), Some(false), "{at}");
        frame[at] ^= 4;
    }
    for len in 0..=LENGTH {
        assert_eq!(take(&frame[..len]), None);
    }
}
