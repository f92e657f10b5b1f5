//! What one owner holds.

use std::fmt;
use std::sync::Arc;

use super::book::Ledger;
use super::ids::{DoorbellPage, IdSet, QueuePair, RssDomain, Vector};
use super::request::Request;

/// Identity of a slice within its ledger; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId(pub(super) u64);

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The resources cut for one device. It is the only handle on them: dropping it, or
/// [`Slice::release`], gives them back, once.
#[derive(Debug)]
pub struct Slice {
    pub(super) ledger: Arc<Ledger>,
    pub(super) id: SliceId,
    pub(super) owner: Arc<str>,
    pub(super) queue_pairs: IdSet<QueuePair>,
    pub(super) rss_domains: IdSet<RssDomain>,
    pub(super) vectors: IdSet<Vector>,
    pub(super) doorbell_pages: IdSet<DoorbellPage>,
    pub(super) filters: u32,
}

impl Slice {
    /// Its identity.
    pub fn id(&self) -> SliceId {
        self.id
    }

    /// Who it was cut for.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The ledger it was cut from.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Queue pairs.
    pub fn queue_pairs(&self) -> &IdSet<QueuePair> {
        &self.queue_pairs
    }

    /// RSS domains.
    pub fn rss_domains(&self) -> &IdSet<RssDomain> {
        &self.rss_domains
    }

    /// Vectors.
    pub fn vectors(&self) -> &IdSet<Vector> {
        &self.vectors
    }

    /// Doorbell pages.
    pub fn doorbell_pages(&self) -> &IdSet<DoorbellPage> {
        &self.doorbell_pages
    }

    /// How many filters it may use; they have no identity.
    pub fn filters(&self) -> u32 {
        self.filters
    }

    /// How many of each.
    pub fn counts(&self) -> Request {
        Request {
            queue_pairs: self.queue_pairs.len(),
            rss_domains: self.rss_domains.len(),
            vectors: self.vectors.len(),
            doorbell_pages: self.doorbell_pages.len(),
            filters: self.filters,
        }
    }

    /// Gives everything back.
    pub fn release(self) {}
}

impl Drop for Slice {
    fn drop(&mut self) {
        let ledger = Arc::clone(&self.ledger);
        ledger.give_back(self);
    }
}
