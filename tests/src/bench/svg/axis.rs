//! From figures to places, and which figures are written at an axis.

use crate::bench::report::figure;

/// Figures that are written at an axis, about.
const TICKS: f64 = 6.0;
/// Decades from which on only every power of ten is written.
const DECADES: f64 = 2.5;

/// An axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    place: [f64; 2],
}

impl Axis {
    /// From `low` to at least `high`, on a round figure.
    pub(super) fn linear(low: f64, high: f64, place: [f64; 2]) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = step(high - low);
        Axis {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            log: false,
            place,
        }
    }

    /// One that shows all `values`; those that a logarithm has no place for are left out.
    pub(super) fn around(values: impl Iterator<Item = f64>, log: bool, place: [f64; 2]) -> Self {
        let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (low, high) = shown.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return Axis::linear(0.0, 1.0, place);
        }
        if !log {
            return Axis::linear(low.min(0.0), high, place);
        }
        let (low, high) = (round(low, false), round(high, true));
        Axis {
            low,
            high: if high > low { high } else { low * 10.0 },
            log,
            place,
        }
    }

    /// Where a figure belongs; what is beyond the axis, at its end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        let [from, to] = self.place;
        from + (to - from) * share.clamp(0.0, 1.0)
    }

    /// Figures to write, with their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let values: Vec<f64> = if self.log {
            let few = (self.high / self.low).log10() <= DECADES;
            let first = self.low.log10().floor() as i32;
            let last = self.high.log10().ceil() as i32;
            let parts: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let all = (first..=last).flat_map(|power| {
                let decade = 10_f64.powi(power);
                parts.iter().map(move |part| part * decade)
            });
            let slack = 1e-9;
            let shown = |v: &f64| *v >= self.low * (1.0 - slack) && *v <= self.high * (1.0 + slack);
            all.filter(shown).collect()
        } else {
            let step = step(self.high - self.low);
            let count = ((self.high - self.low) / step).round() as u32;
            (0..=count)
                .map(|n| self.low + step * f64::from(n))
                .collect()
        };
        values
            .into_iter()
            .map(|value| (value, label(value)))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that a range has about [`TICKS`] of them.
fn step(range: f64) -> f64 {
    let rough = range / TICKS;
    let decade = 10_f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * decade);
    let mut fitting = nice.filter(|step| *step >= rough * 0.999);
    fitting.next().unwrap_or(10.0 * decade)
}

/// The next 1, 2 or 5 times a power of ten.
fn round(value: f64, up: bool) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].map(|n| n * decade);
    let found = if up {
        nice.into_iter().find(|n| *n >= value * 0.999_999)
    } else {
        nice.into_iter().rev().find(|n| *n <= value * 1.000_001)
    };
    found.unwrap_or(value)
}

fn label(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{}M", short(v / 1e6)),
        v if v >= 1e4 => format!("{}k", short(v / 1e3)),
        v => short(v),
    }
}

/// A figure without zeros that say nothing.
fn short(value: f64) -> String {
    let text = figure(value);
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}
