//! `mdevd`: see [`mdevd::daemon`].

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use mdevd::config::{Args, Config};
use mdevd::profiles::Profiles;
use mdevd::{daemon, limits};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
    check_log(&config.log)?;
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| anyhow::anyhow!("log level '{}' cannot be: {error}", config.log))?;
    if args.check {
        check_profiles(&config)?;
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

/// What a start would log and go on without is wrong where somebody asks.
fn check_profiles(config: &Config) -> anyhow::Result<()> {
    let profiles = Profiles::new(config.profile_dir.as_deref(), &config.default_profile);
    let faults: Vec<_> = profiles
        .all()
        .into_values()
        .filter_map(Result::err)
        .collect();
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    let name = profiles.default_name();
    let default = profiles.get(name);
    default.map_err(|why| anyhow::anyhow!("the default profile '{name}' cannot be: {why}"))?;
    Ok(())
}

/// A word alone is a level: taken for the name of a target, a slip would silence all but that.
fn check_log(log: &str) -> anyhow::Result<()> {
    let alone = |part: &&str| !part.is_empty() && !part.contains(['=', '[']);
    match log
        .split(',')
        .map(str::trim)
        .filter(alone)
        .find(|part| part.parse::<LevelFilter>().is_err())
    {
        None => Ok(()),
        Some(part) => anyhow::bail!(
            "log level '{log}' cannot be: '{part}' is none of off, error, warn, info, debug, trace; \
             for one target write target=level"
        ),
    }
}
