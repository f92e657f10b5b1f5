//! Answers about the daemon itself, as text for people.

use std::fmt::Write;

use super::table::printable;
use crate::engine::Reloaded;

/// Answer to `reload`.
pub(super) fn reloaded(outcome: &Reloaded) -> String {
    let mut out = match &outcome.file {
        Some(file) => format!("{} was read\n", printable(file)),
        None => "the daemon was started without a configuration file; there is nothing to read\n"
            .to_owned(),
    };
    let mut list = |what: &str, keys: &[String]| {
        if !keys.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {what:<20}{}", printable(&keys.join(", ")));
        }
    };
    list("in force now", &outcome.changed);
    list("needs a restart", &outcome.restart);
    if outcome.changed.is_empty() && outcome.restart.is_empty() {
        out.push_str("  nothing has changed\n");
    }
    out
}
