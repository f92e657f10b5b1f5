//! From a text to a profile, with the place of everything that is wrong.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Profile;
use super::check::{Wrong, check};
use super::error::{Fault, ProfileError};
use super::keys::{self, SECTIONS, Values};
use crate::limits::{MAX_FAULTS, MAX_PROFILE, MAX_PROFILE_NAME};
use crate::nearest::{hint, shown};

impl Profile {
    /// Reads the text of a profile. The name is that of its file, without folder and `.toml`.
    ///
    /// # Errors
    /// Everything that is wrong, with line and column: broken TOML alone, then unknown keys, then the
    /// first value that cannot be, then everything that is out of bounds or contradicts itself.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let source = Source { text };
        let fail = |faults| Err(ProfileError::new(&shown(name), faults));
        if let Err(what) = check_name(name) {
            return fail(vec![source.fault(0, what)]);
        }
        if text.len() > MAX_PROFILE {
            let what = format!(
                "the text has {} bytes, a profile has at most {MAX_PROFILE}",
                text.len()
            );
            return fail(vec![source.fault(MAX_PROFILE, what)]);
        }
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => return fail(vec![source.syntax(&error)]),
        };
        let places = match source.places(table.get_ref()) {
            Ok(places) => places,
            Err(faults) => return fail(faults),
        };
        let mut profile: Self = match toml::from_str(text) {
            Ok(profile) => profile,
            Err(error) => return fail(vec![source.value(&error, &places)]),
        };
        name.clone_into(&mut profile.name);
        let wrong = check(&profile);
        if wrong.is_empty() {
            return Ok(profile);
        }
        let fault = |wrong: Wrong| {
            let Wrong { path, other, what } = wrong;
            let at = places.start(path).or_else(|| places.start(other?));
            source.fault(at.unwrap_or(0), format!("{path}: {what}"))
        };
        fail(wrong.into_iter().map(fault).collect())
    }
}

/// Checks `[a-z0-9][a-z0-9-]*`: a name is a file's, and typed by hand.
///
/// # Errors
/// A sentence.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let right = (1..=MAX_PROFILE_NAME).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-');
    right.then_some(()).ok_or_else(|| {
        let name = shown(name);
        format!(
            "'{name}' is no name for a profile: write up to {MAX_PROFILE_NAME} lower-case letters, \
             digits and '-'"
        )
    })
}

/// Where the values of keys are, by path.
struct Places(Vec<(String, Range<usize>)>);

impl Places {
    /// The value of a key, if it is written.
    fn start(&self, path: &str) -> Option<usize> {
        let place = self.0.iter().find(|(known, _)| known == path);
        place.map(|(_, place)| place.start)
    }

    fn key_at(&self, at: usize) -> Option<&str> {
        let found = self.0.iter().find(|(_, place)| place.contains(&at));
        found.map(|(path, _)| path.as_str())
    }
}

struct Source<'a> {
    text: &'a str,
}

impl Source<'_> {
    fn fault(&self, at: usize, what: impl Into<String>) -> Fault {
        let boundary = |at: &usize| self.text.is_char_boundary(*at);
        let at = (0..=at.min(self.text.len())).rev().find(boundary);
        let before = &self.text[..at.unwrap_or(0)];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Fault {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            what: what.into(),
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> Fault {
        let at = error.span().map_or(0, |span| span.start);
        let what = error.message().trim_end().replace('\n', ", ");
        self.fault(at, format!("this is not TOML: {what}"))
    }

    /// The places of all keys, or the first of those that there are not.
    fn places(&self, table: &DeTable<'_>) -> Result<Places, Vec<Fault>> {
        let (mut places, mut strange) = (Vec::new(), Vec::new());
        for (key, value) in table {
            let (name, at): (&str, _) = (key.get_ref(), key.span().start);
            if !SECTIONS.contains(&name) {
                match keys::find(name).filter(|key| !key.path.contains('.')) {
                    Some(_) => places.push((name.to_owned(), value.span())),
                    None => strange.push((at, Strange::Key("", name))),
                }
                continue;
            }
            let DeValue::Table(section) = value.get_ref() else {
                strange.push((at, Strange::NoSection(name)));
                continue;
            };
            for (key, value) in section {
                let (inner, at): (&str, _) = (key.get_ref(), key.span().start);
                let path = format!("{name}.{inner}");
                if keys::find(&path).is_some() {
                    places.push((path, value.span()));
                } else {
                    strange.push((at, Strange::Key(name, inner)));
                }
            }
        }
        if strange.is_empty() {
            return Ok(Places(places));
        }
        // Cut before anything is written about it: there may be thousands.
        strange.sort_by_key(|(at, _)| *at);
        strange.truncate(MAX_FAULTS);
        let fault = |(at, strange): (usize, Strange<'_>)| self.fault(at, strange.sentence());
        Err(strange.into_iter().map(fault).collect())
    }

    /// What serde says about a value, in an operator's words.
    fn value(&self, error: &toml::de::Error, places: &Places) -> Fault {
        let span = error.span().unwrap_or_default();
        let Some(key) = places.key_at(span.start).and_then(keys::find) else {
            return self.fault(span.start, error.message());
        };
        let text = self.text.get(span.clone()).unwrap_or_default();
        let message = error.message();
        // Serde's own complaints speak of Rust; those of listed values speak for themselves.
        let ours = matches!(key.values, Values::List(..)) && !message.starts_with("invalid ");
        let what = if ours {
            message.to_owned()
        } else {
            format!("{} cannot be", shown(text))
        };
        let word = text.trim_matches(['"', '\'']);
        let near = match &key.values {
            Values::Word(words) | Values::Words(words) => hint(&shown(word), words.iter().copied()),
            Values::Rate(_) => hint(&shown(word), ["unlimited"]),
            _ => String::new(),
        };
        let (path, values) = (key.path, &key.values);
        let tail = match what.ends_with('?') {
            true => String::new(),
            false => format!(": write {values}{near}"),
        };
        self.fault(span.start, format!("{path}: {what}{tail}"))
    }
}

/// A key that is not where it could be.
enum Strange<'a> {
    /// A section's name before something else than its keys.
    NoSection(&'a str),
    /// A key of a section that does not have it; "" stands for outside of sections.
    Key(&'a str, &'a str),
}

impl Strange<'_> {
    fn sentence(&self) -> String {
        match self {
            Self::NoSection(name) => {
                format!("'{name}' is a section: write [{name}] and its keys below")
            }
            Self::Key(section, name) => unknown(section, name),
        }
    }
}

fn unknown(section: &str, name: &str) -> String {
    let known = keys::names(section);
    let name = shown(name);
    let near = hint(&name, known.iter().copied());
    let place = match section {
        "" => "outside of sections".to_owned(),
        section => format!("in [{section}]"),
    };
    let elsewhere = keys::KEYS.iter().find_map(|key| {
        let (other, key) = key.path.split_once('.')?;
        (key == name && other != section).then(|| format!("; it belongs into [{other}]"))
    });
    let tail = elsewhere.unwrap_or(near);
    format!(
        "there is no key '{name}' {place}{tail} (keys: {})",
        known.join(", ")
    )
}
