//! Looks at what guests' frames and rings were, once a second, for as long as anybody is connected.
//!
//! The data plane drops and counts; it tells nobody. One task for all devices reads a few counters of each
//! connected one and hands what has grown to the device's record ([`super::conduct`]). Where hardware works a
//! device's rings nothing grows: nobody is woken for it but to tell what its record was too early to tell.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use libcvf::cvf::{Cvf, Misbehaviour};
use parking_lot::Mutex;
use policies::profile::Offence;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::gate::DeviceGate;
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
    /// A device has come, has something to look at or to tell now, or none will come any more.
    work: Arc<Notify>,
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.work.notify_one();
    }
}

#[derive(Default)]
struct Watched {
    next: u64,
    posts: HashMap<u64, Arc<Post>>,
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
        runtime.spawn(walk(Arc::downgrade(&patrol.0), patrol.0.work.clone()));
        patrol
    }

    /// Watches a device from what it has counted so far.
    pub(super) fn watch(&self, cvf: &Arc<Cvf>, gate: &Arc<DeviceGate>) -> Watch {
        self.watch_subject(cvf.clone(), gate)
    }

    /// A device may have something to look at that had nothing.
    pub(super) fn wake(&self) {
        self.0.work.notify_one();
    }

    fn watch_subject(&self, subject: Arc<dyn Subject>, gate: &Arc<DeviceGate>) -> Watch {
        gate.conduct().wakes(&self.0.work);
        let post = Post {
            seen: Mutex::new(subject.misbehaviour()),
            subject,
            gate: gate.clone(),
        };
        let mut watched = self.0.watched.lock();
        let number = watched.next;
        watched.next += 1;
        watched.posts.insert(number, Arc::new(post));
        drop(watched);
        self.0.work.notify_one();
        Watch {
            patrol: self.clone(),
            number,
        }
    }
}

impl Watch {
    /// Who works the device's rings is somebody else now: looks once more at what was counted until then.
    pub(super) fn turned(&self) {
        let post = self
            .patrol
            .0
            .watched
            .lock()
            .posts
            .get(&self.number)
            .cloned();
        if let Some(post) = post {
            post.look();
        }
        self.patrol.0.work.notify_one();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let post = self.patrol.0.watched.lock().posts.remove(&self.number);
        if let Some(post) = post {
            post.look();
            post.gate.conduct().tell_all();
        }
    }
}

impl Post {
    /// There is something to look at, or to tell.
    fn is_due(&self) -> bool {
        self.subject.counts() || self.gate.conduct().has_untold()
    }

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

/// Walks while there is something to look at, else sleeps.
async fn walk(beat: Weak<Beat>, work: Arc<Notify>) {
    let mut clock = interval(PATROL_PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let posts: Vec<Arc<Post>> = {
            let Some(beat) = beat.upgrade() else { return };
            let watched = beat.watched.lock();
            let due = watched.posts.values().filter(|post| post.is_due());
            due.cloned().collect()
        };
        if posts.is_empty() {
            work.notified().await;
            continue;
        }
        for batch in posts.chunks(PATROL_BATCH) {
            for post in batch {
                post.look();
                post.gate.conduct().tell_rest(Instant::now());
            }
            tokio::task::yield_now().await;
        }
        drop(posts);
        clock.tick().await;
    }
}

#[cfg(test)]
mod tests;
