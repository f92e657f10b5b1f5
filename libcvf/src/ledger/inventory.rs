//! What a PF has.

use std::fmt;

/// Kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Receive and transmit queue pairs.
    QueuePairs,
    /// Receive-side scaling contexts.
    RssDomains,
    /// Interrupt vectors.
    Vectors,
    /// Doorbell pages.
    DoorbellPages,
    /// Steering filters.
    Filters,
}

impl Resource {
    /// All kinds, in the order in which they are checked and shown.
    pub const ALL: [Self; 5] = [
        Self::QueuePairs,
        Self::RssDomains,
        Self::Vectors,
        Self::DoorbellPages,
        Self::Filters,
    ];

    /// Name in configuration and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueuePairs => "queue-pairs",
            Self::RssDomains => "rss-domains",
            Self::Vectors => "vectors",
            Self::DoorbellPages => "doorbell-pages",
            Self::Filters => "filters",
        }
    }

    /// Name in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::QueuePairs => "queue pairs",
            Self::RssDomains => "RSS domains",
            Self::Vectors => "vectors",
            Self::DoorbellPages => "doorbell pages",
            Self::Filters => "filters",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Totals and what is free, per resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// How many there are, in the order of [`Resource::ALL`].
    pub(super) total: [u32; 5],
    /// How many nobody has.
    pub(super) free: [u32; 5],
}

impl Inventory {
    /// How many there are.
    pub const fn total(&self, resource: Resource) -> u32 {
        self.total[resource as usize]
    }

    /// How many nobody has.
    pub const fn free(&self, resource: Resource) -> u32 {
        self.free[resource as usize]
    }

    /// Kind, total, free.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, u32, u32)> + '_ {
        Resource::ALL
            .into_iter()
            .map(|r| (r, self.total(r), self.free(r)))
    }
}
