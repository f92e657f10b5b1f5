//! What the lab says to the person in front of it: progress on standard error, results elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

/// Writes one line to standard error.
pub fn say(text: &str) {
    let _ = writeln!(stderr().lock(), "{text}");
}

/// Writes one line of result to standard output.
pub fn result(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A step with a beginning and an end; says how long it took.
pub struct Step {
    what: String,
    start: Instant,
}

impl Step {
    /// Announces the step.
    pub fn begin(what: impl Into<String>) -> Self {
        let what = what.into();
        say(&format!("==> {what}"));
        Step {
            what,
            start: Instant::now(),
        }
    }

    /// Says that the step is over, and how long it took.
    pub fn done(self) {
        say(&format!(
            "    {}: done in {:.1} s",
            self.what,
            self.start.elapsed().as_secs_f64()
        ));
    }
}

/// A counter that moves: redrawn in place on a terminal, every tenth of the way elsewhere.
pub struct Counter {
    label: String,
    total: usize,
    last: usize,
}

impl Counter {
    /// Starts counting to `total`.
    pub fn new(label: impl Into<String>, total: usize) -> Self {
        Counter {
            label: label.into(),
            total,
            last: 0,
        }
    }

    /// Shows that `now` of the total are done.
    pub fn at(&mut self, now: usize) {
        let text = format!("    {}: {now} of {}", self.label, self.total);
        if stderr().is_terminal() {
            let end = if now >= self.total { "\n" } else { "" };
            let _ = write!(stderr().lock(), "\r{text}{end}");
        } else if now >= self.total || (now - self.last) * 10 >= self.total {
            self.last = now;
            say(&text);
        }
    }
}
