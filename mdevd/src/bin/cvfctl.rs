//! `cvfctl`: see [`mdevd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(mdevd::cli::main(std::env::args_os()))
}
