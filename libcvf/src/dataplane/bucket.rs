//! A token bucket in one word, for all who take from it.
//!
//! What it keeps is the moment since which its rate lies idle. What may be taken is what that time is worth,
//! up to how long a rate may lie idle without being lost; taking moves the moment on, never beyond the present, but
//! for what is owed.
//! So a rate that changes finds the time that was not used, and no token is made by the change: who has used
//! everything up has no time left at any rate.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Ticks in a nanosecond: at the highest rates a frame takes less than that.
pub(super) const TICKS: u64 = 64;
/// Bits of a price behind the point.
const FRACTION: u32 = 24;
const SECOND: u128 = 1_000_000_000 * TICKS as u128;

/// When something is taken, and how long a rate may lie idle without being lost: in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub now: u64,
    pub burst: u64,
}

/// What a token costs, in ticks with a fraction; 0: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price(u64);

impl Price {
    /// Of one of `rate` in `scale` seconds.
    fn of(rate: Option<u64>, scale: u64) -> Self {
        let Some(rate) = rate else {
            return Self(0);
        };
        let second = (SECOND * u128::from(scale)) << FRACTION;
        let price = second.div_ceil(u128::from(rate.max(1)));
        Self(u64::try_from(price).unwrap_or(u64::MAX))
    }

    /// Of `tokens`, rounded up.
    #[inline]
    pub(super) fn times(self, tokens: u64) -> u64 {
        let price = u128::from(self.0) * u128::from(tokens);
        let price = (price + ((1 << FRACTION) - 1)) >> FRACTION;
        u64::try_from(price).unwrap_or(u64::MAX)
    }
}

/// The bucket. Any thread may do anything with it at any time.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The rate lies idle from here on.
    since: AtomicU64,
    price: AtomicU64,
    /// Tokens of a rate of one, in one second.
    scale: u64,
    /// So many tokens find room in it, however low the rate.
    least: u64,
}

impl Bucket {
    /// A bucket without a rate, of which as much may be taken as one likes. A rate of `scale` gives one token a
    /// second.
    pub(super) fn new(scale: u64, least: u64) -> Self {
        Self {
            since: AtomicU64::new(0),
            price: AtomicU64::new(0),
            scale,
            least,
        }
    }

    /// Sets its rate; `None`: no limit. What was used up stays so.
    pub(super) fn set(&self, rate: Option<u64>) {
        let price = Price::of(rate, self.scale);
        self.price.store(price.0, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn price(&self) -> Price {
        Price(self.price.load(Ordering::Relaxed))
    }

    /// The earliest moment since which idle time counts.
    #[inline]
    fn earliest(&self, price: Price, at: Moment) -> u64 {
        at.now.saturating_sub(at.burst.max(price.times(self.least)))
    }

    /// Takes tokens, if there are so many. What they cost, to give it back.
    #[inline]
    pub(super) fn take(&self, at: Moment, tokens: u64) -> Option<u64> {
        let price = self.price();
        if price == Price(0) {
            return Some(0);
        }
        let cost = price.times(tokens);
        let earliest = self.earliest(price, at);
        let mut before = self.since.load(Ordering::Relaxed);
        loop {
            let after = before.max(earliest).checked_add(cost);
            let after = after.filter(|after| *after <= at.now)?;
            match self.exchange(before, after) {
                Ok(_) => return Some(cost),
                Err(now) => before = now,
            }
        }
    }

    /// Takes all there is: how much time that is worth. Whoever takes it gives back what it does not need.
    pub(super) fn take_all(&self, at: Moment) -> u64 {
        let price = self.price();
        if price == Price(0) {
            return 0;
        }
        let earliest = self.earliest(price, at);
        let mut before = self.since.load(Ordering::Relaxed);
        while before < at.now {
            match self.exchange(before, at.now) {
                Ok(_) => return at.now - before.max(earliest),
                Err(now) => before = now,
            }
        }
        0
    }

    /// Takes tokens whether there are any or not. What is missing is owed: nobody gets any before it has come in.
    /// Whoever calls it is held to a rate below this one in another way.
    #[inline]
    pub(super) fn owe(&self, at: Moment, tokens: u64) {
        let price = self.price();
        let cost = price.times(tokens);
        let earliest = self.earliest(price, at);
        let mut before = self.since.load(Ordering::Relaxed);
        while let Err(now) = self.exchange(before, before.max(earliest).saturating_add(cost)) {
            before = now;
        }
    }

    /// False: as much may be taken as one likes.
    #[inline]
    pub(super) fn is_limited(&self) -> bool {
        self.price() != Price(0)
    }

    /// Gives back what tokens cost that were taken and not needed.
    pub(super) fn give(&self, cost: u64) {
        if cost > 0 {
            self.since.fetch_sub(cost, Ordering::Relaxed);
        }
    }

    #[inline]
    fn exchange(&self, before: u64, after: u64) -> Result<u64, u64> {
        self.since
            .compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed)
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(test)]
mod tests;
