//! What is told of a run.

use super::*;
use crate::bench::row::Spec;

fn report(ratio: f64, failed: bool) -> Report {
    let spec = Spec::with_bar("a-row", "Mpps", Bar::AtLeast(2.0));
    let ours = Side::new("ours", vec![ratio]).unwrap();
    let peer = Side::new("peer", vec![1.0]).unwrap();
    let failed = failed.then(|| ("b".to_owned(), "no peer".to_owned()));
    Report {
        machine: Machine::default(),
        rows: vec![Row::new(spec, ours, Some(peer))],
        plots: Vec::new(),
        failed: failed.into_iter().collect(),
    }
}

#[test]
fn only_a_failure_to_measure_fails_unless_bars_are_enforced() {
    for (ratio, failed, enforce, ok) in [
        (2.0, false, true, true),
        (1.0, false, false, true),
        (1.0, false, true, false),
        (2.0, true, false, false),
    ] {
        assert_eq!(report(ratio, failed).json(enforce)["ok"], ok);
    }
}

#[test]
fn the_table_says_which_row_is_below_its_bar() {
    let table = report(1.0, true).table();
    assert!(table.contains(">=2"), "{table}");
    assert!(table.contains("BELOW THE BAR"), "{table}");
    assert!(table.contains("b: not measured: no peer"), "{table}");
    assert!(report(3.0, false).table().contains(", ok"));
}

#[test]
fn figures_keep_three_digits() {
    let all = [1234.5, 99.94, 1.234, 0.01234, 0.000_012_3, 0.0].map(figure);
    assert_eq!(all, ["1234", "99.9", "1.23", "0.0123", "1.2e-5", "0"]);
}
