//! Tables, or JSON, one after the other.

use std::io::{self, Write, stdout};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep_until};

use super::super::table::{Cell, KEEP, number_text, ranked, text};
use super::super::terminal::Terminal;
use super::super::{DONE, Failure, REFUSED};
use super::draw::human;
use super::rates::{DeviceRates, Meter, Rates};
use super::view::{Row, View};
use super::{Source, look};
use crate::bus::ManagerClient;

/// Prints `count` tables, or one every interval until it is ended.
pub(super) async fn run(
    terminal: Terminal,
    source: &Source,
    client: ManagerClient,
    view: &View,
    count: Option<u64>,
    json: bool,
) -> Result<u8, Failure> {
    let mut meter = Meter::default();
    meter.take(&look(&client, view.pairs).await?);
    let mut next = Instant::now();
    let mut left = count;
    while left != Some(0) {
        next += source.interval;
        sleep_until(next).await;
        let devices = meter.take(&look(&client, view.pairs).await?);
        let rows = view.rows(&devices);
        let mut out = if json {
            format!("{}\n", object(source.interval, &rows))
        } else {
            table(terminal, view, &devices, &rows)
        };
        left = left.map(|left| left - 1);
        if !json && left != Some(0) {
            out.push('\n');
        }
        match put(&out) {
            Ok(()) => {}
            // Whoever read has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(DONE),
            Err(error) => {
                return Err(Failure {
                    code: REFUSED,
                    kind: "failed".to_owned(),
                    message: format!("cannot write the answer: {error}"),
                });
            }
        }
    }
    Ok(DONE)
}

fn put(out: &str) -> io::Result<()> {
    let mut to = stdout().lock();
    to.write_all(out.as_bytes())?;
    to.flush()
}

/// One look as an object. A device without rates yet has none.
fn object(interval: Duration, rows: &[Row<'_>]) -> Json {
    let row = |row: &Row<'_>| {
        let mut object = json!({ "name": row.name });
        if let Some(pair) = row.pair {
            object["pair"] = json!(pair);
        }
        if let Some(Rates { rx, tx }) = row.rates {
            object["rx"] = json!(rx);
            object["tx"] = json!(tx);
        }
        object
    };
    let rows: Vec<Json> = rows.iter().map(row).collect();
    json!({ "interval": interval.as_secs_f64(), "rows": rows })
}

fn table(terminal: Terminal, view: &View, devices: &[DeviceRates], rows: &[Row<'_>]) -> String {
    if devices.is_empty() {
        return "no devices; make one with: cvfctl create NAME\n".to_owned();
    }
    let mut heading = vec!["NAME"];
    let mut keep = vec![KEEP];
    if view.pairs {
        heading.push("PAIR");
        keep.push(KEEP);
    }
    heading.extend(super::draw::COLUMNS.iter().map(|column| column.0));
    keep.extend(super::draw::COLUMNS.iter().map(|column| column.1));
    let row = |row: &Row<'_>| {
        let mut cells: Vec<Cell> = vec![text(row.name)];
        cells.extend(row.pair.map(|pair| number_text(pair.to_string())));
        cells.extend(super::draw::COLUMNS.iter().map(|column| {
            let rate = row.rates.as_ref().map(|rates| human((column.2)(rates)));
            number_text(rate.unwrap_or_else(|| "-".to_owned()))
        }));
        cells
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    ranked(terminal, &heading, &keep, &rows)
}
