//! `cargo lab test`: every test there is.

use super::TestArgs;
use crate::e2e;
use anyhow::Result;
use serde_json::{Value, json};

/// Runs the tests.
pub fn run(args: &TestArgs) -> Result<Value> {
    if args.list {
        for test in e2e::all() {
            crate::ui::say(&format!("{:32} {}", test.name, test.about));
        }
        return Ok(json!({"ok": true}));
    }
    let report = e2e::run(&args.only)?;
    Ok(json!({"ok": report.failed == 0, "passed": report.passed, "failed": report.failed}))
}
