use proptest::prelude::*;

use super::*;
use crate::limits::BURST;

/// Rates of which a token costs whole ticks, so that nothing is rounded.
fn rate(of: [u64; 4]) -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.8, prop::sample::select(of.to_vec()))
}

proptest! {
    /// Frames pass in turn while there is something left of both rates, and what a burst leaves is there for the
    /// next.
    #[test]
    fn a_burst_is_let_through_as_its_frames_would_be_one_by_one(
        bits in rate([8_000_000_000, 1_000_000_000, 100_000_000, 10_000_000]),
        frames in rate([10_000_000, 1_000_000, 100_000, 1000]),
        bursts in prop::collection::vec(
            (0..100_000_u64, prop::collection::vec(14..3000_usize, 1..=BURST)), 1..40),
    ) {
        let rates = PortRates {
            transmit_bits: bits,
            transmit_frames: frames,
            burst: Duration::from_micros(20),
            ..PortRates::default()
        };
        let (together, single) = (Rates::default(), Rates::default());
        together.set(&rates);
        single.set(&rates);
        let mut now = 1 << 62;
        for (nanos, lens) in bursts {
            now += nanos * TICKS;
            let at = together.at(now);
            let all = Frames::row(0, lens.len());
            let refused = together.transmit.refuse(at, all, |index| lens[index]);
            let mut wanted = Frames::default();
            for (index, len) in lens.iter().enumerate() {
                if single.transmit.take(at, 1, *len as u64).is_none() {
                    wanted.add(Frames::one(index));
                }
            }
            prop_assert_eq!(refused, wanted);
            if bits.is_none() && frames.is_none() {
                prop_assert!(refused.is_empty());
            }
        }
    }
}

#[test]
fn what_is_given_back_is_there_again() {
    let meter = Meter::default();
    meter.set(Some(8_000_000), Some(1000));
    let at = Moment {
        now: 1 << 62,
        burst: ticks(Duration::from_millis(100)),
    };
    let all = meter.take(at, 100, 100_000).expect("a full bucket");
    assert!(meter.take(at, 0, 1).is_none() && meter.take(at, 1, 0).is_none());
    meter.give(all);
    assert!(meter.take(at, 101, 1).is_none(), "more frames than fit");
    assert!(meter.take(at, 100, 100_000).is_some(), "bytes were kept");
}
