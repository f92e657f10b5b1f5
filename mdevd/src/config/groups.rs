//! Groups of devices that share a rate.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::limits::{MAX_RATE_GROUPS, MAX_RATE_MBIT};
use crate::names::check_name;

/// What the devices of each group send together at most on a PF, in Mbit/s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateGroups(pub BTreeMap<String, u32>);

impl FromStr for RateGroups {
    type Err = String;

    /// `NAME=MBIT,...`, or `none`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut groups = BTreeMap::new();
        if text == "none" {
            return Ok(Self(groups));
        }
        for part in text.split(',') {
            let (name, rate) = part.trim().split_once('=').ok_or_else(|| {
                format!("write '{}' as NAME=MBIT, or none for no group", part.trim())
            })?;
            check_name(name).map_err(|why| format!("'{name}' cannot be a group's name: {why}"))?;
            let rate = rate.parse().ok();
            let rate = rate
                .filter(|rate| (1..=MAX_RATE_MBIT).contains(rate))
                .ok_or_else(|| {
                    format!("the rate of '{name}' is a number from 1 to {MAX_RATE_MBIT}")
                })?;
            if groups.insert(name.to_owned(), rate).is_some() {
                return Err(format!("group '{name}' is there twice"));
            }
            if groups.len() > MAX_RATE_GROUPS {
                return Err(format!("there are at most {MAX_RATE_GROUPS} groups"));
            }
        }
        Ok(Self(groups))
    }
}

impl fmt::Display for RateGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (n, (name, rate)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{name}={rate}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_and_written() {
        let groups: RateGroups = "web=5000, db=1".parse().expect("groups");
        assert_eq!(groups.0["web"], 5000);
        assert_eq!(groups.to_string(), "db=1,web=5000");
        assert_eq!("none".parse(), Ok(RateGroups::default()));
        assert_eq!(RateGroups::default().to_string(), "none");
        let many: Vec<_> = (0..=MAX_RATE_GROUPS).map(|n| format!("g{n}=1")).collect();
        let table = [
            ("web", "as NAME=MBIT"),
            ("web=0", "from 1 to 1000000"),
            ("web=1000001", "from 1 to 1000000"),
            ("web=x", "from 1 to 1000000"),
            ("a=1,a=2", "twice"),
            ("a/b=1", "cannot be a group's name"),
            (&many.join(","), "at most"),
        ];
        for (text, expected) in table {
            let why = text.parse::<RateGroups>().expect_err(text);
            assert!(why.contains(expected), "{text}: {why}");
        }
        assert!(many[1..].join(",").parse::<RateGroups>().is_ok());
    }
}
