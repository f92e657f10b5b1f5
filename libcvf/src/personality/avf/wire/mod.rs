//! Messages of virtchnl as bytes: little-endian, packed as their structures are.
//!
//! Every message is checked for its length and parsed once into a type; nothing looks at its bytes again. No
//! parser panics, whatever it is given, and what one allocates is bounded by the message. Padding is ignored, as
//! PFs ignore it.

pub mod addresses;
pub mod event;
pub mod queues;
pub mod resources;
pub mod rss;
pub mod statistics;
pub mod vectors;
pub mod vlan;
pub mod vlan_v2;

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take()?))
    }

    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take()?))
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take()?))
    }

    /// Nothing is left.
    pub const fn end(&self) -> Option<()> {
        if self.0.is_empty() { Some(()) } else { None }
    }

    /// The rest, as `count` elements, at least one. Structures once had an array of one element where they now
    /// have one of any number, and drivers still count that in: `legacy` bytes may follow.
    pub fn list<const N: usize>(self, count: u16, legacy: usize) -> Option<&'b [[u8; N]]> {
        let (list, rest) = self.0.split_at_checked(N * usize::from(count))?;
        let whole = rest.is_empty() || rest.len() == legacy;
        (count > 0 && whole).then_some(list.as_chunks().0)
    }
}

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_elements_or_one_legacy_more() {
        let list = |len: usize, count, legacy| {
            let bytes = vec![0; len];
            let mut reader = Reader::new(&bytes);
            reader.u16()?;
            Some(reader.list::<8>(count, legacy)?.len())
        };
        assert_eq!(list(2 + 16, 2, 8), Some(2));
        assert_eq!(list(2 + 24, 2, 8), Some(2));
        assert_eq!(list(2 + 25, 2, 1), None);
        assert_eq!(list(2 + 24, 2, 0), None, "exact");
        for len in [0, 1, 2, 9, 15, 17, 19, 25, 27, 34] {
            assert_eq!(list(len, 2, 8), None, "{len}");
        }
        assert_eq!(list(2 + 8, 0, 8), None, "none at all");
        assert_eq!(list(2 + 8, u16::MAX, 8), None);
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(reader.u64(), None);
        assert_eq!(reader.u32(), Some(0x0403_0201));
        assert_eq!((reader.end(), reader.u32()), (None, None));
        assert_eq!(reader.u16(), Some(0x0605));
        assert_eq!((reader.end(), reader.u16()), (Some(()), None));
        assert_eq!(reader.skip(1), None);
    }
}
