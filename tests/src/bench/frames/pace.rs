//! When frames are due, and how late they came.

use std::time::Duration;

use crate::bench::stats;

/// One frame of so many has its delay kept.
const SAMPLE_ONE_OF: u64 = 16;
/// Delays that are kept at most.
const SAMPLES: usize = 1 << 20;

/// A schedule of frames at equal distances. Delays count from when a frame was due, not from
/// when it was sent, so that a sender that was kept waiting does not hide it.
#[derive(Debug)]
pub struct Pace {
    start: Duration,
    /// Nanoseconds from frame to frame.
    interval: f64,
    /// Delays before this number are not kept.
    from: u64,
    delays: Vec<u32>,
}

impl Pace {
    /// `rate` frames a second from `start` on; delays are kept of frames due `warm_up` later.
    pub fn new(start: Duration, rate: f64, warm_up: Duration) -> Self {
        Pace {
            start,
            interval: 1e9 / rate,
            from: (warm_up.as_secs_f64() * rate) as u64,
            delays: Vec::with_capacity(SAMPLES),
        }
    }

    /// How many frames are due by `now`.
    #[inline]
    pub fn due(&self, now: Duration) -> u64 {
        (now.saturating_sub(self.start).as_nanos() as f64 / self.interval) as u64
    }

    /// A frame arrived.
    #[inline]
    pub fn arrived(&mut self, number: u64, now: Duration) {
        if number.is_multiple_of(SAMPLE_ONE_OF)
            && number >= self.from
            && self.delays.len() < SAMPLES
        {
            let due = (number as f64 * self.interval) as u128;
            let delay = now
                .saturating_sub(self.start)
                .as_nanos()
                .saturating_sub(due);
            self.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
        }
    }

    /// All delays that were kept, in nanoseconds.
    pub fn into_delays(self) -> Vec<u32> {
        self.delays
    }
}

/// Shares of frames whose greatest delay is told, with their names.
pub const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The percentiles of nanoseconds, in microseconds; none if there are none.
pub fn percentiles(delays: &mut [u32]) -> Option<[(&'static str, f64); 4]> {
    delays.sort_unstable();
    stats::percentile(delays, 0.5)?;
    let at = |share| stats::percentile(delays, share).map_or(0.0, |ns| f64::from(ns) / 1e3);
    Some(PERCENTILES.map(|(name, share)| (name, at(share))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_count_from_when_a_frame_was_due() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second, 1e6, Duration::from_micros(20));
        assert_eq!(pace.due(Duration::ZERO), 0);
        assert_eq!(pace.due(second + Duration::from_micros(99)), 99);
        pace.arrived(16, second + Duration::from_micros(50));
        pace.arrived(33, second + Duration::from_micros(50));
        pace.arrived(32, second + Duration::from_micros(50));
        pace.arrived(48, second);
        assert_eq!(
            pace.into_delays(),
            [18_000, 0],
            "warm-up and most others are left out"
        );
    }

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut delays: Vec<u32> = (1..=1000).rev().map(|us| us * 1000).collect();
        let found = percentiles(&mut delays).unwrap();
        assert_eq!(
            found,
            [
                ("p50", 500.0),
                ("p90", 900.0),
                ("p99", 990.0),
                ("p99.9", 999.0)
            ]
        );
        assert_eq!(percentiles(&mut []), None);
    }
}
