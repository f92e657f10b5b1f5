//! Figures out of samples.

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
}

/// The value below which `share` (0 to 1) of a sorted series lies: the nearest rank, so that it
/// is always one that was measured. None if there is none.
pub fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[rank.saturating_sub(1).min(last)])
}

/// The highest rate between `low` and `high` that `holds`, found by halving `steps` times, under
/// the assumption that whatever is below a rate that holds does, too. `low` if none does.
///
/// # Errors
/// Fails when `holds` does.
pub fn highest<E>(
    low: f64,
    high: f64,
    steps: u32,
    mut holds: impl FnMut(f64) -> Result<bool, E>,
) -> Result<f64, E> {
    let (mut low, mut high) = (low, high);
    for _ in 0..steps {
        let middle = f64::midpoint(low, high);
        if holds(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Spread::of(&[]), None);
        let odd = Spread::of(&[3.0, 1.0, 2.0]);
        let (median, min, max) = (2.0, 1.0, 3.0);
        assert_eq!(odd, Some(Spread { median, min, max }));
        assert_eq!(Spread::of(&[4.0, 1.0]).map(|s| s.median), Some(2.5));
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<u32> = (1..=1000).collect();
        assert_eq!(percentile(&values, 0.5), Some(500));
        assert_eq!(percentile(&values, 0.999), Some(999));
        assert_eq!(percentile(&values, 1.0), Some(1000));
        assert_eq!(percentile(&values, 0.0), Some(1));
        assert_eq!(percentile(&[7], 0.9), Some(7));
        assert_eq!(percentile::<u32>(&[], 0.9), None);
    }

    #[test]
    fn the_search_ends_just_below_what_no_longer_holds() {
        let found = highest(0.0, 8.0, 20, |rate| Ok::<_, ()>(rate <= 3.3)).unwrap();
        assert!(found <= 3.3 && found > 3.2999);
        assert_eq!(highest(1.0, 2.0, 5, |_| Ok::<_, ()>(false)), Ok(1.0));
        assert_eq!(highest(1.0, 2.0, 5, |_| Err(())), Err(()));
    }
}
