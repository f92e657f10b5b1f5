//! Why a text is no profile.

use std::fmt;

use serde::Serialize;

use crate::limits::MAX_FAULTS;

/// One thing that is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// Everything that is wrong with a text, in its order; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProfileError {
    /// The profile's name.
    pub profile: String,
    /// What is wrong: at most [`MAX_FAULTS`].
    pub faults: Vec<Fault>,
}

impl ProfileError {
    pub(super) fn new(profile: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults.truncate(MAX_FAULTS);
        let profile = profile.to_owned();
        Self { profile, faults }
    }

    /// A line `file:line:column: reason` per fault, as compilers write them.
    pub fn render(&self, file: impl fmt::Display) -> String {
        let line = |fault: &Fault| format!("{file}:{fault}");
        self.faults.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(format_args!("profile '{}'", self.profile)))
    }
}
