//! How sure a mean is.

/// Mean with its 95% interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Student's interval of a series; none of fewer than three figures.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        if values.len() < 3 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let freedom = count - 1.0;
        let half = quantile(freedom) * (squares / freedom / count).sqrt();
        Some(Interval {
            mean,
            low: mean - half,
            high: mean + half,
        })
    }
}

/// The 97.5% quantile of Student's distribution, by Fisher's expansion around the normal one.
fn quantile(freedom: f64) -> f64 {
    let z = 1.959_964_f64;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    z + first / freedom + second / freedom.powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, table) in [(9.0, 2.262), (29.0, 2.045), (99.0, 1.984)] {
            assert!((quantile(freedom) - table).abs() < 0.005, "{freedom}");
        }
    }

    #[test]
    fn the_interval_lies_around_the_mean() {
        let interval = Interval::of(&[1.0, 1.1, 0.9, 1.0, 1.05, 0.95]).unwrap();
        assert!((interval.mean - 1.0).abs() < 1e-9);
        assert!(interval.low < 1.0 && interval.low > 0.9);
        assert_eq!(Interval::of(&[1.0, 1.0]), None);
    }
}
