//! A table of a TOML file, taken apart with the line of every complaint.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use crate::nearest;

/// The file being read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// A complaint about the bytes `at`.
    pub(super) fn complain(
        &self,
        at: Option<Range<usize>>,
        what: impl Into<String>,
    ) -> ConfigError {
        ConfigError::File {
            file: self.file.to_owned(),
            line: self.line(at.map_or(0, |at| at.start)),
            what: what.into(),
        }
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.iter().filter(|&&b| b == b'\n').count() + 1
    }

    /// Refuses keys that `known` does not hold.
    pub(super) fn check_keys(
        &self,
        table: &DeTable<'_>,
        known: &[&str],
    ) -> Result<(), ConfigError> {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let hint = nearest::hint(name, known.iter().copied());
                let what = format!(
                    "there is no key '{name}'{hint} (keys: {})",
                    known.join(", ")
                );
                return Err(self.complain(Some(key.span()), what));
            }
        }
        Ok(())
    }

    /// The text under `key`.
    pub(super) fn text<'t>(
        &self,
        table: &'t DeTable<'_>,
        key: &str,
    ) -> Result<Option<(&'t str, Range<usize>)>, ConfigError> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some((text, value.span()))),
            other => Err(self.complain(
                Some(value.span()),
                format!("'{key}' is a text in quotes, not {}", a(other.type_str())),
            )),
        }
    }
}

/// A text or whole number as text.
pub(super) fn scalar(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "the number is too large".to_owned()),
        other => Err(format!(
            "write a number or a text here, not {}",
            a(other.type_str())
        )),
    }
}

fn a(kind: &str) -> String {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        format!("an {kind}")
    } else {
        format!("a {kind}")
    }
}
