//! The result of a run, as a table and as one object.

use serde_json::{Value, json};

use super::machine::Machine;
use super::rows::{ContenderId, Row};
use super::stats::{Sample, Spread};

/// One row with its figures.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// What was measured.
    pub row: Row,
    /// Ours and the peer's, in millions of frames a second.
    pub ours: Spread,
    /// The peer's.
    pub peer: Spread,
    /// Median of the ratios of each round.
    pub ratio: Spread,
    /// Single figures of both, by round.
    pub rounds: Vec<(f64, f64)>,
    /// Frames that we lost.
    pub lost: u64,
    /// Frames that the peer lost.
    pub peer_lost: u64,
    /// Whether the ratio reaches the bar and we lost nothing.
    pub ok: bool,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// All rows.
    pub rows: Vec<RowResult>,
}

impl Report {
    /// Puts samples together to rows.
    pub fn new(rows: &[&Row], samples: &[Sample], machine: Machine) -> Self {
        let rows = rows
            .iter()
            .filter_map(|row| RowResult::new(row, samples))
            .collect();
        Report { machine, rows }
    }

    /// Whether every row reaches its bar.
    pub fn ok(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.ok)
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:<30} {:>22} {:>22} {:>7} {:>5}\n",
            "row", "Mpps (least..greatest)", "peer", "ratio", "bar"
        );
        for result in &self.rows {
            let cell = |s: &Spread| format!("{:.2} ({:.2}..{:.2})", s.median, s.min, s.max);
            out += &format!(
                "{:<30} {:>22} {:>22} {:>7.2} {:>5.2} {}{}\n",
                result.row.name,
                cell(&result.ours),
                cell(&result.peer),
                result.ratio.median,
                result.row.bar,
                if result.ok { "ok" } else { "BELOW THE BAR" },
                if result.lost > 0 {
                    format!(", {} frames lost", result.lost)
                } else {
                    String::new()
                },
            );
        }
        out
    }

    /// One object for machines.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(RowResult::json).collect();
        json!({
            "ok": self.ok(),
            "unit": "million frames per second",
            "machine": self.machine,
            "rows": rows,
        })
    }
}

impl RowResult {
    fn new(row: &Row, samples: &[Sample]) -> Option<Self> {
        let of = |id: ContenderId| {
            samples
                .iter()
                .filter(move |s| s.contender == id && s.workload == row.workload)
        };
        let rounds: Vec<(f64, f64)> = of(row.ours)
            .filter_map(|ours| {
                let peer = of(row.peer).find(|peer| peer.repetition == ours.repetition)?;
                Some((ours.measured.mpps(), peer.measured.mpps()))
            })
            .collect();
        let ours: Vec<f64> = rounds.iter().map(|round| round.0).collect();
        let peer: Vec<f64> = rounds.iter().map(|round| round.1).collect();
        let ratios: Vec<f64> = rounds.iter().map(|(ours, peer)| ours / peer).collect();
        let lost = of(row.ours).map(|s| s.measured.lost).sum();
        let peer_lost = of(row.peer).map(|s| s.measured.lost).sum();
        let ratio = Spread::of(&ratios)?;
        Some(RowResult {
            row: *row,
            ours: Spread::of(&ours)?,
            peer: Spread::of(&peer)?,
            ratio,
            rounds,
            lost,
            peer_lost,
            ok: ratio.median >= row.bar && lost == 0,
        })
    }

    fn json(&self) -> Value {
        let spread = |s: &Spread| json!({ "median": s.median, "min": s.min, "max": s.max });
        json!({
            "name": self.row.name,
            "ratio": self.ratio.median,
            "bar": self.row.bar,
            "ok": self.ok,
            "workload": self.row.workload,
            "ours": self.row.ours.name(),
            "peer": self.row.peer.name(),
            "values": spread(&self.ours),
            "peer_values": spread(&self.peer),
            "ratio_values": spread(&self.ratio),
            "rounds": self.rounds,
            "lost": self.lost,
            "peer_lost": self.peer_lost,
        })
    }
}
