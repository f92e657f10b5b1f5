//! Exit codes: one table, for the code, the help and the manual.

use crate::bus::CallError;
use crate::engine::ErrorKind;

/// Done.
pub const DONE: u8 = 0;
/// The daemon refused, or something failed.
pub const REFUSED: u8 = 1;
/// The command line is wrong, whoever found it out.
pub const USAGE: u8 = 2;
/// The daemon cannot be reached.
pub const UNREACHABLE: u8 = 3;
/// The daemon did not answer in time.
pub const TIMED_OUT: u8 = 4;

/// Every code, and what it means.
pub const MEANINGS: [(u8, &str); 5] = [
    (DONE, "done"),
    (REFUSED, "refused or failed"),
    (
        USAGE,
        "wrong usage: an argument cannot be, whether cvfctl or the daemon found it out",
    ),
    (UNREACHABLE, "the daemon cannot be reached"),
    (
        TIMED_OUT,
        "the daemon did not answer in time; what was asked for may still be done",
    ),
];

/// Code and kind of a call without an answer.
pub(super) fn of(error: &CallError) -> (u8, &'static str) {
    match error {
        CallError::Refused {
            kind: Some(kind @ ErrorKind::InvalidArgument),
            ..
        } => (USAGE, kind.kebab()),
        CallError::Refused {
            kind: Some(kind), ..
        } => (REFUSED, kind.kebab()),
        CallError::Refused { kind: None, .. } => (REFUSED, "failed"),
        CallError::Unreachable { .. } => (UNREACHABLE, "unreachable"),
        CallError::TimedOut { .. } => (TIMED_OUT, "timeout"),
        CallError::Strange(_) => (REFUSED, "protocol"),
    }
}

/// The table as lines of a help text.
pub(super) fn help() -> String {
    let line = |(code, meaning): &(u8, &str)| format!("\n  {code}  {meaning}");
    let lines: String = MEANINGS.iter().map(line).collect();
    format!("Exit codes:{lines}")
}
