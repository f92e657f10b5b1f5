//! Who a device is, in every line of the log about it.

use std::fmt;

/// A device's name and UUID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub device: String,
    /// UUID.
    pub uuid: [u8; 16],
}

impl Identity {
    /// The UUID as text is written by the value this returns.
    pub const fn uuid(&self) -> UuidText {
        UuidText(self.uuid)
    }
}

/// Writes a UUID with hyphens, in lower case (RFC 9562 section 4).
#[derive(Clone, Copy, Debug)]
pub struct UuidText(pub [u8; 16]);

impl fmt::Display for UuidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&n) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::UuidText;

    #[test]
    fn a_uuid_has_its_hyphens() {
        let bytes: [u8; 16] = std::array::from_fn(|n| n as u8 * 17);
        let text = UuidText(bytes).to_string();
        assert_eq!(text, "00112233-4455-6677-8899-aabbccddeeff");
    }
}
