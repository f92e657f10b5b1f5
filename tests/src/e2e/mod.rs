//! End-to-end tests: each a named function over a prepared lab.

mod itself;

use crate::lab::Lab;
use crate::ui;
use anyhow::Result;
use std::time::Instant;

/// A named end-to-end test.
pub struct Test {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    run: fn(&Lab) -> Result<()>,
}

/// How many did what.
#[derive(Debug, Default)]
pub struct Report {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
}

/// Every end-to-end test.
#[must_use]
pub fn all() -> Vec<Test> {
    itself::tests()
}

/// Runs the tests whose name contains one of `only`, or all.
///
/// # Errors
/// If the lab cannot be prepared.
pub fn run(only: &[String]) -> Result<Report> {
    let lab = Lab::prepare()?;
    let mut report = Report::default();
    for test in all() {
        if !only.is_empty() && !only.iter().any(|o| test.name.contains(o.as_str())) {
            continue;
        }
        let start = Instant::now();
        ui::say(&format!("--- {}", test.name));
        let seconds = || start.elapsed().as_secs_f64();
        match (test.run)(&lab) {
            Ok(()) => {
                report.passed += 1;
                ui::say(&format!("    passed: {} ({:.1} s)", test.name, seconds()));
            }
            Err(error) => {
                report.failed += 1;
                ui::say(&format!(
                    "    FAILED: {} ({:.1} s)\n{error:#}",
                    test.name,
                    seconds()
                ));
            }
        }
    }
    Ok(report)
}
