//! What a picture shows, before it is drawn.

use super::stats::Spread;

/// A picture.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Name of its file, without ending.
    pub file: String,
    /// What it shows.
    pub title: String,
    /// What the y axis counts, with unit.
    pub y: String,
    /// What is drawn.
    pub kind: Kind,
}

/// How it is drawn.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Bars with whiskers from the least to the greatest, in groups.
    Bars(Vec<Group>),
    /// Lines through points.
    Lines {
        /// What the x axis counts, with unit.
        x: String,
        /// Whether each axis is logarithmic: x, y.
        log: [bool; 2],
        /// The lines.
        lines: Vec<Line>,
    },
}

/// Bars that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    /// What stands below them.
    pub label: String,
    /// Who, and how much. The same name has the same colour in every group.
    pub bars: Vec<(String, Spread)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who.
    pub name: String,
    /// Points, x rising.
    pub points: Vec<(f64, f64)>,
}
