//! `mdevd`: see [`mdevd::daemon`].

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use mdevd::config::{Args, Config};
use mdevd::{daemon, limits};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = Args::parse();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mdevd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> anyhow::Result<()> {
    let config = Config::load(args)?;
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| anyhow::anyhow!("log level '{}' cannot be: {error}", config.log))?;
    if args.check {
        return Ok(write!(io::stdout(), "{config}")?);
    }
    let colour = io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        // Else a log that cannot be written is complained about where it cannot be written either,
        // which panics.
        .log_internal_errors(false)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("mdevd")
        .max_blocking_threads(limits::BLOCKING_THREADS)
        .build()?;
    let outcome = runtime.block_on(daemon::run(config));
    // What still blocks has had its deadlines; the process ends with or without it.
    runtime.shutdown_timeout(limits::QUIESCE_DEADLINE);
    Ok(outcome?)
}
