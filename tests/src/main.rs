//! `cargo lab`: tries the project for real.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = lab::verbs::Cli::parse();
    if let Err(error) = lab::cleanup::install() {
        lab::ui::say(&format!("lab: {error}"));
        return ExitCode::FAILURE;
    }
    lab::cleanup::finish(lab::verbs::run(&cli))
}
