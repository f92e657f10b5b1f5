//! Manual pages, from the command lines themselves.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use serde_json::json;

use super::{Answer, Failure, REFUSED, help};

/// Writes the pages of both programs and of every command into `dir`; without one, that of `cvfctl` is the
/// answer.
pub(super) fn write(dir: Option<&Path>) -> Result<Answer, Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        self::page(help::command())
            .render(&mut page)
            .map_err(|error| failed(Path::new("standard output"), &error))?;
        let text = String::from_utf8_lossy(&page).into_owned();
        return Ok(Answer {
            json: json!({ "page": text }),
            text,
        });
    };
    let pages = pages(dir).map_err(|error| failed(dir, &error))?;
    let text = pages.iter().map(|page| format!("{page}\n")).collect();
    Ok(Answer {
        json: json!({ "dir": dir.display().to_string(), "pages": pages }),
        text,
    })
}

fn page(command: clap::Command) -> Man {
    Man::new(command)
        .source(concat!("mdevd ", env!("CARGO_PKG_VERSION")))
        .manual("Composable virtual functions")
}

fn failed(place: &Path, error: &io::Error) -> Failure {
    Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message: format!(
            "cannot write manual pages to {}: {error}; give a directory that can be made or written",
            place.display()
        ),
    }
}

fn pages(dir: &Path) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(dir)?;
    let mut written = Vec::new();
    let daemon = page(crate::config::Args::command()).section("8");
    write_page(&daemon, dir, &mut written)?;
    // Without `help`, which would get a page for each command once more.
    let mut command = help::command().disable_help_subcommand(true);
    command.build();
    below(&command, dir, &mut written)?;
    written.sort();
    Ok(written)
}

fn below(command: &clap::Command, dir: &Path, written: &mut Vec<String>) -> io::Result<()> {
    write_page(&page(command.clone()), dir, written)?;
    let mut shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.try_for_each(|sub| below(sub, dir, written))
}

fn write_page(page: &Man, dir: &Path, written: &mut Vec<String>) -> io::Result<()> {
    page.generate_to(dir)?;
    written.push(page.get_filename());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options_and_an_example() {
        let dir = tempfile::tempdir().expect("a directory");
        let written = pages(&dir.path().join("man")).expect("written");
        for page in [
            "mdevd.8",
            "cvfctl.1",
            "cvfctl-create.1",
            "cvfctl-pf-show.1",
            "cvfctl-top.1",
        ] {
            assert!(
                written.iter().any(|name| name == page),
                "{page}: {written:?}"
            );
        }
        for name in &written {
            let text = std::fs::read_to_string(dir.path().join("man").join(name)).expect("a page");
            assert!(
                text.contains(".TH ") && text.contains(".SH SYNOPSIS"),
                "{name}: {text}"
            );
            assert!(text.contains("Examples:"), "{name}: {text}");
            assert!(text.contains(env!("CARGO_PKG_VERSION")), "{name}: {text}");
        }
        let create =
            std::fs::read_to_string(dir.path().join("man/cvfctl-create.1")).expect("a page");
        assert!(create.contains("queue\\-pairs"), "{create}");
        assert!(!written.iter().any(|name| name.contains("help")));
    }
}
