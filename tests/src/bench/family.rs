//! Families of rows: what is measured together, by one method.
//!
//! A family owns the names of its rows and how they are measured; it never judges them. Bars are
//! data beside the names, and [`super::report`] applies them.

use anyhow::Result;

use super::cpu::Cores;
use super::frames;
use super::plot::Plot;
use super::row::{Row, Spec};

/// A way of measuring, with the rows that come of it.
pub trait Family {
    /// What every name of its rows begins with.
    fn prefix(&self) -> &'static str;

    /// Its rows, in the order in which they are shown, with their bars.
    fn rows(&self) -> Vec<Spec>;

    /// Measures the rows of `wanted`, which are some of its own.
    ///
    /// # Errors
    /// Fails when something cannot be measured here, with what to do about it. Rows that were
    /// measured before are lost.
    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome>;
}

/// All families, in the order in which they are measured.
pub fn all() -> Vec<Box<dyn Family>> {
    vec![
        Box::new(frames::peak::Peak),
        Box::new(frames::large::Large),
        Box::new(frames::latency::Latency),
        Box::new(frames::paced::Paced),
        Box::new(frames::events::Events),
        Box::new(frames::callgrind::Callgrind),
        Box::new(super::registers::Registers),
        Box::new(super::scale::rates::Rates),
        Box::new(super::scale::idle::Idle),
        Box::new(super::guests::Guests),
    ]
}

/// What the person asked for, and where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// How often every contender takes its turn.
    pub repetitions: u32,
    /// Which core does what.
    pub cores: Cores,
    /// Whether huge pages are set aside, for guests and for DPDK.
    pub huge: bool,
}

impl Run {
    /// Lets contenders take turns, as often as was asked for. Everybody comes first once in a
    /// while. `each` gets the contender and the number of the round.
    ///
    /// # Errors
    /// Fails when a turn does.
    pub fn turns<T>(
        &self,
        contenders: &[T],
        mut each: impl FnMut(&T, u32) -> Result<()>,
    ) -> Result<()> {
        for round in 0..self.repetitions {
            let first = round as usize % contenders.len().max(1);
            let (before, from) = contenders.split_at(first);
            for contender in from.iter().chain(before) {
                each(contender, round)?;
            }
        }
        Ok(())
    }
}

/// What a family has measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its rows.
    pub rows: Vec<Row>,
    /// Pictures of them, for the archive.
    pub plots: Vec<Plot>,
    /// Who took part, and what exactly that is: version and command line.
    pub took_part: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_one_name_and_belongs_to_its_family() {
        let mut names = BTreeSet::new();
        for family in all() {
            for spec in family.rows() {
                let owned = spec.name.strip_prefix(family.prefix());
                assert!(owned.is_some_and(|rest| rest.starts_with('-')), "{spec:?}");
                assert!(names.insert(spec.name.clone()), "{spec:?} twice");
            }
        }
    }

    #[test]
    fn everybody_comes_first_once_in_a_while() {
        let cores = Cores {
            driver: 0,
            forwarder: 1,
        };
        let run = Run {
            repetitions: 3,
            cores,
            huge: false,
        };
        let mut order = Vec::new();
        run.turns(&["a", "b"], |who, round| {
            order.push((*who, round));
            Ok(())
        })
        .unwrap();
        let expected = [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)];
        assert_eq!(order, expected);
    }
}
