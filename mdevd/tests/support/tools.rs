//! Programs that are not ours.

use std::io::Write;
use std::path::PathBuf;

/// A program, if it is installed. Where it must be (`CI=true`), its absence is a failure.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let found = optional(name);
    if found.is_none() {
        cannot(&format!("there is no {name} (Debian package {package})"));
    }
    found
}

/// Says why a test cannot run here.
pub fn cannot(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "not run: {why}"
    );
    let _ = writeln!(std::io::stderr(), "NOT RUN: {why}");
}

/// A program that is used beside another that does the same.
pub fn optional(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}
