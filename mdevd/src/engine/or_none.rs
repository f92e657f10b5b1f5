//! A number that a device may be without.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number, or the word `none`: what a device is where nothing was said, said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrNone {
    /// It is to be without.
    None,
    /// This.
    Number(u64),
}

/// The word that takes away what a device may be without.
pub(super) const NONE: &str = "none";

impl OrNone {
    /// The number, if it is one.
    pub const fn number(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Number(number) => Some(number),
        }
    }
}

impl From<u64> for OrNone {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl FromStr for OrNone {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            NONE => Ok(Self::None),
            text => text
                .parse()
                .map(Self::Number)
                .map_err(|_| "write a whole number, or none"),
        }
    }
}

impl Serialize for OrNone {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_str(NONE),
            Self::Number(number) => to.serialize_u64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for OrNone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = OrNone;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or none")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<OrNone, E> {
        Ok(OrNone::Number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<OrNone, E> {
        let refuse = || E::invalid_value(Unexpected::Signed(number), &self);
        u64::try_from(number)
            .map(OrNone::Number)
            .map_err(|_| refuse())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OrNone, E> {
        match text {
            NONE => Ok(OrNone::None),
            text => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_the_word_is_read_and_written() {
        for (json, value) in [
            ("\"none\"", OrNone::None),
            ("0", OrNone::Number(0)),
            ("500", OrNone::Number(500)),
        ] {
            assert_eq!(serde_json::from_str::<OrNone>(json).expect(json), value);
            assert_eq!(serde_json::to_string(&value).expect(json), json);
            assert_eq!(json.trim_matches('"').parse(), Ok(value));
        }
        for json in ["\"nothing\"", "-1", "1.5", "true", "\"5\""] {
            let error = serde_json::from_str::<OrNone>(json).expect_err(json);
            let error = error.to_string();
            assert!(
                error.contains("expected a whole number, or none"),
                "{error}"
            );
        }
        assert!("many".parse::<OrNone>().is_err());
    }
}
