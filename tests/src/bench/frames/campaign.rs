//! Contenders in turns, and the figures that come of them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::bench::cpu;
use crate::bench::family::{Outcome, Run};
use crate::bench::peers::{self, Contender, Peer};
use crate::bench::row::{Row, Side, Spec};
use crate::ui;

/// A row that compares two contenders by one figure.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The row.
    pub spec: Spec,
    /// Which figure it is about.
    pub key: String,
    /// Whom it is about.
    pub ours: Peer,
    /// Whom that is compared with.
    pub peer: Option<Peer>,
}

/// Of so many rounds in which the machine was ours alone, a figure is made without those in which it never was.
const ENOUGH: usize = 3;

/// One round's figure.
#[derive(Clone, Copy, Debug)]
struct Round {
    figure: f64,
    disturbed: bool,
}

/// Figures by contender and name, one for every round.
#[derive(Clone, Debug, Default)]
pub struct Figures(BTreeMap<(Peer, String), Vec<Round>>);

impl Figures {
    /// Adds the figure of a round.
    pub fn add(&mut self, who: Peer, key: impl Into<String>, figure: f64) {
        self.add_watched(who, key, figure, false);
    }

    /// The same of a round in which the machine may never have been ours alone (see [`crate::bench::quiet`]).
    pub fn add_watched(&mut self, who: Peer, key: impl Into<String>, figure: f64, disturbed: bool) {
        let rounds = self.0.entry((who, key.into())).or_default();
        rounds.push(Round { figure, disturbed });
    }

    fn rounds(&self, who: Peer, key: &str) -> &[Round] {
        self.0
            .get(&(who, key.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// All rounds of a figure together.
    pub fn sum(&self, who: Peer, key: &str) -> f64 {
        self.rounds(who, key).iter().map(|round| round.figure).sum()
    }

    /// Rounds that were disturbed.
    pub fn disturbed(&self, who: Peer, key: &str) -> usize {
        let rounds = self.rounds(who, key).iter();
        rounds.filter(|round| round.disturbed).count()
    }

    /// The rounds of a figure that count, summed up: all, or those that were not disturbed, where they are enough.
    pub fn side(&self, who: Peer, key: &str) -> Option<Side> {
        let rounds = self.rounds(who, key);
        let quiet = rounds.len() - self.disturbed(who, key) >= ENOUGH;
        let counts = rounds.iter().filter(|round| !(quiet && round.disturbed));
        Side::new(who.name(), counts.map(|round| round.figure).collect())
    }

    /// A row out of its figures; none if they are missing.
    pub fn row(&self, row: &Compared) -> Option<Row> {
        let peer = row.peer.and_then(|peer| self.side(peer, &row.key));
        let ours = self.side(row.ours, &row.key)?;
        Some(Row::new(row.spec.clone(), ours, peer))
    }
}

/// The rows of `all` that are wanted.
pub fn chosen(all: Vec<Compared>, wanted: &[Spec]) -> Vec<Compared> {
    let is_wanted = |row: &Compared| wanted.contains(&row.spec);
    all.into_iter().filter(is_wanted).collect()
}

/// Lets everybody whom `rows` name take turns. `turn` measures one contender once.
///
/// # Errors
/// Fails when a contender cannot be had, or a turn fails.
pub fn run(
    run: &Run,
    what: &str,
    rows: &[Compared],
    mut turn: impl FnMut(&dyn Contender, &mut Figures) -> Result<()>,
) -> Result<(Figures, Outcome)> {
    let named = rows.iter().flat_map(|row| [Some(row.ours), row.peer]);
    let mut ids: Vec<Peer> = named.flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    let contenders = ids.into_iter().map(|id| peers::make(id, run));
    let contenders = contenders.collect::<Result<Vec<_>>>()?;
    let _pinned = cpu::pin_this_thread(run.cores.driver)?;
    let _preferred = cpu::prefer_this_thread();
    let mut figures = Figures::default();
    run.turns(&contenders, |contender, round| {
        let (name, of) = (contender.name(), run.repetitions);
        let step = ui::Step::begin(format!("{what}, {} of {of}: {name}", round + 1));
        turn(contender.as_ref(), &mut figures).with_context(|| format!("{what} of {name}"))?;
        step.done();
        Ok(())
    })?;
    let took_part = contenders.iter();
    let took_part = took_part.map(|c| (c.name().to_owned(), c.describe()));
    let outcome = Outcome {
        took_part: took_part.collect(),
        ..Outcome::default()
    };
    Ok((figures, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbed_rounds_count_where_there_are_too_few_others() {
        let median = |rounds: &[(f64, bool)]| {
            let mut figures = Figures::default();
            for (figure, disturbed) in rounds {
                figures.add_watched(Peer::Ovs, "rate", *figure, *disturbed);
            }
            let side = figures.side(Peer::Ovs, "rate").expect("rounds");
            (side.samples.len(), side.spread.median)
        };
        let (bad, good) = ((1.0, true), (9.0, false));
        assert_eq!(median(&[bad, good, bad, good, good]), (3, 9.0));
        assert_eq!(median(&[bad, good, bad, bad, good]), (5, 1.0));
        assert_eq!(median(&[good, good]), (2, 9.0));
        assert!(Figures::default().side(Peer::Ovs, "rate").is_none());
    }
}
