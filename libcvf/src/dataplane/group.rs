//! What several ports send together at most, and what each of them may send whatever the others do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::bucket::{Bucket, Moment};
use super::rates::{BITS, ticks};
use crate::limits::MAX_FRAME;
use crate::ring::Frames;

/// How long a group's rate may be used that was not used before.
const BURST: Duration = Duration::from_millis(100);

const MEGA: u64 = 1_000_000;

/// Bits in the unit that operators give rates in.
fn mbit(bits: u64) -> f64 {
    bits as f64 / MEGA as f64
}

/// Why a port cannot be in a group as it was to be, or a group cannot have a rate. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Shares above the group's rate.
    #[error(
        "group '{group}' sends {} Mbit/s at most, of which {} are guaranteed to other devices, and {} were to be guaranteed to \
         this one: ask for no more than {}, or give the group a higher rate",
        mbit(*rate), mbit(*others), mbit(*asked), mbit(rate.saturating_sub(*others))
    )]
    Share {
        /// The group.
        group: String,
        /// What it sends at most.
        rate: u64,
        /// What others are guaranteed.
        others: u64,
        /// What was asked for.
        asked: u64,
    },
    /// A rate below what is guaranteed.
    #[error(
        "group '{group}' was to send {} Mbit/s at most, and guarantees {} to its devices: take shares away first, or give it a \
         higher rate",
        mbit(*rate), mbit(*guaranteed)
    )]
    Rate {
        /// The group.
        group: String,
        /// What was asked for.
        rate: u64,
        /// What its members are guaranteed.
        guaranteed: u64,
    },
}

/// Who is in a group, and what it may send.
#[derive(Debug, Default)]
struct Members {
    rate: u64,
    /// By UUID.
    shares: BTreeMap<[u8; 16], u64>,
}

impl Members {
    fn guaranteed(&self, but: Option<&[u8; 16]>) -> u64 {
        let others = self.shares.iter().filter(|(key, _)| Some(*key) != but);
        others.map(|(_, share)| share).sum()
    }
}

/// A rate that the ports of one fabric share. Frames within a port's own share pass at any rate, and are charged to
/// the group, which owes then; what is above it takes what the group has left. Any thread may do anything with it.
#[derive(Debug)]
pub struct RateGroup {
    name: String,
    bytes: Bucket,
    members: Mutex<Members>,
}

impl RateGroup {
    /// A group that sends so many bits a second at most.
    pub fn new(name: &str, rate: u64) -> Arc<Self> {
        let bytes = Bucket::new(BITS, MAX_FRAME as u64);
        bytes.set(Some(rate));
        let shares = BTreeMap::new();
        Arc::new(Self {
            name: name.to_owned(),
            bytes,
            members: Mutex::new(Members { rate, shares }),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it sends at most, and what of that its members are guaranteed, in bits a second; how many those are.
    pub fn census(&self) -> (u64, u64, usize) {
        let members = self.members.lock();
        (members.rate, members.guaranteed(None), members.shares.len())
    }

    /// Whether it may have another rate.
    ///
    /// # Errors
    /// [`GroupError::Rate`].
    pub fn check_rate(&self, rate: u64) -> Result<(), GroupError> {
        let guaranteed = self.members.lock().guaranteed(None);
        if guaranteed > rate {
            let group = self.name.clone();
            return Err(GroupError::Rate {
                group,
                rate,
                guaranteed,
            });
        }
        Ok(())
    }

    /// Gives it another rate, from the next burst on. What was used up stays so.
    pub fn set_rate(&self, rate: u64) {
        self.members.lock().rate = rate;
        self.bytes.set(Some(rate));
    }

    /// Whether a device with this UUID may be in it with that share, in bits a second.
    ///
    /// # Errors
    /// [`GroupError::Share`].
    pub fn check(&self, uuid: &[u8; 16], share: Option<u64>) -> Result<(), GroupError> {
        self.fits(&self.members.lock(), uuid, share)
    }

    /// Takes a device in, or gives one that is in it another share.
    pub(crate) fn admit(&self, uuid: &[u8; 16], share: Option<u64>) -> Result<(), GroupError> {
        let mut members = self.members.lock();
        self.fits(&members, uuid, share)?;
        members.shares.insert(*uuid, share.unwrap_or(0));
        Ok(())
    }

    /// Lets a device go.
    pub(crate) fn leave(&self, uuid: &[u8; 16]) {
        self.members.lock().shares.remove(uuid);
    }

    fn fits(
        &self,
        members: &Members,
        uuid: &[u8; 16],
        share: Option<u64>,
    ) -> Result<(), GroupError> {
        let (others, asked) = (members.guaranteed(Some(uuid)), share.unwrap_or(0));
        // Who asks for nothing takes nothing from anybody.
        if asked > 0 && others.saturating_add(asked) > members.rate {
            return Err(GroupError::Share {
                group: self.name.clone(),
                rate: members.rate,
                others,
                asked,
            });
        }
        Ok(())
    }

    /// Those of `frames`, whose lengths `len` says, for which neither a port's share nor the group has anything left.
    pub(super) fn refuse(
        &self,
        at: Moment,
        share: &Bucket,
        frames: Frames,
        len: impl Fn(usize) -> usize,
    ) -> Frames {
        let share = Some(share).filter(|share| share.is_limited());
        let total = frames.map(|index| len(index) as u64).sum();
        let mut refused = Frames::default();
        if !self.pass(at, share, total) {
            for index in frames {
                if !self.pass(at, share, len(index) as u64) {
                    refused.add(Frames::one(index));
                }
            }
        }
        refused
    }

    fn pass(&self, at: Moment, share: Option<&Bucket>, bytes: u64) -> bool {
        let own = Moment {
            now: at.now,
            burst: ticks(BURST),
        };
        if share.is_some_and(|share| share.take(own, bytes).is_some()) {
            self.bytes.owe(own, bytes);
            return true;
        }
        self.bytes.take(own, bytes).is_some()
    }
}

/// A port's place in a group, if it has one.
#[derive(Debug, Default)]
pub(super) struct Membership(pub Option<Arc<RateGroup>>);

#[cfg(test)]
mod tests;
