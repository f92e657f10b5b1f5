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
