//! What a guest does wrong, and what follows: counted by the minute, answered as its profile says.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use libcvf::cvf::Cvf;
use parking_lot::Mutex;
use policies::profile::{Offence, Rate, Reaction, Reactions};
use uuid::Uuid;
use vfio_user_server::Shutdown;

/// Offences are tolerated per this.
const WINDOW: Duration = Duration::from_secs(60);
/// Audit lines of one kind of offence in a window; what follows is only counted.
const TOLD: u64 = 10;

/// The record of one device.
#[derive(Default)]
pub(super) struct Conduct {
    record: Mutex<Record>,
    device: OnceLock<Weak<Cvf>>,
    client: Mutex<Option<Shutdown>>,
}

/// Offences of one kind in the present window.
#[derive(Clone, Copy, Default)]
struct Tally {
    since: Option<Instant>,
    count: u64,
}

impl Tally {
    /// Adds some; returns how many there were before and how many there are, in this window.
    fn add(&mut self, now: Instant, times: u64) -> (u64, u64) {
        if self
            .since
            .is_none_or(|since| now.duration_since(since) >= WINDOW)
        {
            *self = Self {
                since: Some(now),
                count: 0,
            };
        }
        let before = self.count;
        self.count = before.saturating_add(times);
        (before, self.count)
    }
}

#[derive(Default)]
struct Record {
    tallies: [Tally; 5],
    requests: Allowance,
    resets: Allowance,
}

/// A rate per `period`, all of which may be used at once.
#[derive(Default)]
struct Allowance {
    last: Option<Instant>,
    /// What is left, in units of one.
    left: f64,
}

impl Allowance {
    /// Takes one, if one is left.
    fn take(&mut self, now: Instant, rate: Rate, period: Duration) -> bool {
        let Some(rate) = rate.limit().map(f64::from) else {
            return true;
        };
        let gained = match self.last {
            Some(last) => now.duration_since(last).as_secs_f64() / period.as_secs_f64() * rate,
            None => rate,
        };
        self.last = Some(now);
        self.left = (self.left + gained).min(rate);
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}

fn place(offence: Offence) -> (usize, &'static str) {
    match offence {
        Offence::MalformedRing => (0, "a malformed ring"),
        Offence::MalformedFrame => (1, "malformed frames"),
        Offence::SpoofedFrame => (2, "spoofed frames"),
        Offence::DeniedRequest => (3, "denied requests"),
        Offence::ExcessRequest => (4, "requests or resets above their rate"),
    }
}

impl Conduct {
    /// The device that it is about, once it is there.
    pub(super) fn about(&self, cvf: &Arc<Cvf>) {
        let _ = self.device.set(Arc::downgrade(cvf));
    }

    /// A client is there that could be cut off.
    pub(super) fn client(&self, shutdown: Shutdown) {
        *self.client.lock() = Some(shutdown);
    }

    /// True if a request is within its rate.
    pub(super) fn may_ask(&self, rate: Rate) -> bool {
        let mut record = self.record.lock();
        record
            .requests
            .take(Instant::now(), rate, Duration::from_secs(1))
    }

    /// True if a reset is within its rate.
    pub(super) fn may_reset(&self, rate: Rate) -> bool {
        let mut record = self.record.lock();
        record.resets.take(Instant::now(), rate, WINDOW)
    }

    /// Offences happened; does what the profile says.
    pub(super) fn offended(&self, reactions: &Reactions, offence: Offence, times: u64) {
        if times == 0 {
            return;
        }
        let (index, what) = place(offence);
        let (before, now) = self.record.lock().tallies[index].add(Instant::now(), times);
        let nth = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let reaction = reactions.to(offence, nth(now));
        // What has been done and told once in a window need not be told again for every further offence.
        let first = before == 0 || reactions.to(offence, nth(before)) < reaction;
        let Some(cvf) = self.device.get().and_then(Weak::upgrade) else {
            return;
        };
        let (device, uuid) = (cvf.spec().name.as_str(), Uuid::from_bytes(cvf.spec().uuid));
        if reaction >= Reaction::Audit && before < TOLD {
            tracing::info!(target: "audit", device, %uuid, what, count = now, "a guest did what it may not");
        }
        match reaction {
            Reaction::Count | Reaction::Audit => {}
            Reaction::StopDevice => {
                if first {
                    tracing::warn!(target: "audit", device, %uuid, what, count = now, "the device is stopped");
                }
                cvf.stop(format!(
                    "its profile stops it: {now} times {what} within a minute"
                ));
            }
            Reaction::Disconnect => {
                if first {
                    tracing::warn!(target: "audit", device, %uuid, what, count = now, "its client is cut off");
                }
                if let Some(client) = self.client.lock().take() {
                    client.shutdown();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
