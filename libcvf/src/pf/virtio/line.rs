//! The interrupt of queues that share a vector.

use std::sync::Arc;

use super::ring::Signal;
use crate::dataplane::HardwareLine;
use crate::pf::events::Event;

/// An interrupt and what it is for.
pub(super) struct Line {
    signals: Vec<Arc<Signal>>,
    event: Event,
}

impl Line {
    pub(super) const fn new(signals: Vec<Arc<Signal>>, event: Event) -> Self {
        Self { signals, event }
    }
}

impl HardwareLine for Line {
    fn arm(&self) {
        let late = self.signals.iter().filter(|signal| signal.arm()).count();
        if late > 0 {
            // As the device would have done.
            let _ = self.event.write(1);
        }
    }

    fn disarm(&self) {
        for signal in &self.signals {
            signal.disarm();
        }
    }
}
