//! The screen as lines of text. Pure.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::super::table::{cut, printable};
use super::super::terminal::{Terminal, Tone};
use super::rates::{Flow, Rates};
use super::view::{Row, View};
use crate::engine::Word;

/// What the head tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status<'a> {
    /// Devices there are.
    pub(super) devices: usize,
    /// All of them together.
    pub(super) total: Rates,
    pub(super) interval: Duration,
    /// Why there is nothing newer.
    pub(super) error: Option<&'a str>,
}

/// Lines above the first device.
const HEAD: usize = 3;
const GAP: usize = 2;
/// The name has at least this many columns.
const NAME: usize = 8;
const PAIR: usize = 4;

/// A column of rates, and when it is left out: the highest first.
pub(super) type Column = (&'static str, u8, fn(&Rates) -> f64);

pub(super) const COLUMNS: [Column; 6] = [
    ("RX FRAME/S", 3, |rates| rates.rx.frames),
    ("RX BIT/S", 0, |rates| rates.rx.bytes * 8.0),
    ("RX DROP/S", 1, |rates| rates.rx.drops),
    ("TX FRAME/S", 4, |rates| rates.tx.frames),
    ("TX BIT/S", 0, |rates| rates.tx.bytes * 8.0),
    ("TX DROP/S", 2, |rates| rates.tx.drops),
];

const HELP: [&str; 12] = [
    "s, right, left   sort by rx, tx, drops, name",
    "r                the other way round",
    "p                a line for each queue pair, or for each device",
    "/                show names that contain a text; Enter keeps it, Escape gives it up",
    "up, down         a line; also page up, page down, home, end",
    "?                this help; any key leaves it",
    "control-L        draw everything anew",
    "control-Z        stop; 'fg' goes on",
    "q, Escape        end",
    "",
    "Rates are per second, from the guest's point of view: rx is to the guest. A device that is new, or",
    "was made anew, has none ('-') until the next look.",
];

/// Lines of devices that fit.
pub(super) fn page(height: usize) -> usize {
    height.saturating_sub(HEAD)
}

/// At most `height` lines, none longer than `width`.
pub(super) fn draw(
    terminal: Terminal,
    view: &View,
    rows: &[Row<'_>],
    status: &Status<'_>,
    (width, height): (usize, usize),
) -> Vec<String> {
    let summary = cut(&summary(status), width);
    let mut lines = vec![
        terminal.paint(Tone::Head, &summary),
        prompt(terminal, view, status, width),
    ];
    if view.help {
        lines.push(String::new());
        lines.extend(HELP.iter().map(|line| cut(line, width)));
    } else {
        let columns = fitting(width, view.pairs);
        let fixed: usize = columns.iter().map(|(name, ..)| name.len() + GAP).sum();
        let pair = if view.pairs { PAIR + GAP } else { 0 };
        let name = width.saturating_sub(fixed + pair).max(NAME);
        let heading = heading(name, view.pairs, &columns);
        lines.push(terminal.paint(Tone::Head, &cut(&heading, width)));
        let above = view.above.min(rows.len().saturating_sub(page(height)));
        let shown = rows.iter().skip(above).take(page(height));
        lines.extend(shown.map(|row| line(row, name, view.pairs, &columns, width)));
    }
    lines.truncate(height);
    lines
}

fn summary(status: &Status<'_>) -> String {
    let Rates { rx, tx } = &status.total;
    let way = |name: &str, flow: &Flow| {
        format!(
            "{name} {} frame/s {} bit/s",
            human(flow.frames),
            human(flow.bytes * 8.0)
        )
    };
    let (devices, drops) = (status.devices, human(rx.drops + tx.drops));
    let every = status.interval.as_secs_f32();
    let noun = if devices == 1 { "device" } else { "devices" };
    format!(
        "{devices} {noun}   {}   {}   {drops} drop/s   every {every} s",
        way("rx", rx),
        way("tx", tx)
    )
}

fn prompt(terminal: Terminal, view: &View, status: &Status<'_>, width: usize) -> String {
    let filter = printable(&view.filter);
    if view.typing {
        return cut(&format!("names with: {filter}_"), width);
    }
    if let Some(error) = status.error {
        return terminal.paint(Tone::Bad, &cut(&printable(error), width));
    }
    let order = if view.reversed { ", reversed" } else { "" };
    let mut text = format!("by {}{order}", view.sort.word());
    if !filter.is_empty() {
        text += &format!(", names with '{filter}'");
    }
    cut(
        &format!("{text}   (s sort, p pairs, / filter, ? help, q end)"),
        width,
    )
}

/// The columns that there is room for.
fn fitting(width: usize, pairs: bool) -> Vec<Column> {
    let mut columns = COLUMNS.to_vec();
    let pair = if pairs { PAIR + GAP } else { 0 };
    let total = |columns: &[Column]| {
        let rates: usize = columns.iter().map(|(name, ..)| name.len() + GAP).sum();
        NAME + pair + rates
    };
    while total(&columns) > width {
        match columns
            .iter()
            .enumerate()
            .max_by_key(|(_, column)| column.1)
        {
            Some((n, column)) if column.1 > 0 => {
                columns.remove(n);
            }
            _ => break,
        }
    }
    columns
}

fn heading(name: usize, pairs: bool, columns: &[Column]) -> String {
    let mut text = format!("{:<name$}", "NAME");
    if pairs {
        text += &format!("{:>1$}", "PAIR", PAIR + GAP);
    }
    for (column, ..) in columns {
        text += &format!("{column:>0$}", column.len() + GAP);
    }
    text
}

fn line(row: &Row<'_>, name: usize, pairs: bool, columns: &[Column], width: usize) -> String {
    let shown = cut(&printable(row.name), name);
    let mut text = format!("{shown}{}", " ".repeat(name - shown.width()));
    if pairs {
        let pair = row.pair.map_or_else(String::new, |pair| pair.to_string());
        text += &format!("{pair:>0$}", PAIR + GAP);
    }
    for (column, _, rate) in columns {
        let rate = row
            .rates
            .as_ref()
            .map_or_else(|| "-".to_owned(), |rates| human(rate(rates)));
        text += &format!("{rate:>0$}", column.len() + GAP);
    }
    cut(&text, width)
}

/// A number in at most five characters: `0`, `0.50`, `12.3`, `123`, `1.23k`, `12.3M`.
pub(super) fn human(number: f64) -> String {
    let mut scaled = number;
    let mut unit = "";
    for next in ["k", "M", "G", "T", "P"] {
        // What would be rounded to 1000 belongs to the next unit.
        if scaled < 999.5 {
            break;
        }
        scaled /= 1000.0;
        unit = next;
    }
    if scaled == 0.0 {
        return "0".to_owned();
    }
    let places = match scaled {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{scaled:.places$}{unit}");
    match (unit, text.strip_suffix(".00")) {
        ("", Some(whole)) => whole.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests;
