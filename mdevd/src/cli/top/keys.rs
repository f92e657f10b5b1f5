//! Keys, from the bytes that a terminal sends.

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Backspace,
    /// Control and this letter.
    Control(char),
}

/// Longest control sequence that is waited for.
const MAX_PENDING: usize = 16;

/// Takes bytes as they come, in whatever pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// The keys that `bytes` complete. An escape at their end is the key: a terminal sends a sequence at once.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while !self.pending.is_empty() {
            let (used, key) = first(&self.pending);
            if used == 0 {
                // Begun, not ended: the rest comes, unless it was never one.
                if self.pending.len() > MAX_PENDING {
                    self.pending.clear();
                }
                break;
            }
            self.pending.drain(..used);
            keys.extend(key);
        }
        keys
    }
}

/// How many bytes the first key has, 0 while it is not complete; and the key, if it is one that we know.
fn first(bytes: &[u8]) -> (usize, Option<Key>) {
    match bytes {
        [0x1b] => (1, Some(Key::Escape)),
        [0x1b, b'[' | b'O', rest @ ..] => sequence(rest),
        [0x1b, ..] => (1, Some(Key::Escape)),
        [b'\r' | b'\n', ..] => (1, Some(Key::Enter)),
        [0x08 | 0x7f, ..] => (1, Some(Key::Backspace)),
        [byte @ 1..=26, ..] => (1, Some(Key::Control(char::from(byte + b'a' - 1)))),
        [byte, ..] if byte.is_ascii() => {
            let c = char::from(*byte);
            (1, (!c.is_control()).then_some(Key::Char(c)))
        }
        _ => letter(bytes),
    }
}

/// Behind `ESC [` or `ESC O` (ECMA-48 5.4: parameters, intermediates, one final byte).
fn sequence(rest: &[u8]) -> (usize, Option<Key>) {
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return (0, None);
    };
    let key = match (&rest[..end], rest[end]) {
        (_, b'A') => Some(Key::Up),
        (_, b'B') => Some(Key::Down),
        (_, b'C') => Some(Key::Right),
        (_, b'D') => Some(Key::Left),
        (_, b'H') | (b"1" | b"7", b'~') => Some(Key::Home),
        (_, b'F') | (b"4" | b"8", b'~') => Some(Key::End),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        _ => None,
    };
    (2 + end + 1, key)
}

fn letter(bytes: &[u8]) -> (usize, Option<Key>) {
    let length = match bytes[0] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return (1, None),
    };
    if bytes.len() < length {
        return (0, None);
    }
    match std::str::from_utf8(&bytes[..length]) {
        Ok(text) => (length, text.chars().next().map(Key::Char)),
        Err(_) => (1, None),
    }
}

#[cfg(test)]
mod tests;
