//! Looks at what guests' frames and rings were, once a second, when something was counted.
//!
//! The data plane drops and counts; it tells nobody but by an alarm that all devices share. One task looks at that
//! once a second, for as long as anybody is connected, and where it was raised reads a few counters of each connected
//! device, and hands what has grown to the device's record ([`super::conduct`]). Where hardware works a
//! device's rings nothing grows: nobody is woken for it but to tell what its record was too early to tell.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Instant;

use libcvf::cvf::{Cvf, Misbehaviour};
use libcvf::dataplane::Alarm;
use parking_lot::Mutex;
use policies::profile::Offence;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::gate::DeviceGate;
use super::restart::Restarter;
use crate::limits::{PATROL_BATCH, PATROL_PERIOD};

/// What is looked at.
trait Subject: Send + Sync {
    /// Frames pass the data plane: there is something to look at.
    fn counts(&self) -> bool;

    /// What it has counted.
    fn misbehaviour(&self) -> Misbehaviour;
}

impl Subject for Cvf {
    fn counts(&self) -> bool {
        self.counts()
    }

    fn misbehaviour(&self) -> Misbehaviour {
        self.misbehaviour()
    }
}

/// The devices that somebody is connected to. Clones are the same; the task ends with the last of them.
#[derive(Clone, Default)]
pub(super) struct Patrol(Arc<Beat>);

#[derive(Default)]
struct Beat {
    watched: Mutex<Watched>,
    wake: Arc<Wake>,
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.wake.work.notify_one();
    }
}

/// How the task is told to look.
#[derive(Default)]
pub(super) struct Wake {
    /// Something was counted, or is left to be told.
    alarm: Arc<Alarm>,
    /// A device that counts has come, something is to be told now, or no device will come any more.
    work: Notify,
    restarter: Restarter,
}

impl Wake {
    /// Has a device start anew, unless that is under way.
    pub(super) fn restart(&self, device: &Arc<Cvf>, under_way: &Arc<AtomicBool>) {
        self.restarter.restart(device, under_way);
    }

    /// Something is left to be told later.
    pub(super) fn later(&self) {
        self.alarm.raise();
        self.work.notify_one();
    }
}

#[derive(Default)]
struct Watched {
    next: u64,
    seats: HashMap<u64, Seat>,
    /// How many of them count.
    counting: usize,
}

struct Seat {
    post: Arc<Post>,
    counts: bool,
}

impl Watched {
    /// Takes up which devices count now.
    fn recount(&mut self) {
        for seat in self.seats.values_mut() {
            seat.counts = seat.post.subject.counts();
        }
        self.counting = self.seats.values().filter(|seat| seat.counts).count();
    }
}

/// One connected device.
struct Post {
    subject: Arc<dyn Subject>,
    gate: Arc<DeviceGate>,
    seen: Mutex<Misbehaviour>,
}

/// Keeps a device watched. Dropping it takes a last look.
pub(super) struct Watch {
    patrol: Patrol,
    number: u64,
}

impl Patrol {
    /// Starts the task.
    pub(super) fn start(runtime: &Handle) -> Self {
        let patrol = Self::default();
        runtime.spawn(walk(Arc::downgrade(&patrol.0), patrol.0.wake.clone()));
        patrol
    }

    /// Watches a device from what it has counted so far.
    pub(super) fn watch(&self, cvf: &Arc<Cvf>, gate: &Arc<DeviceGate>) -> Watch {
        cvf.raises(&self.0.wake.alarm);
        self.watch_subject(cvf.clone(), gate)
    }

    /// Who works some device's rings is somebody else now.
    pub(super) fn turned(&self) {
        self.0.watched.lock().recount();
        self.0.wake.work.notify_one();
    }

    fn watch_subject(&self, subject: Arc<dyn Subject>, gate: &Arc<DeviceGate>) -> Watch {
        gate.conduct().wakes(&self.0.wake);
        let counts = subject.counts();
        let post = Arc::new(Post {
            seen: Mutex::new(subject.misbehaviour()),
            subject,
            gate: gate.clone(),
        });
        let mut watched = self.0.watched.lock();
        let number = watched.next;
        watched.next += 1;
        watched.counting += usize::from(counts);
        watched.seats.insert(number, Seat { post, counts });
        drop(watched);
        self.0.wake.work.notify_one();
        Watch {
            patrol: self.clone(),
            number,
        }
    }
}

impl Watch {
    /// Who works the device's rings is somebody else now: looks once more at what was counted until then.
    pub(super) fn turned(&self) {
        let watched = self.patrol.0.watched.lock();
        let post = watched
            .seats
            .get(&self.number)
            .map(|seat| seat.post.clone());
        drop(watched);
        if let Some(post) = post {
            post.look();
        }
        self.patrol.turned();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.patrol.0.watched.lock();
        if let Some(Seat { post, counts }) = watched.seats.remove(&self.number) {
            watched.counting -= usize::from(counts);
            drop(watched);
            post.look();
            post.gate.conduct().tell_all();
        }
    }
}

impl Post {
    /// Reports what has grown since the last look.
    fn look(&self) {
        let now = self.subject.misbehaviour();
        let before = std::mem::replace(&mut *self.seen.lock(), now);
        let grown = [
            (Offence::MalformedRing, now.rings, before.rings),
            (Offence::SpoofedFrame, now.spoofed, before.spoofed),
            (Offence::MalformedFrame, now.malformed, before.malformed),
        ];
        for (offence, now, before) in grown {
            self.gate.misbehaved(offence, now.saturating_sub(before));
        }
    }
}

/// Looks at the alarm while there is somebody who could raise it, else sleeps.
async fn walk(beat: Weak<Beat>, wake: Arc<Wake>) {
    let mut clock = interval(PATROL_PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (posts, counting) = {
            let Some(beat) = beat.upgrade() else { return };
            let watched = beat.watched.lock();
            let all = || {
                watched
                    .seats
                    .values()
                    .map(|seat| seat.post.clone())
                    .collect()
            };
            let posts: Vec<Arc<Post>> = wake.alarm.take().then(all).unwrap_or_default();
            (posts, watched.counting > 0)
        };
        let mut untold = false;
        for batch in posts.chunks(PATROL_BATCH) {
            for post in batch {
                let conduct = post.gate.conduct();
                post.look();
                conduct.tell_rest(Instant::now());
                untold |= conduct.has_untold();
            }
            tokio::task::yield_now().await;
        }
        drop(posts);
        if untold {
            wake.alarm.raise();
        }
        if counting || untold {
            clock.tick().await;
        } else {
            wake.work.notified().await;
        }
    }
}

#[cfg(test)]
mod tests;
