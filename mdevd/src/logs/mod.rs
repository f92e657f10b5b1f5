//! The daemon's log: in which form it is written, and what of it.
//!
//! Every line about a device carries `device`, its name, and `uuid`, its identity, as fields.

mod format;

use std::io::{self, IsTerminal};

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub use format::LogFormat;

/// Levels as syslog(3) has them; the crate's own choice shows what is ordinary as notices.
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// What the journal calls the daemon.
const IDENTIFIER: &str = "mdevd";

/// Target of what the library says that speaks D-Bus.
const BUS_LIBRARY: &str = "zbus";

type Inner = Box<dyn Layer<Registry> + Send + Sync>;

/// The log cannot be written as asked for.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level cannot be.
    #[error("log level '{level}' cannot be: {why}")]
    Level {
        /// What was asked for.
        level: String,
        /// What could be.
        why: String,
    },
    /// There is no journal.
    #[error(
        "cannot log to the journal: {0}; is systemd-journald running? Use --log-format text or json without it"
    )]
    Journal(io::Error),
    /// The log is set up already, or gone.
    #[error("cannot change what is logged: {0}")]
    Fixed(String),
}

/// Changes what is logged while the daemon runs.
#[derive(Clone, Debug)]
pub struct LogControl(Option<reload::Handle<EnvFilter, Registry>>);

impl LogControl {
    /// Controls nothing: where somebody else has set the log up.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Logs as `level` says from now on.
    ///
    /// # Errors
    /// [`LogError`]; then it logs as before.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        let filter = filter(level)?;
        let Some(handle) = &self.0 else {
            return Ok(());
        };
        handle
            .reload(filter)
            .map_err(|error| LogError::Fixed(error.to_string()))
    }
}

/// Sets the log of this process up. Once in a process.
///
/// # Errors
/// [`LogError`].
pub fn start(format: LogFormat, level: &str) -> Result<LogControl, LogError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let written: Inner = match format.resolved() {
        LogFormat::Journal => Box::new(
            tracing_journald::layer()
                .map_err(LogError::Journal)?
                .with_field_prefix(None)
                .with_priority_mappings(PRIORITIES)
                .with_syslog_identifier(IDENTIFIER.to_owned())
                .with_filter(filter),
        ),
        LogFormat::Json => Box::new(
            plain()
                .with_ansi(false)
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_filter(filter),
        ),
        LogFormat::Text | LogFormat::Auto => Box::new(
            plain()
                .with_ansi(io::stderr().is_terminal())
                .with_filter(filter),
        ),
    };
    tracing_subscriber::registry()
        .with(written)
        .try_init()
        .map_err(|error| LogError::Fixed(error.to_string()))?;
    Ok(LogControl(Some(handle)))
}

fn plain()
-> fmt::Layer<Registry, fmt::format::DefaultFields, fmt::format::Format, fn() -> io::Stderr> {
    // Else a log that cannot be written is complained about where it cannot be written either, which
    // panics.
    fmt::layer()
        .with_writer(io::stderr as fn() -> io::Stderr)
        .log_internal_errors(false)
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let refuse = |why: String| LogError::Level {
        level: level.to_owned(),
        why,
    };
    check(level).map_err(refuse)?;
    EnvFilter::try_new(quieted(level)).map_err(|error| refuse(error.to_string()))
}

/// `level` without what the bus library says of itself below warnings, unless `level` says something of it: its spans
/// would stand, with whole messages in them, in every line that is logged while it calls us.
fn quieted(level: &str) -> String {
    let mut parts = level.split(',').map(str::trim);
    let mut general = parts
        .clone()
        .filter_map(|part| part.parse::<LevelFilter>().ok());
    // Else it is quieter than that already.
    let loud = general
        .next_back()
        .is_some_and(|level| level > LevelFilter::WARN);
    if loud && !parts.any(|part| part.starts_with(BUS_LIBRARY)) {
        format!("{level},{BUS_LIBRARY}=warn")
    } else {
        level.to_owned()
    }
}

/// Whether `level` says what to log. A word alone is a level: taken for the name of a target, a slip would
/// silence all but that.
///
/// # Errors
/// What could be.
pub fn check(level: &str) -> Result<(), String> {
    let alone = |part: &&str| !part.is_empty() && !part.contains(['=', '[']);
    match level
        .split(',')
        .map(str::trim)
        .filter(alone)
        .find(|part| part.parse::<LevelFilter>().is_err())
    {
        None => EnvFilter::try_new(level)
            .map(drop)
            .map_err(|error| error.to_string()),
        Some(part) => Err(format!(
            "'{part}' is none of off, error, warn, info, debug, trace; for one target write target=level"
        )),
    }
}

#[cfg(test)]
mod tests;
