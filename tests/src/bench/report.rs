//! The result of a run, as a table and as one object.

use serde_json::{Value, json};

use super::machine::Machine;
use super::plot::Plot;
use super::row::{Bar, Row, Side};

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// All rows.
    pub rows: Vec<Row>,
    /// Pictures.
    pub plots: Vec<Plot>,
    /// Families that could not be measured, and why.
    pub failed: Vec<(String, String)>,
}

impl Report {
    /// Whether everything that was asked for has been measured.
    pub fn complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Whether every row is good enough.
    pub fn bars_reached(&self) -> bool {
        self.rows.iter().all(Row::ok)
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut out = table(&self.rows);
        for (family, why) in &self.failed {
            out += &format!("{family}: not measured: {why}\n");
        }
        out
    }

    /// One object for machines. `ok` is the verb's success: everything has been measured, and
    /// where bars are enforced, reached.
    pub fn json(&self, enforce: bool) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let failed = self.failed.iter();
        let failed: Vec<Value> = failed
            .map(|(family, why)| json!({ "family": family, "error": why }))
            .collect();
        json!({
            "ok": self.complete() && (!enforce || self.bars_reached()),
            "bars_reached": self.bars_reached(),
            "failed": failed,
            "machine": self.machine,
            "rows": rows,
        })
    }
}

/// Rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.spec.name.len()).max();
    let width = width.unwrap_or(0).max(4);
    let mut out = format!(
        "{:<width$} {:>26} {:>26} {:>7} {:>7}  unit\n",
        "row", "ours (least..greatest)", "peer", "ratio", "bar"
    );
    for row in rows {
        let peer = row.peer.as_ref().map_or_else(|| "-".into(), cell);
        let bar = match row.spec.bar {
            Some(Bar::AtLeast(bar)) => format!(">={bar}"),
            Some(Bar::AtMost(bar)) => format!("<={bar}"),
            None => "-".into(),
        };
        let ratio = figure(row.ratio);
        out += &format!(
            "{:<width$} {:>26} {:>26} {:>7} {:>7}  {}{}\n",
            row.spec.name,
            cell(&row.ours),
            peer,
            ratio,
            bar,
            row.spec.unit,
            verdict(row)
        );
    }
    out
}

fn cell(side: &Side) -> String {
    let spread = side.spread;
    let (median, min, max) = (
        figure(spread.median),
        figure(spread.min),
        figure(spread.max),
    );
    format!("{median} ({min}..{max})")
}

/// A number with about three digits that count.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

fn verdict(row: &Row) -> String {
    let mut text = String::new();
    if row.spec.bar.is_some() {
        text += if row.ok() { ", ok" } else { ", BELOW THE BAR" };
    }
    if let Some(fault) = &row.fault {
        text += &format!(", {fault}");
    }
    text
}

#[cfg(test)]
mod tests;
