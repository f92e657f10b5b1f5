//! Numbers out of and into byte strings.

use super::WireError;

/// A body whose first `N` bytes have been checked to exist.
pub(super) fn fixed<const N: usize>(body: &[u8]) -> Result<(&[u8; N], &[u8]), WireError> {
    body.split_first_chunk::<N>().ok_or(WireError::Short {
        need: N,
        have: body.len(),
    })
}

/// Reads numbers one after the other. Past the end it reads zeros; callers check lengths first.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => {
                self.0 = &[];
                [0; N]
            }
        }
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.take())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.take())
    }
}

/// Appends numbers to a byte string.
pub(super) trait Put {
    fn put16(&mut self, value: u16);
    fn put32(&mut self, value: u32);
    fn put64(&mut self, value: u64);
}

impl Put for Vec<u8> {
    fn put16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_ne_bytes());
    }

    fn put32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_ne_bytes());
    }

    fn put64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_ne_bytes());
    }
}

/// Checks an `argsz` against the least and the most that make sense.
pub(super) fn check_argsz(argsz: u32, min: u64, max: u64) -> Result<(), WireError> {
    if (min..=max).contains(&u64::from(argsz)) {
        Ok(())
    } else {
        Err(WireError::Argsz { argsz, min, max })
    }
}
