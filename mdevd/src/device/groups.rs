//! The groups of devices that share a rate, PF by PF.

use std::collections::BTreeMap;
use std::sync::Arc;

use libcvf::cvf::{GroupRate, RateGroup};
use parking_lot::Mutex;

use crate::config::{Config, RateGroups};
use crate::engine::{Definition, EngineError, GroupView};
use crate::nearest;
use crate::service::{Part, Prepared};

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
    /// Those with members whose group would be gone, or guarantees more than it would have.
    fn check(&self, new: &RateGroups) -> Result<(), String> {
        for ((pf, name), group) in &self.made {
            let (_, _, members) = group.census();
            match new.0.get(name) {
                Some(mbit) => group
                    .check_rate(u64::from(*mbit) * MBIT)
                    .map_err(|why| format!("rate-groups: on PF {pf}, {why}"))?,
                None if members > 0 => {
                    return Err(format!(
                        "rate-groups: group '{name}' has {members} devices on PF {pf}: take them out first ('cvfctl set \
                         NAME group=none'), or leave it"
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

impl Groups {
    /// These groups, on every PF.
    pub fn new(rates: RateGroups) -> Arc<Self> {
        let made = BTreeMap::new();
        Arc::new(Self(Mutex::new(Book { rates, made })))
    }

    /// A definition's place in its group.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`]: no such group is configured.
    pub(super) fn place(&self, definition: &Definition) -> Result<Option<GroupRate>, EngineError> {
        let Some(name) = &definition.share.group else {
            return Ok(None);
        };
        let mut book = self.0.lock();
        let key = (definition.pf.clone(), name.clone());
        let group = match (book.made.get(&key), book.rates.0.get(name)) {
            (Some(group), _) => group.clone(),
            (None, Some(mbit)) => {
                let group = RateGroup::new(name, u64::from(*mbit) * MBIT);
                book.made.insert(key, group.clone());
                group
            }
            (None, None) => {
                let hint = nearest::hint(name, book.rates.0.keys().map(String::as_str));
                let why = format!(
                    "no such group is configured{hint}; groups are named under rate-groups in mdevd's configuration, \
                     which 'cvfctl reload' reads anew"
                );
                return Err(EngineError::invalid("group", name, why));
            }
        };
        let share_bits = definition.share.tx_share.map(|mbit| u64::from(mbit) * MBIT);
        Ok(Some(GroupRate { group, share_bits }))
    }

    /// Whether a definition's group takes it with its share.
    ///
    /// # Errors
    /// There is none, or it has too little left.
    pub(super) fn fits(&self, definition: &Definition) -> Result<(), EngineError> {
        let Some(place) = self.place(definition)? else {
            return Ok(());
        };
        let uuid = definition.uuid.as_bytes();
        place.group.check(uuid, place.share_bits).map_err(|why| {
            let share = definition.share.tx_share.unwrap_or_default();
            EngineError::invalid("tx_share", share, why)
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

/// Takes other groups, and other rates of them, without a restart.
pub struct GroupRates(pub Arc<Groups>);

impl Part for GroupRates {
    fn keys(&self) -> &'static [&'static str] {
        &["rate-groups"]
    }

    fn prepare(&self, new: &Config) -> Result<Prepared, String> {
        let (groups, new) = (self.0.clone(), new.rate_groups.clone());
        groups.0.lock().check(&new)?;
        Ok(Prepared::to(move |_| groups.0.lock().adopt(new)))
    }
}

#[cfg(test)]
mod tests;
