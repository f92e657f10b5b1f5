//! Figures out of samples.

use super::rows::ContenderId;
use super::traffic::Measured;

/// One measurement.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Who forwarded.
    pub contender: ContenderId,
    /// What the guests did.
    pub workload: &'static str,
    /// In which round.
    pub repetition: u32,
    /// What came of it.
    pub measured: Measured,
}

/// Median, least and greatest of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Median; of two middle ones their mean.
    pub median: f64,
    /// Least.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}

impl Spread {
    /// Sums a series up; none if it is empty.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Spread { median, min, max })
    }

    /// Distance of the extremes, as a part of the median.
    pub fn relative(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.max - self.min) / self.median
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(
            Spread::of(&[3.0, 1.0, 2.0]),
            Some(Spread {
                median: 2.0,
                min: 1.0,
                max: 3.0
            })
        );
        assert_eq!(Spread::of(&[4.0, 1.0]).map(|s| s.median), Some(2.5));
        assert_eq!(
            Spread::of(&[2.0, 3.0, 2.0]).map(|s| s.relative()),
            Some(0.5)
        );
    }
}
