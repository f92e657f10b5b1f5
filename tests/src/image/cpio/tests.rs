use super::*;

fn field(bytes: &[u8], index: usize) -> u32 {
    let text = std::str::from_utf8(&bytes[6 + index * 8..14 + index * 8]).unwrap();
    u32::from_str_radix(text, 16).unwrap()
}

#[test]
fn an_entry_has_header_name_and_data_on_four_byte_borders() {
    let mut archive = Archive::new();
    archive.file("abc", 0o755, b"hello");
    let bytes = archive.finish();
    assert_eq!(&bytes[..6], b"070701");
    assert_eq!(field(&bytes, 1), 0o100_755);
    assert_eq!(field(&bytes, 6), 5);
    assert_eq!(field(&bytes, 11), 4);
    assert_eq!(&bytes[110..114], b"abc\0");
    assert_eq!(&bytes[116..121], b"hello");
    assert_eq!(&bytes[124..130], b"070701");
    assert_eq!(bytes.len() % 512, 0);
}

#[test]
fn the_first_of_two_equal_names_stays() {
    let mut archive = Archive::new();
    archive.file("a", 0o644, b"one");
    let before = archive.bytes.len();
    archive.symlink("a", "two");
    assert_eq!(archive.bytes.len(), before);
}
