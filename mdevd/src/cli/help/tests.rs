use clap::FromArgMatches;

use super::*;

/// Every command that is shown, by its path, with its help.
fn all(command: &clap::Command, path: &str, into: &mut Vec<(String, String)>) {
    let help = command.clone().render_long_help().to_string();
    into.push((path.to_owned(), help));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        if sub.get_name() != "help" {
            all(sub, format!("{path} {}", sub.get_name()).trim_start(), into);
        }
    }
}

fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut command = command();
    command.build();
    all(&command, "", &mut found);
    found
}

#[test]
fn every_command_has_an_example_in_its_help() {
    let commands = commands();
    assert!(commands.len() > 10);
    for (path, help) in &commands {
        assert!(help.contains("Examples:\n  cvfctl"), "'{path}': {help}");
    }
    for (path, _) in EXAMPLES {
        assert!(
            commands.iter().any(|(known, _)| known == path),
            "there is no command '{path}'"
        );
    }
}

#[test]
fn what_every_command_takes_is_told_last_and_in_one_order() {
    for (path, help) in commands() {
        let options = help.lines().filter_map(|line| {
            let option = line.trim_start().strip_prefix("--")?;
            option.split(' ').next().map(str::to_owned)
        });
        let options: Vec<_> = options.collect();
        let last = match (path.as_str(), options.split_last_chunk::<4>()) {
            // It has a --timeout of its own.
            ("monitor", _) => continue,
            (_, last) => last.expect("options").1,
        };
        assert_eq!(last, &["address", "json", "color", "timeout"], "{path}");
    }
}

#[test]
fn every_example_is_a_command_line_that_can_be() {
    for (path, lines) in EXAMPLES {
        for line in *lines {
            let words = line.split_whitespace();
            let words = words.take_while(|word| !["|", ">"].contains(word));
            let matches = command().try_get_matches_from(words);
            let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
            assert!(args.is_ok(), "'{path}': {line}: {args:?}");
            assert!(line.contains(path), "'{path}': {line}");
        }
    }
}

#[test]
fn the_exit_codes_are_those_of_the_guide() {
    let guide = include_str!("../../../../docs/operators-guide.md");
    let help = command().render_help().to_string();
    for (code, meaning) in exit::MEANINGS {
        assert!(guide.contains(&format!("| {code} | {meaning}")), "{code}");
        assert!(help.contains(meaning), "{help}");
    }
}

/// Kinds that the source of `cvfctl` makes itself.
fn own_kinds(dir: &std::path::Path, into: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).expect("the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            own_kinds(&path, into);
        } else if path.file_stem().is_some_and(|name| name != "tests") {
            let text = std::fs::read_to_string(&path).expect("a file");
            let after = text.split("kind: \"").skip(1);
            into.extend(
                after.filter_map(|rest| Some(rest.split_once("\".to_owned")?.0.to_owned())),
            );
        }
    }
}

#[test]
fn every_kind_of_error_is_in_the_guide() {
    use crate::bus::CallError;
    use crate::engine::ErrorKind;
    let guide = include_str!("../../../../docs/operators-guide.md");
    let (_, table) = guide.split_once("## Errors\n").expect("the table");
    let told: Vec<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .flat_map(|(kinds, _)| kinds.split(", "))
        .collect();
    let mut kinds: std::collections::BTreeSet<_> =
        ErrorKind::ALL.map(|kind| kind.kebab().to_owned()).into();
    let calls = [
        CallError::Refused {
            kind: None,
            message: String::new(),
        },
        CallError::Unreachable {
            path: "/".into(),
            why: String::new(),
        },
        CallError::TimedOut {
            path: "/".into(),
            method: String::new(),
            limit: std::time::Duration::ZERO,
        },
        CallError::Strange(String::new()),
    ];
    kinds.extend(calls.iter().map(|error| exit::of(error).1.to_owned()));
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    own_kinds(&source, &mut kinds);
    assert!(kinds.contains("invalid-profile") && kinds.contains("usage"));
    for kind in &kinds {
        assert!(told.contains(&kind.as_str()), "{kind}: {told:?}");
    }
    for kind in told.iter().filter(|kind| !["kind", "---"].contains(kind)) {
        assert!(kinds.contains(*kind), "nothing says '{kind}'");
    }
}
