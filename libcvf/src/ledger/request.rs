//! What is asked for, and why it cannot be had.

use super::inventory::Resource;

/// How many of each resource; also a PF's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Queue pairs.
    pub queue_pairs: u32,
    /// RSS domains.
    pub rss_domains: u32,
    /// Vectors.
    pub vectors: u32,
    /// Doorbell pages.
    pub doorbell_pages: u32,
    /// Filters.
    pub filters: u32,
}

impl Request {
    /// In the order of [`Resource::ALL`].
    pub(super) const fn counts(&self) -> [u32; 5] {
        [
            self.queue_pairs,
            self.rss_domains,
            self.vectors,
            self.doorbell_pages,
            self.filters,
        ]
    }
}

/// A PF has too little of something; nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "PF {pf} has {free} of {total} {} free, {asked} {} asked for",
    resource.words(),
    if *asked == 1 { "was" } else { "were" }
)]
pub struct Shortage {
    /// Name of the PF.
    pub pf: String,
    /// What it has too little of: the first in the order of [`Resource::ALL`].
    pub resource: Resource,
    /// How many were asked for.
    pub asked: u32,
    /// How many were free.
    pub free: u32,
    /// How many there are.
    pub total: u32,
}

/// Why a slice cannot be cut; nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// Too little of something is left.
    #[error(transparent)]
    Short(#[from] Shortage),
    /// Somebody has all of the PF.
    #[error(
        "PF {pf} is whole in the hands of {owner}, whose rings its hardware works itself (data path direct)"
    )]
    Exclusive {
        /// Name of the PF.
        pf: String,
        /// Who has it.
        owner: String,
    },
    /// All of it is asked for, and others have parts.
    #[error(
        "PF {pf} would have to be whole in one hand, and {owners} others have parts of it, {first} first"
    )]
    NotAlone {
        /// Name of the PF.
        pf: String,
        /// How many have parts.
        owners: usize,
        /// One of them.
        first: String,
    },
}
