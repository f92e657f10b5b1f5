//! Whether to look at a socket for a moment longer before waiting for it.
//!
//! A guest that reads registers waits for each reply and asks again at once: going to sleep and being
//! woken would then be most of the time of an access. So whoever asked again quickly before is
//! expected to do so once more. Who did not is not waited for, so an idle connection costs nothing,
//! and one that asks in bursts wastes one look a burst.

use std::time::{Duration, Instant};

use crate::limits::{LINGER, MAX_LINGERED};

/// The habits of one client. Owns no socket, reads no clock.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// When the last reply left, if nothing has come since.
    replied: Option<Instant>,
    quick: bool,
    in_a_row: u32,
}

impl Linger {
    /// Everything there was to reply has been sent.
    pub(super) fn replied(&mut self, now: Instant) {
        self.replied = Some(now);
    }

    /// Something has come.
    pub(super) fn received(&mut self, now: Instant) {
        let since = |replied| now.saturating_duration_since(replied);
        self.quick = self
            .replied
            .take()
            .is_some_and(|replied| since(replied) <= LINGER);
    }

    /// How long to look from now on; `None`: not at all. Every so often it is not at all, however
    /// quick the client is, so that others who are served by the same thread get their turn.
    pub(super) fn patience(&mut self) -> Option<Duration> {
        let wanted = self.quick && self.replied.is_some() && self.in_a_row < MAX_LINGERED;
        self.in_a_row = if wanted { self.in_a_row + 1 } else { 0 };
        wanted.then_some(LINGER)
    }
}

#[cfg(test)]
mod tests;
