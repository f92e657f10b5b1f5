//! What a guest does wrong, and what follows: counted by the minute, answered as its profile says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use libcvf::control::Denial;
use libcvf::cvf::Cvf;
use parking_lot::Mutex;
use policies::profile::{Offence, Rate, Reaction, Reactions};
use uuid::Uuid;
use vfio_user_server::Shutdown;

use super::patrol::Wake;
use crate::engine::{Events, Happening};
use crate::limits::{PATROL_PERIOD, RESETS_A_MINUTE};

/// Offences are tolerated per this.
const WINDOW: Duration = Duration::from_secs(60);
/// Audit lines of one kind of offence in a window; what follows is only counted.
const TOLD: u64 = 10;

/// The record of one device.
pub(super) struct Conduct {
    record: Mutex<Record>,
    events: Events,
    device: OnceLock<Weak<Cvf>>,
    client: Mutex<Option<Shutdown>>,
    /// Who tells what it was too early to tell.
    teller: OnceLock<Arc<Wake>>,
    /// The device is about to be reset, or being reset.
    restarting: Arc<AtomicBool>,
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
    untold: Untold,
    tallies: [Tally; 5],
    /// Resets of the device for what its driver did.
    restarts: Tally,
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

/// What a guest did, for who hears of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct What<'a> {
    /// What was asked for.
    pub(super) request: &'a str,
    /// The rule that refused.
    pub(super) rule: &'a str,
    /// The refusal, as a sentence.
    pub(super) message: &'a str,
}

impl<'a> What<'a> {
    /// A request, and why not.
    pub(super) fn denied(request: &'a str, denial: &'a Denial) -> Self {
        Self {
            request,
            rule: denial.rule,
            message: &denial.reason,
        }
    }

    /// Frames and rings.
    pub(super) const fn of(offence: Offence) -> Self {
        let (request, rule, message) = match offence {
            Offence::MalformedRing => (
                "ring",
                "malformed-ring",
                "a ring or descriptor cannot be, its device was stopped",
            ),
            Offence::MalformedFrame => (
                "frame",
                "malformed-frame",
                "frames were dropped that are none, or whose offloads cannot be",
            ),
            Offence::SpoofedFrame => (
                "frame",
                "spoofed-frame",
                "frames were dropped that claim an address or a VLAN that is not the device's",
            ),
            Offence::DeniedRequest => ("request", "denied-request", "a request was refused"),
            Offence::ExcessRequest => ("request", "excess-request", "requests came too fast"),
        };
        Self {
            request,
            rule,
            message,
        }
    }
}

/// Denials that nobody was told of yet: how many, and the last one.
#[derive(Default)]
struct Untold {
    last_told: Option<Instant>,
    count: u64,
    /// The hardest that followed.
    reaction: Option<Reaction>,
    request: String,
    rule: String,
    message: String,
}

impl Untold {
    fn add(&mut self, reaction: Reaction, times: u64, what: What<'_>) {
        self.count = self.count.saturating_add(times);
        self.reaction = self.reaction.max(Some(reaction));
        for (own, new) in [
            (&mut self.request, what.request),
            (&mut self.rule, what.rule),
            (&mut self.message, what.message),
        ] {
            own.clear();
            own.push_str(new);
        }
    }

    /// The event, if there is something to tell and the last one was long enough ago.
    fn take(&mut self, device: &str, now: Option<Instant>) -> Option<Happening> {
        let early = |now: Instant| {
            let since = self
                .last_told
                .map(|told| now.saturating_duration_since(told));
            since.is_some_and(|since| since < PATROL_PERIOD)
        };
        if self.count == 0 || now.is_some_and(early) {
            return None;
        }
        if now.is_some() {
            self.last_told = now;
        }
        let reaction = self.reaction.take().unwrap_or(Reaction::Audit);
        Some(Happening::Denied {
            device: device.to_owned(),
            request: std::mem::take(&mut self.request),
            rule: std::mem::take(&mut self.rule),
            message: std::mem::take(&mut self.message),
            count: std::mem::take(&mut self.count),
            reaction: word(reaction).to_owned(),
        })
    }
}

const fn word(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Count => "count",
        Reaction::Audit => "audit",
        Reaction::ResetDevice => "reset-device",
        Reaction::StopDevice => "stop-device",
        Reaction::Disconnect => "disconnect",
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
    /// A clean record, of which `events` hears.
    pub(super) fn new(events: Events) -> Self {
        Self {
            record: Mutex::default(),
            events,
            device: OnceLock::new(),
            client: Mutex::default(),
            teller: OnceLock::new(),
            restarting: Arc::default(),
        }
    }

    /// Has `teller` woken where something is left to be told later.
    pub(super) fn wakes(&self, teller: &Arc<Wake>) {
        let _ = self.teller.set(teller.clone());
    }

    /// Something is left to be told.
    pub(super) fn has_untold(&self) -> bool {
        self.record.lock().untold.count > 0
    }

    /// Tells denials that were held back, unless others were told a moment ago.
    pub(super) fn tell_rest(&self, now: Instant) {
        self.tell(Some(now));
    }

    /// Tells them in any case: the client leaves.
    pub(super) fn tell_all(&self) {
        self.tell(None);
    }

    fn tell(&self, now: Option<Instant>) {
        let mut record = self.record.lock();
        if record.untold.count == 0 {
            return;
        }
        let Some(cvf) = self.device.get().and_then(Weak::upgrade) else {
            return;
        };
        let event = record.untold.take(&cvf.spec().name, now);
        drop(record);
        if let Some(event) = event {
            self.events.publish(event);
        }
    }

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

    /// The device is of a kind that can start anew, and has not done so too often.
    fn may_restart(&self, cvf: &Cvf) -> bool {
        if !cvf.restarts() {
            return false;
        }
        if self.restarting.load(Ordering::Acquire) {
            return true;
        }
        let (before, _) = self.record.lock().restarts.add(Instant::now(), 1);
        before < RESETS_A_MINUTE
    }

    /// Offences happened; does what the profile says.
    pub(super) fn offended(
        &self,
        reactions: &Reactions,
        offence: Offence,
        times: u64,
        denial: What<'_>,
    ) {
        let (index, what) = place(offence);
        let (before, now) = self.record.lock().tallies[index].add(Instant::now(), times);
        let nth = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let reaction = reactions.to(offence, nth(now));
        // What has been done and told once in a window need not be told again for every further offence.
        let first = before == 0 || reactions.to(offence, nth(before)) < reaction;
        let Some(cvf) = self.device.get().and_then(Weak::upgrade) else {
            return;
        };
        let reaction = match reaction {
            Reaction::ResetDevice if !self.may_restart(&cvf) => Reaction::StopDevice,
            other => other,
        };
        let (device, uuid) = (cvf.spec().name.as_str(), Uuid::from_bytes(cvf.spec().uuid));
        if reaction >= Reaction::Audit && before < TOLD {
            tracing::info!(target: "audit", device, %uuid, what, count = now, "a guest did what it may not");
        }
        if reaction >= Reaction::Audit {
            self.record.lock().untold.add(reaction, times, denial);
            self.tell_rest(Instant::now());
            if self.has_untold()
                && let Some(teller) = self.teller.get()
            {
                teller.later();
            }
        }
        match reaction {
            Reaction::Count | Reaction::Audit => {}
            // The data plane has stopped it, and the driver may have reset it since.
            Reaction::ResetDevice => {
                if let Some(teller) = self.teller.get() {
                    teller.restart(&cvf, &self.restarting);
                }
            }
            // As above.
            Reaction::StopDevice if offence == Offence::MalformedRing => {}
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
