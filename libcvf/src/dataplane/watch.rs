//! Ports that somebody looks at: where frames pass, they are shown to their taps.
//!
//! A port without taps takes no step for this: that it has some is one of the bits for which its frames leave the
//! short way.

use std::sync::Arc;

use super::counters::{Drop, QueueCounters};
use super::deliver::Batch;
use super::policed::Policed;
use super::port::Port;
use super::tap::{Tap, Wanted, Way};
use crate::limits::{BURST, MAX_TAPS};
use crate::ring::{Frames, Payload};
use crate::sync::{ArcSwap, Mutex};

/// Why nobody can look at a port.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// As many look at it as may.
    #[error("{MAX_TAPS} captures of it are running, and that is the limit for one device")]
    TooMany,
    /// Its frames pass nobody who could copy them.
    #[error(
        "hardware works the device's rings itself (data path direct), and its frames pass nobody who could copy them"
    )]
    Unseen,
    /// It was taken from the switch.
    #[error("the device is being taken away")]
    Gone,
    /// The system has no event left.
    #[error("no event could be made for it: {0}")]
    Event(#[from] std::io::Error),
}

/// A port's taps.
#[derive(Default)]
pub(super) struct Taps {
    list: ArcSwap<Vec<Arc<Tap>>>,
    /// Held while that changes. True: it is over, for good.
    change: Mutex<bool>,
}

impl Taps {
    /// Shows a frame, `head` followed by `tail`, to all of them.
    pub(super) fn show(&self, way: Way, dropped: Option<Drop>, head: &[u8], tail: Payload<'_>) {
        for tap in self.list.load().iter() {
            tap.show(way, dropped, head, tail);
        }
    }
}

impl Port {
    /// Has what passes here copied from the next burst on.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn tap(&self, wanted: Wanted) -> Result<Arc<Tap>, TapError> {
        let over = self.taps.change.lock();
        let mut list = Vec::clone(&self.taps.list.load());
        if *over {
            return Err(TapError::Gone);
        }
        if list.len() >= MAX_TAPS {
            return Err(TapError::TooMany);
        }
        let tap = Arc::new(Tap::new(wanted)?);
        list.push(Arc::clone(&tap));
        self.taps.list.store(Arc::new(list));
        self.watch(true);
        Ok(tap)
    }

    /// Ends that.
    pub fn untap(&self, tap: &Arc<Tap>) {
        let _change = self.taps.change.lock();
        let mut list = Vec::clone(&self.taps.list.load());
        list.retain(|other| !Arc::ptr_eq(other, tap));
        self.watch(!list.is_empty());
        self.taps.list.store(Arc::new(list));
    }

    /// How many look at it.
    pub fn taps(&self) -> usize {
        self.taps.list.load().len()
    }

    /// Ends all, for good.
    pub fn end_taps(&self) {
        let mut over = self.taps.change.lock();
        *over = true;
        self.watch(false);
        let list = self.taps.list.load();
        self.taps.list.store(Arc::default());
        for tap in list.iter() {
            tap.end();
        }
    }
}

/// What became of a watched sender's burst.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Somebody looks.
    on: bool,
    dropped: [Option<Drop>; BURST],
    /// Frames that were shown.
    shown: usize,
}

impl Fates {
    /// A burst begins, whose sender is watched.
    pub(super) fn begin(&mut self) {
        *self = Self {
            on: true,
            ..Self::default()
        };
    }

    /// The burst is over.
    pub(super) const fn end(&mut self) {
        self.on = false;
    }

    /// Notes why a frame was dropped.
    pub(super) fn note(&mut self, index: usize, reason: Drop) {
        if let Some(fate) = self.dropped.get_mut(index).filter(|_| self.on) {
            *fate = Some(reason);
        }
    }
}

impl Batch<'_, '_> {
    /// Drops a frame that its sender must not or cannot send.
    pub(super) fn refuse(&mut self, index: usize, reason: Drop, counters: &QueueCounters) {
        counters.drop(reason);
        self.desk.fates.note(index, reason);
    }

    /// Before anything of them is delivered: shows a watched sender's frames up to `next`, about which all is
    /// decided. What was copied of them is shown, and of the rest what is there now.
    #[inline]
    pub(super) fn show_sent(&mut self, next: usize) {
        if self.desk.fates.on {
            self.show_sent_up_to(next);
        }
    }

    #[inline(never)]
    fn show_sent_up_to(&mut self, next: usize) {
        let fates = &mut self.desk.fates;
        let Some(sender) = self.sender else {
            return;
        };
        for index in fates.shown..next.min(BURST) {
            let (head, tail) = self.burst.parts(index);
            sender.taps.show(Way::Out, fates.dropped[index], head, tail);
        }
        fates.shown = next;
    }

    /// Frames for a watched receiver go the way on which each is shown.
    pub(super) fn look_at(&mut self, frames: Frames, port: &Port) {
        if port.policed().any(Policed::TAPPED) {
            self.plain.remove(frames);
        }
    }

    /// Frames on the way to a port are dropped.
    #[inline(never)]
    pub(super) fn lose(
        &self,
        frames: Frames,
        reason: Drop,
        (port, counters): (&Port, &QueueCounters),
    ) {
        counters.drop_many(reason, frames.count() as u64);
        if port.policed().any(Policed::TAPPED) {
            for index in frames {
                let (head, tail) = self.burst.parts(index);
                port.taps.show(Way::In, Some(reason), head, tail);
            }
        }
    }
}
