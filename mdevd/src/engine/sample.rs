//! Devices as a monitoring system wants them: all that counts, many at a time.

use std::ops::Bound;

use super::catalog::Catalog;
use super::entry::{Entry, defined};
use super::view::{DeviceSummary, Health, State, Stats};
use crate::limits::MAX_PAGE;

/// One device: its line of the list without the socket, how it fares, and its counters. The latter two are absent where
/// nothing is composed.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The line of the list.
    pub summary: DeviceSummary,
    /// The group that it shares a rate with.
    pub group: Option<String>,
    /// How it fares.
    pub health: Option<Health>,
    /// Its counters.
    pub stats: Option<Stats>,
}

impl Catalog {
    /// See [`super::Engine::samples`].
    pub(super) fn sampled(&self, after: &str, limit: usize) -> Vec<Sample> {
        let after = match after {
            "" => Bound::Unbounded,
            after => Bound::Excluded(after),
        };
        let entries: Vec<_> = {
            let names = self.names.lock();
            let range = names.entries.range::<str, _>((after, Bound::Unbounded));
            range
                .take(limit.clamp(1, MAX_PAGE))
                .map(|(name, entry)| (name.clone(), entry.clone()))
                .collect()
        };
        entries
            .iter()
            .map(|(name, entry)| entry.sample(name))
            .collect()
    }
}

impl Entry {
    fn sample(&self, name: &str) -> Sample {
        let definition = self.definition();
        let group = definition.and_then(|definition| definition.share.group.clone());
        let Some(live) = self.live() else {
            return Sample {
                group,
                summary: self.summary(name),
                health: None,
                stats: None,
            };
        };
        let health = live.device.health();
        let mut summary = defined(&live.definition);
        summary.state = match (self, &health.client) {
            (Self::Changing(_), _) => State::Changing,
            (_, Some(_)) => State::Connected,
            (_, None) => State::Ready,
        };
        summary.driver.clone_from(&health.driver);
        Sample {
            summary,
            group,
            health: Some(health),
            stats: Some(live.device.stats()),
        }
    }
}
