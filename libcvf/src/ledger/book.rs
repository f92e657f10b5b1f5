//! The ledger itself.

mod free;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ids::IdSet;
use super::inventory::{Inventory, Resource};
use super::request::{CutError, Request, Shortage};
use super::slice::{Slice, SliceId};
use free::FreeList;

/// Who holds how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The slice.
    pub slice: SliceId,
    /// Who it was cut for.
    pub name: Arc<str>,
    /// How many of each resource.
    pub holds: Request,
}

/// A PF's resources and who has them. Shared; internally synchronised.
#[derive(Debug)]
pub struct Ledger {
    pf: Arc<str>,
    total: [u32; 5],
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    queue_pairs: FreeList,
    rss_domains: FreeList,
    vectors: FreeList,
    doorbell_pages: FreeList,
    filters: u32,
    owners: BTreeMap<SliceId, (Arc<str>, Request)>,
    /// The one that nobody may be beside.
    whole: Option<SliceId>,
    next: u64,
}

impl Book {
    fn free(&self) -> [u32; 5] {
        let lists = [
            &self.queue_pairs,
            &self.rss_domains,
            &self.vectors,
            &self.doorbell_pages,
        ];
        let [a, b, c, d] = lists.map(FreeList::len);
        [a, b, c, d, self.filters]
    }
}

impl Ledger {
    /// Everything free; identifiers start at 0. `pf` names the PF in refusals.
    pub fn new(pf: &str, totals: &Request) -> Arc<Self> {
        let book = Book {
            queue_pairs: FreeList::new(totals.queue_pairs),
            rss_domains: FreeList::new(totals.rss_domains),
            vectors: FreeList::new(totals.vectors),
            doorbell_pages: FreeList::new(totals.doorbell_pages),
            filters: totals.filters,
            owners: BTreeMap::new(),
            whole: None,
            next: 0,
        };
        Arc::new(Self {
            pf: pf.into(),
            total: totals.counts(),
            book: Mutex::new(book),
        })
    }

    /// Name of the PF.
    pub fn pf(&self) -> &str {
        &self.pf
    }

    /// Cuts a slice: everything that is asked for, the lowest free identifiers, or nothing.
    ///
    /// # Errors
    /// The first resource of which too little is free, or who has all of the PF.
    pub fn cut(self: &Arc<Self>, owner: &str, request: &Request) -> Result<Slice, CutError> {
        self.cut_from(&mut self.book.lock(), owner, request)
    }

    /// The same, and nobody else has, or gets, anything of the PF until the slice is given back.
    ///
    /// # Errors
    /// [`CutError`].
    pub fn cut_whole(self: &Arc<Self>, owner: &str, request: &Request) -> Result<Slice, CutError> {
        let mut book = self.book.lock();
        if let (None, Some((first, _))) = (book.whole, book.owners.values().next()) {
            return Err(CutError::NotAlone {
                pf: self.pf.to_string(),
                owners: book.owners.len(),
                first: first.to_string(),
            });
        }
        let slice = self.cut_from(&mut book, owner, request)?;
        book.whole = Some(slice.id);
        Ok(slice)
    }

    /// Who has all of the PF.
    pub fn whole_of(&self) -> Option<Arc<str>> {
        let book = self.book.lock();
        let id = book.whole?;
        book.owners.get(&id).map(|(name, _)| Arc::clone(name))
    }

    fn cut_from(
        self: &Arc<Self>,
        book: &mut Book,
        owner: &str,
        request: &Request,
    ) -> Result<Slice, CutError> {
        if let Some((name, _)) = book.whole.and_then(|id| book.owners.get(&id)) {
            return Err(CutError::Exclusive {
                pf: self.pf.to_string(),
                owner: name.to_string(),
            });
        }
        let (free, asked) = (book.free(), request.counts());
        for resource in Resource::ALL {
            let i = resource as usize;
            if asked[i] > free[i] {
                let (asked, free, total) = (asked[i], free[i], self.total[i]);
                return Err(CutError::Short(Shortage {
                    pf: self.pf.to_string(),
                    resource,
                    asked,
                    free,
                    total,
                }));
            }
        }
        let id = SliceId(book.next);
        book.next += 1;
        book.filters -= request.filters;
        let owner: Arc<str> = owner.into();
        book.owners.insert(id, (Arc::clone(&owner), *request));
        Ok(Slice {
            ledger: Arc::clone(self),
            id,
            owner,
            queue_pairs: IdSet::new(book.queue_pairs.take(request.queue_pairs)),
            rss_domains: IdSet::new(book.rss_domains.take(request.rss_domains)),
            vectors: IdSet::new(book.vectors.take(request.vectors)),
            doorbell_pages: IdSet::new(book.doorbell_pages.take(request.doorbell_pages)),
            filters: request.filters,
        })
    }

    /// Totals and what is free, at one instant.
    pub fn inventory(&self) -> Inventory {
        Inventory {
            total: self.total,
            free: self.book.lock().free(),
        }
    }

    /// Owners in the order in which they came, from the first past `after`, at most `limit`.
    pub fn owners(&self, after: Option<SliceId>, limit: usize) -> Vec<Owner> {
        let from = after.map_or(0, |id| id.0 + 1);
        let book = self.book.lock();
        let page = book.owners.range(SliceId(from)..).take(limit);
        page.map(|(&slice, (name, holds))| Owner {
            slice,
            name: Arc::clone(name),
            holds: *holds,
        })
        .collect()
    }

    /// Called by the slice's drop, therefore once.
    pub(super) fn give_back(&self, slice: &Slice) {
        let mut book = self.book.lock();
        if book.owners.remove(&slice.id).is_none() {
            return;
        }
        if book.whole == Some(slice.id) {
            book.whole = None;
        }
        book.queue_pairs.give(slice.queue_pairs.ranges());
        book.rss_domains.give(slice.rss_domains.ranges());
        book.vectors.give(slice.vectors.ranges());
        book.doorbell_pages.give(slice.doorbell_pages.ranges());
        book.filters += slice.filters;
    }
}

#[cfg(test)]
mod tests;
