//! The groups of devices that share a rate, PF by PF.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use libcvf::cvf::{GroupRate, RateGroup};
use parking_lot::Mutex;

use crate::config::{Config, RateGroups};
use crate::engine::{
    Catalog, Definition, EngineError, GroupShare, GroupView, Sharer, possible_share,
};
use crate::nearest;
use crate::service::{Part, Prepared};
use crate::text::{counted, named};

/// Bits in a Mbit.
const MBIT: u64 = 1_000_000;

/// What is configured, and what was made of it. Any thread may use it.
#[derive(Debug, Default)]
pub struct Groups(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    rates: RateGroups,
    /// By PF and name; made when the first device asks.
    made: BTreeMap<(String, String), Arc<RateGroup>>,
}

impl Book {
    /// Refuses what `sharers` could not be any more as they are defined: their group would be gone, or have less than it
    /// guarantees those that run, or than one that does not is to have. What is not in force now is taken from nobody.
    fn check(&self, new: &RateGroups, sharers: &[Sharer]) -> Result<(), String> {
        let refusals = self.rates.0.iter().filter_map(|(name, rate)| {
            let of_group = |one: &&Sharer| one.share.group.as_ref() == Some(name);
            let judged = match new.0.get(name) {
                None => nobody(name, sharers.iter().filter(of_group)),
                Some(mbit) if mbit < rate => {
                    let rests = |one: &&Sharer| !one.runs && one.share.tx_share > Some(*mbit);
                    enough(name, *mbit, sharers.iter().filter(of_group).filter(rests))
                }
                Some(_) => Ok(()),
            };
            judged.err()
        });
        let refusals: Vec<_> = refusals.collect();
        if !refusals.is_empty() {
            return Err(refusals.join("; "));
        }
        // Who is on the way into a group, or out of it, is in it all the same.
        for ((pf, name), group) in &self.made {
            let (_, _, members) = group.census();
            match new.0.get(name) {
                Some(mbit) => group.check_rate(u64::from(*mbit) * MBIT).map_err(|why| {
                    let guaranteed = |one: &&Sharer| {
                        one.runs
                            && one.pf == *pf
                            && one.share.group.as_ref() == Some(name)
                            && one.share.tx_share.is_some()
                    };
                    let whose = named(sharers.iter().filter(guaranteed).map(|one| &*one.name));
                    format!("on PF {pf}, {why} (those of {whose})")
                })?,
                None if members > 0 => {
                    return Err(format!(
                        "group '{name}' is gone, and {} on PF {pf} {} in it; repeat when no command is at work on them",
                        counted(members as u64, "device"),
                        if members == 1 { "is" } else { "are" }
                    ));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn adopt(&mut self, new: RateGroups) {
        self.made.retain(|(_, name), group| match new.0.get(name) {
            Some(mbit) => {
                group.set_rate(u64::from(*mbit) * MBIT);
                true
            }
            // Who joined since it was checked keeps what it joined.
            None => group.census().2 > 0,
        });
        self.rates = new;
    }
}

/// Refuses that the group `name` goes while `members` are defined in it.
fn nobody<'a>(name: &str, members: impl Iterator<Item = &'a Sharer>) -> Result<(), String> {
    let names: Vec<&str> = members.map(|one| &*one.name).collect();
    let Some(first) = names.first() else {
        return Ok(());
    };
    Err(format!(
        "group '{name}' is gone, and {} {} defined in it, started or not: put it back, or take them out first ('cvfctl set \
         {first} group=none')",
        named(names.iter().copied()),
        if names.len() == 1 { "is" } else { "are" }
    ))
}

/// Refuses that the group `name` has only `mbit` where each of `members` is to have more of it.
fn enough<'a>(
    name: &str,
    mbit: u32,
    members: impl Iterator<Item = &'a Sharer>,
) -> Result<(), String> {
    let members: Vec<_> = members.collect();
    let Some(first) = members.first() else {
        return Ok(());
    };
    Err(format!(
        "group '{name}' would have {mbit} Mbit/s, and more is to be guaranteed to {}, which could not be started then: give \
         it more, or take shares away first ('cvfctl set {} tx-share=none')",
        named(members.iter().map(|one| &*one.name)),
        first.name
    ))
}

impl Groups {
    /// These groups, on every PF.
    pub fn new(rates: RateGroups) -> Arc<Self> {
        let made = BTreeMap::new();
        Arc::new(Self(Mutex::new(Book { rates, made })))
    }

    /// A place in a group of `pf`.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`]: no such group is configured.
    pub(super) fn place(
        &self,
        pf: &str,
        share: &GroupShare,
    ) -> Result<Option<GroupRate>, EngineError> {
        let Some(name) = &share.group else {
            return Ok(None);
        };
        let mut book = self.0.lock();
        let key = (pf.to_owned(), name.clone());
        let group = match (book.made.get(&key), book.rates.0.get(name)) {
            (Some(group), Some(_)) => group.clone(),
            (None, Some(mbit)) => {
                let group = RateGroup::new(name, u64::from(*mbit) * MBIT);
                book.made.insert(key, group.clone());
                group
            }
            (_, None) => {
                let hint = nearest::hint(name, book.rates.0.keys().map(String::as_str));
                let why = format!(
                    "no such group is configured{hint}; groups are named under rate-groups in mdevd's configuration, \
                     which 'cvfctl reload' reads anew"
                );
                return Err(EngineError::invalid("group", name, why));
            }
        };
        let share_bits = share.tx_share.map(|mbit| u64::from(mbit) * MBIT);
        Ok(Some(GroupRate { group, share_bits }))
    }

    /// Whether a definition's group takes it with its share.
    ///
    /// # Errors
    /// There is none, or it has too little left.
    pub(super) fn fits(&self, definition: &Definition) -> Result<(), EngineError> {
        let Some(place) = self.place(&definition.pf, &definition.share)? else {
            return Ok(());
        };
        let uuid = definition.uuid.as_bytes();
        place.group.check(uuid, place.share_bits).map_err(|why| {
            let share = definition.share.tx_share.unwrap_or_default();
            EngineError::invalid("tx_share", share, why)
        })
    }

    /// The place that a definition can have: in its group with its share, or without, or in none.
    pub(super) fn possible(
        &self,
        definition: &Definition,
    ) -> Result<Option<GroupRate>, EngineError> {
        let (share, _) = possible_share(definition, |one| self.fits(one));
        self.place(&definition.pf, &share)
    }

    /// What a place is, as definitions say it.
    pub(super) fn share_of(place: Option<&GroupRate>) -> GroupShare {
        place.map_or_else(GroupShare::default, |place| GroupShare {
            group: Some(place.group.name().to_owned()),
            tx_share: place
                .share_bits
                .and_then(|bits| u32::try_from(bits / MBIT).ok()),
        })
    }

    /// The groups of a PF.
    pub(super) fn view(&self, pf: &str) -> Vec<GroupView> {
        let book = self.0.lock();
        let view = |(name, mbit): (&String, &u32)| {
            let made = book.made.get(&(pf.to_owned(), name.clone()));
            let (_, guaranteed, devices) = made.map_or((0, 0, 0), |group| group.census());
            GroupView {
                name: name.clone(),
                tx_mbit: (*mbit).into(),
                guaranteed_mbit: guaranteed / MBIT,
                devices: devices as u64,
            }
        };
        book.rates.0.iter().map(view).collect()
    }
}

/// Takes other groups, and other rates of them, without a restart. Devices that had to run without theirs have it then.
pub struct GroupRates(pub Arc<Groups>, pub Weak<Catalog>);

impl Part for GroupRates {
    fn keys(&self) -> &'static [&'static str] {
        &["rate-groups"]
    }

    fn prepare(&self, config: &Config) -> Result<Prepared, String> {
        let (groups, new) = (self.0.clone(), config.rate_groups.clone());
        let catalog = self.1.clone();
        // Asked before the book is opened: the catalog looks into it with its names locked.
        let sharers = catalog.upgrade().map(|catalog| catalog.sharers());
        let place = &config.rate_groups_at;
        groups
            .0
            .lock()
            .check(&new, &sharers.unwrap_or_default())
            .map_err(|why| format!("{place}: rate-groups: {why}"))?;
        Ok(Prepared::to(move |outcome| {
            groups.0.lock().adopt(new);
            if let Some(catalog) = catalog.upgrade() {
                outcome.notes.extend(catalog.regroup_all());
            }
        }))
    }
}

#[cfg(test)]
mod tests;
