//! `docs/profiles.md` says what there is, and there is what it says.

use std::collections::BTreeSet;
use std::path::Path;

use libcvf::control::{DeviceFacts, MacAddr};
use policies::profile::keys::{KEYS, Values};
use policies::{Profile, explain, request, rule, shipped};

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/profiles.md");
    std::fs::read_to_string(path).expect("docs/profiles.md")
}

fn facts() -> DeviceFacts {
    DeviceFacts {
        assigned_mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        queue_pairs: 4,
        access_vlan: None,
        joined_vlans: 0,
    }
}

/// The part of a document below a heading, to the next of its rank or higher.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{heading}")).expect(heading);
    let rank = heading.split(' ').next().unwrap_or_default();
    let ends = |part: &&str| part.len() <= rank.len() && part.starts_with('#');
    let end = rest.match_indices("\n#").map(|(at, _)| at + 1).find(|at| {
        let mark = rest[*at..].split(' ').next();
        mark.is_some_and(|mark| ends(&mark))
    });
    &rest[..end.unwrap_or(rest.len())]
}

/// Rows of tables that begin with something in backticks, cell by cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn every_key_is_documented_with_its_values_and_default() {
    let document = document();
    let default = toml::Table::try_from(Profile::default()).expect("a table");
    let mut documented = Vec::new();
    let parts = ["shape", "control", "spoof", "rates", "reactions"];
    let headings = parts.map(|part| (format!("### `[{part}]`"), format!("{part}.")));
    let outside = ("### Outside of sections".to_owned(), String::new());
    for (heading, prefix) in [outside].into_iter().chain(headings) {
        for row in rows(section(&document, &heading)) {
            let [key, meaning, values, standard] = row[..] else {
                panic!("four cells: {row:?}");
            };
            let path = format!("{prefix}{}", code(key));
            let known = KEYS.iter().find(|key| key.path == path);
            let known = known.unwrap_or_else(|| panic!("there is no key {path}"));
            assert!(!meaning.is_empty(), "{path}");
            let value = match prefix.is_empty() {
                true => &default[code(key)],
                false => &default[prefix.trim_end_matches('.')][code(key)],
            };
            assert_eq!(code(standard), value.to_string(), "default of {path}");
            assert!(says(values, &known.values), "values of {path}: {values}");
            documented.push(path);
        }
    }
    assert_eq!(
        documented,
        KEYS.iter().map(|key| key.path).collect::<Vec<_>>()
    );
}

/// True when a cell lists all words, or the bounds.
fn says(cell: &str, values: &Values) -> bool {
    let words = |words: &[&str]| {
        let listed: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        listed == words
    };
    match values {
        Values::Switch => words(&["false", "true"]),
        Values::Word(known) | Values::Words(known) => words(known),
        Values::Number(range) => cell == format!("{} to {}", range.start(), range.end()),
        Values::Rate(most) => cell == format!("1 to {most}, `unlimited`"),
        Values::Text(most) => cell.contains(&format!("at most {most} characters")),
        Values::List(most, example) => {
            let shown = cell.split('`').nth(1).unwrap_or_default();
            cell.contains(&format!("at most {most}")) && example.contains(shown)
        }
    }
}

#[test]
fn every_rule_is_documented_with_its_key() {
    let document = document();
    let table = rows(section(&document, "## Rules"));
    let names: Vec<_> = table.iter().map(|row| code(row[0])).collect();
    let known: Vec<_> = rule::BUILT_IN.into_iter().chain(rule::OF_PROFILE).collect();
    assert_eq!(names, known);
    let mut keys = BTreeSet::new();
    for form in request::FORMS {
        let asked = request::parse(form.example).expect(form.example);
        let told = explain(&Profile::default(), &facts(), &asked);
        keys.extend(told.steps.into_iter().map(|step| (step.rule, step.key)));
    }
    for row in &table {
        let key = (row.len() == 3).then(|| code(row[1]));
        assert!(keys.contains(&(code(row[0]), key)), "{row:?}");
    }
}

#[test]
fn every_request_is_documented() {
    let document = document();
    let table: Vec<_> = rows(section(&document, "## Asking why"));
    let table: Vec<_> = table.iter().map(|row| (code(row[0]), row[1])).collect();
    let known = request::FORMS.iter().map(|form| {
        let typed = format!("{}={}", form.name, form.value.replace('|', "\\|"));
        (typed, form.meaning)
    });
    let known: Vec<_> = known.collect();
    let known: Vec<_> = known
        .iter()
        .map(|(typed, meaning)| (typed.as_str(), *meaning))
        .collect();
    assert_eq!(table, known);
}

#[test]
fn every_shipped_profile_is_named() {
    let document = document();
    let table = rows(document.split("\n## ").next().unwrap_or_default());
    let names: Vec<_> = table.iter().map(|row| code(row[0])).collect();
    let known = shipped();
    let known: Vec<_> = known.iter().map(|one| one.profile.name.as_str()).collect();
    assert_eq!(names, known);
}

#[test]
fn what_is_shown_is_what_is_printed() {
    let document = document();
    let broken = "# An edge.\n[shape]\nmax-mut = 9000\n";
    let error = Profile::parse("edge", broken).expect_err("a slip");
    let shown = format!("```\n{}\n```", error.render("edge.toml"));
    assert!(document.contains(&shown), "the document shows:\n{shown}");
    let all = shipped();
    let tenant = all
        .iter()
        .find(|one| one.profile.name == "tenant")
        .expect("tenant");
    let asked = request::parse("mac=02:00:00:00:00:01").expect("a request");
    let told = explain(&tenant.profile, &facts(), &asked);
    let shown = format!("```\n{told}```");
    assert!(document.contains(&shown), "the document shows:\n{shown}");
}
