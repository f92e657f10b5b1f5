//! Axes, and documents that are well formed whatever is drawn.

use super::axis::Axis;
use super::canvas::escape;
use super::*;
use crate::bench::stats::Spread;

fn labels(axis: &Axis) -> Vec<String> {
    axis.ticks().into_iter().map(|(_, label)| label).collect()
}

#[test]
fn linear_axes_end_on_round_figures() {
    let axis = Axis::linear(0.0, 9.3, [100.0, 0.0]);
    assert_eq!(labels(&axis), ["0", "2", "4", "6", "8", "10"]);
    assert_eq!(
        (axis.at(0.0), axis.at(5.0), axis.at(10.0)),
        (100.0, 50.0, 0.0)
    );
    assert_eq!(axis.at(99.0), 0.0, "what is beyond stays at the end");
    assert_eq!(Axis::linear(0.0, 0.0, [0.0, 1.0]).at(0.0), 0.0);
}

#[test]
fn logarithmic_axes_write_powers_and_what_lies_between() {
    let few = Axis::around([3.0, 70.0].into_iter(), true, [0.0, 1.0]);
    assert_eq!(labels(&few), ["2", "5", "10", "20", "50", "100"]);
    let many = Axis::around([1.0, 65_536.0].into_iter(), true, [0.0, 1.0]);
    assert_eq!(labels(&many), ["1", "10", "100", "1000", "10k", "100k"]);
    assert!((many.at(10.0) - 0.2).abs() < 1e-9);
}

#[test]
fn nothing_to_show_is_no_reason_to_fail() {
    for log in [false, true] {
        let axis = Axis::around([f64::NAN, f64::INFINITY].into_iter(), log, [0.0, 1.0]);
        assert!(!axis.ticks().is_empty());
        let zero = Axis::around([0.0].into_iter(), log, [0.0, 1.0]);
        assert!(zero.at(0.0).is_finite());
    }
}

#[test]
fn text_is_escaped() {
    assert_eq!(escape("a<b & \"c\">"), "a&lt;b &amp; &quot;c&quot;&gt;");
}

#[test]
fn every_element_is_closed_and_every_name_is_there() {
    let spread = Spread::of(&[1.0, 2.0, 3.0]).unwrap();
    let bars = Kind::Bars(vec![Group {
        label: "64 B".into(),
        bars: vec![("one & all".into(), spread), ("other".into(), spread)],
    }]);
    let lines = Kind::Lines {
        x: "devices".into(),
        log: [true, false],
        lines: vec![Line {
            name: "memory".into(),
            points: vec![(1.0, 5.0), (1024.0, 9.0)],
        }],
    };
    for (kind, names) in [
        (bars, vec!["one &amp; all", "other", "64 B"]),
        (lines, vec!["memory", "devices", "1000"]),
    ] {
        let plot = Plot {
            file: "f".into(),
            title: "a title".into(),
            y: "Mpps".into(),
            kind,
        };
        let svg = draw(&plot);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for name in names {
            assert!(svg.contains(&format!(">{name}</text>")), "{name}: {svg}");
        }
        for line in svg
            .lines()
            .filter(|l| !l.starts_with("<svg") && !l.starts_with("</svg"))
        {
            assert!(line.ends_with("/>") || line.ends_with("</text>"), "{line}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
