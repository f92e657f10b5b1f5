//! `cvfctl top`: rates of devices and queue pairs, on a terminal as they change, elsewhere as tables.
//!
//! Rates, order and layout are pure (`rates`, `view`, `draw`, `keys`); `live` joins them to the daemon and to the
//! terminal (`screen`), `batch` prints.

mod batch;
mod draw;
mod keys;
mod live;
mod rates;
mod screen;
mod view;

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use view::Sort;

use self::rates::Sample;
use self::view::View;
use super::args::Top;
use super::commands::PAGE;
use super::terminal::Terminal;
use super::{Failure, address};
use crate::bus::{CallError, ManagerClient};
use crate::engine::Word;
use crate::limits::CALL_DEADLINE;

/// Where to look, and how often.
#[derive(Clone, Debug)]
struct Source {
    socket: PathBuf,
    /// Time for each answer.
    limit: Duration,
    interval: Duration,
}

impl Source {
    async fn connect(&self) -> Result<ManagerClient, CallError> {
        ManagerClient::connect_within(&self.socket, self.limit).await
    }
}

/// Runs until told to stop, or as often as wanted; returns the exit code.
pub(super) async fn run(
    terminal: Terminal,
    wanted: Top,
    given: Option<String>,
    timeout: Option<Duration>,
    json: bool,
) -> Result<u8, Failure> {
    let source = Source {
        socket: address::socket(given).map_err(Failure::usage)?,
        limit: timeout.unwrap_or(CALL_DEADLINE),
        interval: wanted.interval,
    };
    let view = View::new(
        Sort::from_word(&wanted.sort).unwrap_or_default(),
        wanted.filter,
        wanted.pairs,
    );
    // Before the screen changes: without a daemon, the reason is all there is to see.
    let client = source.connect().await?;
    let count = if wanted.once { Some(1) } else { wanted.batch };
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let terminals = stdin().is_terminal() && stdout().is_terminal() && !dumb;
    if terminals && count.is_none() && !json {
        live::run(terminal, &source, view).await
    } else {
        batch::run(terminal, &source, client, &view, count, json).await
    }
}

/// All counters, as they are now.
async fn look(client: &ManagerClient, pairs: bool) -> Result<Vec<Sample>, CallError> {
    let mut samples = Vec::new();
    let mut after = String::new();
    loop {
        let (page, next) = client.list_stats(&after, PAGE, pairs).await?;
        let at = Instant::now();
        for stats in page {
            let stats = crate::bus::typed(stats)?;
            samples.push(Sample { at, stats });
        }
        if next.is_empty() {
            return Ok(samples);
        }
        after = next;
    }
}
