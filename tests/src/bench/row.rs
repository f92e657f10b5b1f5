//! One line of the result: a figure of ours beside a peer's, and the bar it should reach.

use serde_json::{Value, json};

use super::stats::Spread;

/// What is good enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// The ratio may not be less.
    AtLeast(f64),
    /// The ratio may not be more.
    AtMost(f64),
}

impl Bar {
    /// Whether a ratio is good enough. One that is no number never is.
    pub fn reached(self, ratio: f64) -> bool {
        match self {
            Bar::AtLeast(bar) => ratio >= bar,
            Bar::AtMost(bar) => ratio <= bar,
        }
    }

    /// The figure alone.
    pub fn value(self) -> f64 {
        match self {
            Bar::AtLeast(bar) | Bar::AtMost(bar) => bar,
        }
    }

    /// Its word in results.
    pub fn kind(self) -> &'static str {
        match self {
            Bar::AtLeast(_) => "at_least",
            Bar::AtMost(_) => "at_most",
        }
    }
}

/// A row before it is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Name in results and on the command line; begins with the family's prefix and a hyphen.
    pub name: String,
    /// Unit of the single figures. The ratio has none where there is a peer.
    pub unit: &'static str,
    /// What is good enough; none for a row that only informs.
    pub bar: Option<Bar>,
}

impl Spec {
    /// A row with a bar.
    pub fn with_bar(name: impl Into<String>, unit: &'static str, bar: Bar) -> Self {
        Spec {
            name: name.into(),
            unit,
            bar: Some(bar),
        }
    }

    /// A row that only informs.
    pub fn informative(name: impl Into<String>, unit: &'static str) -> Self {
        Spec {
            name: name.into(),
            unit,
            bar: None,
        }
    }
}

/// Figures of one contender, a figure for every round.
#[derive(Clone, Debug)]
pub struct Side {
    /// Whose.
    pub name: String,
    /// By round.
    pub samples: Vec<f64>,
    /// Summed up.
    pub spread: Spread,
}

impl Side {
    /// Sums figures up; none if there are none.
    pub fn new(name: impl Into<String>, samples: Vec<f64>) -> Option<Self> {
        Some(Side {
            name: name.into(),
            spread: Spread::of(&samples)?,
            samples,
        })
    }

    fn json(&self) -> Value {
        let Spread { median, min, max } = self.spread;
        json!({ "name": self.name, "median": median, "min": min, "max": max, "samples": self.samples })
    }
}

/// A row with its figures.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub spec: Spec,
    /// Ours.
    pub ours: Side,
    /// Whom that is compared with; none where a bar is about the figure itself.
    pub peer: Option<Side>,
    /// Ours by the peer's, of medians, or the median of that by round; without a peer, our median.
    pub ratio: f64,
    /// What spoils the row whatever its ratio, such as lost frames.
    pub fault: Option<String>,
    /// What else is worth keeping.
    pub details: Value,
}

impl Row {
    /// Puts both sides together.
    pub fn new(spec: Spec, ours: Side, peer: Option<Side>) -> Self {
        let ratio = match &peer {
            Some(peer) => ours.spread.median / peer.spread.median,
            None => ours.spread.median,
        };
        Self::with_ratio(spec, ours, peer, ratio)
    }

    /// The same for sides that took part in each round beside each other, where rounds differ more than sides do.
    ///
    /// # Panics
    /// If one side took part in more rounds than the other.
    pub fn by_rounds(spec: Spec, ours: Side, peer: Side) -> Self {
        assert_eq!(ours.samples.len(), peer.samples.len(), "figures by round");
        let both = ours.samples.iter().zip(&peer.samples);
        let ratios: Vec<f64> = both.map(|(ours, peer)| ours / peer).collect();
        let ratio = Spread::of(&ratios).map_or(f64::NAN, |spread| spread.median);
        let mut row = Self::with_ratio(spec, ours, Some(peer), ratio);
        row.details = json!({ "ratios": ratios });
        row
    }

    fn with_ratio(spec: Spec, ours: Side, peer: Option<Side>, ratio: f64) -> Self {
        Row {
            spec,
            ours,
            peer,
            ratio,
            fault: None,
            details: Value::Null,
        }
    }

    /// Whether it reaches its bar, if it has one, and nothing spoils it.
    pub fn ok(&self) -> bool {
        self.fault.is_none() && self.spec.bar.is_none_or(|bar| bar.reached(self.ratio))
    }

    /// As an object.
    pub fn json(&self) -> Value {
        // What is no number (nothing by nothing) is null.
        json!({
            "name": self.spec.name,
            "ratio": self.ratio,
            "bar": self.spec.bar.map(Bar::value),
            "bar_kind": self.spec.bar.map(Bar::kind),
            "ok": self.ok(),
            "unit": self.spec.unit,
            "ours": self.ours.json(),
            "peer": self.peer.as_ref().map(Side::json),
            "fault": self.fault,
            "details": self.details,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(samples: &[f64]) -> Side {
        Side::new("somebody", samples.to_vec()).unwrap()
    }

    fn row(bar: Option<Bar>, ours: &[f64], peer: Option<&[f64]>) -> Row {
        let (name, unit) = ("a-row".into(), "s");
        Row::new(Spec { name, unit, bar }, side(ours), peer.map(side))
    }

    #[test]
    fn the_ratio_is_that_of_medians_and_is_held_against_the_bar() {
        let at_least = Some(Bar::AtLeast(2.0));
        let good = row(at_least, &[4.0, 100.0, 3.0], Some(&[2.0, 1.0, 9.0]));
        assert_eq!(good.ratio, 2.0);
        assert!(good.ok());
        assert!(!row(at_least, &[3.9], Some(&[2.0])).ok());
        assert!(row(Some(Bar::AtMost(2.0)), &[4.0], Some(&[2.0])).ok());
        assert!(!row(Some(Bar::AtMost(2.0)), &[4.1], Some(&[2.0])).ok());
    }

    #[test]
    fn by_rounds_it_is_the_median_of_ratios() {
        let spec = Spec::with_bar("a-row", "s", Bar::AtMost(1.0));
        let row = Row::by_rounds(spec, side(&[1.0, 8.0, 30.0]), side(&[2.0, 10.0, 20.0]));
        assert_eq!(row.ratio, 0.8);
        assert!(row.ok());
        assert_eq!(row.json()["details"]["ratios"], json!([0.5, 0.8, 1.5]));
        assert_eq!(row.ours.spread.median, 8.0);
    }

    #[test]
    fn without_a_peer_the_bar_is_about_the_figure() {
        assert!(row(Some(Bar::AtMost(5.0)), &[5.0], None).ok());
        assert!(!row(Some(Bar::AtMost(5.0)), &[5.1], None).ok());
    }

    #[test]
    fn without_a_bar_only_a_fault_spoils() {
        let mut row = row(None, &[1.0], Some(&[0.0]));
        assert!(row.ok());
        row.fault = Some("3 frames lost".into());
        assert!(!row.ok());
        let value = row.json();
        assert_eq!(value["bar"], Value::Null);
        assert_eq!(value["ratio"], Value::Null);
    }

    #[test]
    fn no_number_reaches_no_bar() {
        assert!(!Bar::AtLeast(0.0).reached(f64::NAN));
        assert!(!Bar::AtMost(0.0).reached(f64::NAN));
    }

    #[test]
    fn objects_say_all_that_is_asked_of_them() {
        let value = row(Some(Bar::AtLeast(1.0)), &[1.0, 3.0], Some(&[2.0])).json();
        assert_eq!(value["name"], "a-row");
        assert_eq!(value["ratio"], 1.0);
        assert_eq!(value["bar"], 1.0);
        assert_eq!(value["bar_kind"], "at_least");
        assert_eq!(value["ok"], true);
        assert_eq!(value["ours"]["max"], 3.0);
        assert_eq!(value["peer"]["samples"], json!([2.0]));
    }
}
