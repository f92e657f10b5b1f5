use super::*;

const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn made(sequence: u64, end: bool, len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    write(&mut data, A, B, 5, sequence, end);
    data
}

#[test]
fn what_is_written_is_read() {
    for len in [MIN_FRAME, 61, 1514, MAX_FRAME] {
        assert_eq!(read(&made(77, false, len), 5), Seen::Frame(77));
        assert_eq!(read(&made(78, true, len), 5), Seen::End(78));
    }
}

#[test]
fn any_flipped_bit_behind_the_stream_is_noticed() {
    let good = made(1 << 40, false, 200);
    for byte in 22..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 0x10;
        assert_eq!(read(&bad, 5), Seen::Corrupt, "byte {byte}");
    }
}

#[test]
fn a_cut_or_padded_frame_is_corrupt() {
    let good = made(3, false, 200);
    assert_eq!(read(&good[..199], 5), Seen::Corrupt);
    let mut long = good;
    long.push(0);
    assert_eq!(read(&long, 5), Seen::Corrupt);
}

#[test]
fn other_streams_and_protocols_are_not_ours() {
    assert_eq!(read(&made(3, false, 200), 6), Seen::Other);
    assert_eq!(read(&[0; 64], 5), Seen::Other);
    assert_eq!(read(&[0; 3], 5), Seen::Other);
}

#[test]
fn mac_addresses() {
    assert_eq!(parse_mac("02:00:00:00:00:01\n"), Some(A));
    for bad in [
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "2:0:0:0:0:1",
        "02:00:00:00:00:0g",
    ] {
        assert_eq!(parse_mac(bad), None, "{bad}");
    }
}
