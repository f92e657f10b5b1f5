//! `mdevd`: see [`mdevd::daemon`].

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mdevd::config::{Args, Config};
use mdevd::profiles::Profiles;
use mdevd::{daemon, limits, logs, service};

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
    if args.check {
        check_profiles(&config)?;
        return Ok(write!(io::stdout(), "{config}")?);
    }
    let logs = logs::start(config.log_format, &config.log)?;
    // Before there is any other thread: all of them have what this one has.
    match service::shorten_timeslice(limits::TIMESLICE) {
        Ok(shorter) => tracing::debug!(shorter, "time slices of threads"),
        Err(why) => tracing::info!(
            "threads keep the time slices of the system, so that guests wait longer on a busy machine: \
             sched_getattr(2) or sched_setattr(2): {why}"
        ),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("mdevd")
        .max_blocking_threads(limits::BLOCKING_THREADS)
        .build()?;
    let outcome = runtime.block_on(daemon::run(config, args.clone(), logs));
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
    default.map_err(|why| daemon::DaemonError::DefaultProfile {
        name: name.to_owned(),
        why,
    })?;
    Ok(())
}
