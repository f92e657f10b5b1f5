//! Pictures as SVG, written by hand: bars with whiskers, and lines.
//!
//! It draws what [`super::plot`] describes and knows nothing of benchmarks.

mod axis;
mod canvas;
#[cfg(test)]
mod tests;

use self::axis::Axis;
use self::canvas::{Anchor, Canvas};
use super::plot::{Group, Kind, Line, Plot};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 480.0;
/// Where the plot's area begins and ends: left, top, right, bottom.
const AREA: [f64; 4] = [84.0, 56.0, 780.0, 412.0];
/// Colours that people with any kind of colour vision tell apart (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#555555",
];

/// Draws a picture.
pub fn draw(plot: &Plot) -> String {
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    canvas.text(WIDTH / 2.0, 30.0, 18.0, Anchor::Middle, &plot.title);
    let middle = f64::midpoint(AREA[1], AREA[3]);
    canvas.upright(22.0, middle, 14.0, &plot.y);
    match &plot.kind {
        Kind::Bars(groups) => bars(&mut canvas, groups),
        Kind::Lines { x, log, lines } => graph(&mut canvas, x, *log, lines),
    }
    canvas.finish()
}

fn colour(nth: usize) -> &'static str {
    COLOURS[nth % COLOURS.len()]
}

fn legend(canvas: &mut Canvas, names: &[&str]) {
    for (nth, name) in names.iter().enumerate() {
        let y = AREA[1] + 8.0 + 24.0 * nth as f64;
        canvas.rect(AREA[2] + 18.0, y - 11.0, 14.0, 14.0, colour(nth));
        canvas.text(AREA[2] + 40.0, y + 1.0, 14.0, Anchor::Start, name);
    }
}

/// Lines across the area with their figures at its left.
fn levels(canvas: &mut Canvas, axis: &Axis) {
    for (value, label) in axis.ticks() {
        let y = axis.at(value);
        canvas.line([AREA[0], y], [AREA[2], y], "#dddddd", 1.0);
        canvas.text(AREA[0] - 8.0, y + 5.0, 13.0, Anchor::End, &label);
    }
    canvas.line([AREA[0], AREA[3]], [AREA[2], AREA[3]], "#333333", 1.5);
}

fn bars(canvas: &mut Canvas, groups: &[Group]) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in groups.iter().flat_map(|group| &group.bars) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let all = groups.iter().flat_map(|group| &group.bars);
    let highest = all.map(|(_, spread)| spread.max).fold(0.0, f64::max);
    let y = Axis::linear(0.0, highest, [AREA[3], AREA[1]]);
    levels(canvas, &y);
    let width = (AREA[2] - AREA[0]) / groups.len().max(1) as f64;
    let bar = (width * 0.8 / names.len().max(1) as f64).min(60.0);
    for (nth, group) in groups.iter().enumerate() {
        let middle = AREA[0] + width * (nth as f64 + 0.5);
        let left = middle - bar * names.len() as f64 / 2.0;
        for (name, spread) in &group.bars {
            let place = names.iter().position(|known| known == name).unwrap_or(0);
            let x = left + bar * place as f64;
            let top = y.at(spread.median);
            canvas.rect(x + 1.0, top, bar - 2.0, AREA[3] - top, colour(place));
            let (low, high, x) = (y.at(spread.min), y.at(spread.max), x + bar / 2.0);
            canvas.line([x, low], [x, high], "#111111", 1.5);
            for end in [low, high] {
                canvas.line([x - 4.0, end], [x + 4.0, end], "#111111", 1.5);
            }
        }
        canvas.text(middle, AREA[3] + 22.0, 14.0, Anchor::Middle, &group.label);
    }
    legend(canvas, &names);
}

fn graph(canvas: &mut Canvas, x_name: &str, log: [bool; 2], lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| &line.points);
    let x = Axis::around(points().map(|p| p.0), log[0], [AREA[0], AREA[2]]);
    let y = Axis::around(points().map(|p| p.1), log[1], [AREA[3], AREA[1]]);
    levels(canvas, &y);
    for (value, label) in x.ticks() {
        let at = x.at(value);
        canvas.line([at, AREA[3]], [at, AREA[3] + 5.0], "#333333", 1.5);
        canvas.text(at, AREA[3] + 22.0, 13.0, Anchor::Middle, &label);
    }
    let middle = f64::midpoint(AREA[0], AREA[2]);
    canvas.text(middle, AREA[3] + 48.0, 14.0, Anchor::Middle, x_name);
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    for (nth, line) in lines.iter().enumerate() {
        let points: Vec<[f64; 2]> = line.points.iter().map(|p| [x.at(p.0), y.at(p.1)]).collect();
        canvas.path(&points, colour(nth));
        for [x, y] in points {
            canvas.dot(x, y, colour(nth));
        }
    }
    legend(canvas, &names);
}
