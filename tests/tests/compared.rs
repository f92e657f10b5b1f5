//! `docs/compared.md` names a test for each of its rows: they exist, and no row is without.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(dir: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// Names of the functions that are tests.
fn functions() -> BTreeSet<String> {
    let mut texts = Vec::new();
    for folder in ["mdevd", "libcvf", "policies", "tests/tests"] {
        sources(&workspace().join(folder), &mut texts);
    }
    let mut names = BTreeSet::new();
    for text in &texts {
        for (at, _) in text
            .match_indices("#[test]")
            .chain(text.match_indices("#[tokio::test"))
        {
            let Some((_, rest)) = text[at..].split_once("fn ") else {
                continue;
            };
            names.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Rows of all tables, cell by cell, heads and rules left out.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let mut rows = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let head = lines.peek().is_some_and(|next| next.starts_with("|---"));
        if line.starts_with('|') && !line.starts_with("|---") && !head {
            rows.push(line.trim_matches('|').split('|').map(str::trim).collect());
        }
    }
    rows
}

#[test]
fn every_row_has_a_test_that_is_there() {
    let text = std::fs::read_to_string(workspace().join("docs/compared.md")).expect("the table");
    let functions = functions();
    let lab: BTreeSet<&str> = lab::e2e::all().iter().map(|test| test.name).collect();
    let known = |name: &str| functions.contains(name) || lab.contains(name);
    assert!(!known("no_such_test") && functions.len() > 500 && lab.len() > 30);
    let rows = rows(&text);
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        let tests = quoted(row.last().expect("cells"));
        assert!(!tests.is_empty(), "no test: {row:?}");
        for test in tests {
            assert!(known(test), "there is no test '{test}': {row:?}");
        }
    }
}
