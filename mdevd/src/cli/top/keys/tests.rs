use proptest::prelude::*;

use super::*;

fn keys(bytes: &[u8]) -> Vec<Key> {
    Decoder::default().take(bytes)
}

#[test]
fn keys_are_known() {
    assert_eq!(keys(b"q/"), [Key::Char('q'), Key::Char('/')]);
    assert_eq!(keys(b"\x1b[A\x1bOB"), [Key::Up, Key::Down]);
    assert_eq!(keys(b"\x1b[5~\x1b[6~"), [Key::PageUp, Key::PageDown]);
    assert_eq!(keys(b"\x1b[H\x1b[4~"), [Key::Home, Key::End]);
    assert_eq!(keys(b"\x1b[1;5C\x1b[D"), [Key::Right, Key::Left]);
    assert_eq!(keys(b"\r\x7f"), [Key::Enter, Key::Backspace]);
    assert_eq!(keys(b"\x03\x1a"), [Key::Control('c'), Key::Control('z')]);
    assert_eq!(keys("é網".as_bytes()), [Key::Char('é'), Key::Char('網')]);
    assert_eq!(keys(b"\x1b"), [Key::Escape]);
    assert_eq!(
        keys(b"\x1b[99;1Xq"),
        [Key::Char('q')],
        "unknown ones are left out"
    );
}

#[test]
fn sequences_in_pieces_are_put_together() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.take(b"\x1b["), []);
    assert_eq!(decoder.take(b"5"), []);
    assert_eq!(decoder.take(b"~x"), [Key::PageUp, Key::Char('x')]);
    assert_eq!(decoder.take(&"é".as_bytes()[..1]), []);
    assert_eq!(decoder.take(&"é".as_bytes()[1..]), [Key::Char('é')]);
}

proptest! {
    #[test]
    fn anything_may_come(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
        let mut decoder = Decoder::default();
        for piece in pieces {
            decoder.take(&piece);
            prop_assert!(decoder.pending.len() <= MAX_PENDING);
        }
    }
}
