//! Answers about the daemon itself, as text for people.

use std::fmt::Write;

use super::table::printable;
use crate::engine::Reloaded;

/// Answer to `reload`.
pub(super) fn reloaded(outcome: &Reloaded) -> String {
    let mut out = match &outcome.file {
        Some(file) => format!("{} was read\n", printable(file)),
        None => {
            "the daemon was started without a configuration file; profiles were read\n".to_owned()
        }
    };
    let mut list = |what: &str, keys: &[String]| {
        if !keys.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {what:<20}{}", printable(&keys.join(", ")));
        }
    };
    list("in force now", &outcome.changed);
    list("needs a restart", &outcome.restart);
    for refused in &outcome.refused {
        let _ = writeln!(out, "  refused: {}", printable(refused));
    }
    for note in &outcome.notes {
        let _ = writeln!(out, "  note: {}", printable(note));
    }
    if *outcome
        == (Reloaded {
            file: outcome.file.clone(),
            ..Reloaded::default()
        })
    {
        out.push_str("  nothing has changed\n");
    }
    out
}
