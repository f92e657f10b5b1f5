//! Prometheus' text format, version 0.0.4, made piece by piece.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

use super::families::FAMILIES;
use super::family::{Family, Source};
use super::snapshot::Snapshot;
use crate::limits::METRICS_CHUNK;

/// Writes samples of one family.
pub struct Samples<'a> {
    out: &'a mut String,
    family: &'a Family,
}

impl<'a> Samples<'a> {
    pub(super) fn new(out: &'a mut String, family: &'a Family) -> Self {
        Self { out, family }
    }

    /// A sample: the values of the family's labels, in order, and the number.
    pub fn add(&mut self, labels: &[&dyn Display], value: impl Display) {
        debug_assert_eq!(
            labels.len(),
            self.family.labels.len(),
            "{}",
            self.family.name
        );
        self.out.push_str(self.family.name);
        for (n, (label, text)) in self.family.labels.iter().zip(labels).enumerate() {
            self.out.push_str(if n == 0 { "{" } else { "," });
            self.out.push_str(label);
            self.out.push_str("=\"");
            // Writing into a String does not fail.
            let _ = write!(Escaped(self.out), "{text}");
            self.out.push('"');
        }
        self.out
            .push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.out, "{value}");
    }

    /// The same, where there is a number.
    pub fn add_some(&mut self, labels: &[&dyn Display], value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(labels, value);
        }
    }
}

/// A label's value: backslash, quote and line feed are written with a backslash.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

/// The text of a snapshot, in pieces of about [`METRICS_CHUNK`] bytes.
pub struct Exposition {
    snapshot: Arc<Snapshot>,
    family: usize,
    item: usize,
}

impl Exposition {
    /// All families of `snapshot`.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            family: 0,
            item: 0,
        }
    }
}

impl Iterator for Exposition {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut out = String::with_capacity(METRICS_CHUNK + METRICS_CHUNK / 4);
        while out.len() < METRICS_CHUNK {
            let Some(family) = FAMILIES.get(self.family) else {
                break;
            };
            if self.item == 0 {
                family.announce(&mut out);
            }
            let mut samples = Samples::new(&mut out, family);
            let more = match family.source {
                Source::Daemon(write) => {
                    write(&self.snapshot, &mut samples);
                    false
                }
                Source::Device(write) => {
                    write_nth(&self.snapshot.devices, self.item, write, &mut samples)
                }
                Source::Pf(write) => write_nth(&self.snapshot.pfs, self.item, write, &mut samples),
            };
            if more {
                self.item += 1;
            } else {
                self.family += 1;
                self.item = 0;
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

/// Writes the samples of one item; whether more follow.
fn write_nth<T>(
    items: &[T],
    n: usize,
    write: fn(&T, &mut Samples<'_>),
    samples: &mut Samples<'_>,
) -> bool {
    let Some(item) = items.get(n) else {
        return false;
    };
    write(item, samples);
    n + 1 < items.len()
}
