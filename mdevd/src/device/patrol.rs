//! Looks at what guests' frames and rings were, once a second, for as long as anybody is connected.
//!
//! The data plane drops and counts; it tells nobody. One task for all devices reads a few counters of each
//! connected one and hands what has grown to the device's record ([`super::conduct`]).

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

/// The devices that somebody is connected to. Clones are the same; the task ends with the last of them.
#[derive(Clone, Default)]
pub(super) struct Patrol(Arc<Beat>);

#[derive(Default)]
struct Beat {
    watched: Mutex<Watched>,
    /// A device has come, or none will any more.
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
    cvf: Arc<Cvf>,
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
        let post = Post {
            seen: Mutex::new(cvf.misbehaviour()),
            cvf: cvf.clone(),
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
    /// Reports what has grown since the last look.
    fn look(&self) {
        let now = self.cvf.misbehaviour();
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

/// Walks while there is somebody to watch, else sleeps.
async fn walk(beat: Weak<Beat>, work: Arc<Notify>) {
    let mut clock = interval(PATROL_PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let posts: Vec<Arc<Post>> = {
            let Some(beat) = beat.upgrade() else { return };
            let watched = beat.watched.lock();
            watched.posts.values().cloned().collect()
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
