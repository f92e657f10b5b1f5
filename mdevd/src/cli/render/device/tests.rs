use super::*;
use crate::engine::DmaFaults;

#[test]
fn steering_is_told_in_a_line() {
    let mut shown = Steering::default();
    assert_eq!(steering(&shown), "chosen by the device");
    shown.hash_types = vec!["IPv4".to_owned(), "TCPv4".to_owned()];
    assert_eq!(steering(&shown), "chosen by the device; hash IPv4 TCPv4");
    shown.rss = true;
    shown.table = vec![3, 1, 0, 1, 6, 2, 3, 0];
    assert_eq!(
        steering(&shown),
        "rss, 8 entries over 0-3,6, others to 0; hash IPv4 TCPv4"
    );
}

#[test]
fn runs_join_neighbours() {
    assert_eq!(runs(&[]), "");
    assert_eq!(runs(&[5]), "5");
    assert_eq!(runs(&[0, 1, 2, 4, 65_535]), "0-2,4,65535");
}

#[test]
fn who_works_the_rings_is_told_with_the_reason_and_what_follows() {
    let told = |defined: &str, health: &Health| {
        let mut lines = Lines::new("vm1");
        data_path(&mut lines, defined, health);
        lines.out
    };
    let mut health = Health::default();
    assert_eq!(told("auto", &health), "vm1\n", "an older daemon");
    health.data_path = "copied".to_owned();
    health.data_path_reason = "its PF has no hardware".to_owned();
    assert_eq!(
        told("auto", &health),
        "vm1\n  data-path     copied (auto: its PF has no hardware)\n"
    );
    health.data_path = "direct".to_owned();
    health.data_path_reason = "it was asked for".to_owned();
    health.unenforced = vec!["rates".to_owned(), "capture".to_owned()];
    health.dma_faults = Some(DmaFaults::default());
    assert_eq!(
        told("direct", &health),
        "vm1\n  data-path     direct (it was asked for)\n  unenforced    rates, capture\n  dma faults    0\n"
    );
    let faults = |count, last: Option<&str>, unavailable: Option<&str>| DmaFaults {
        count,
        last: last.map(str::to_owned),
        unavailable: unavailable.map(str::to_owned),
    };
    for (faults, line) in [
        (faults(2, Some("a write"), None), "2 so far, last: a write"),
        (
            faults(0, None, Some("no such log")),
            "not known: no such log",
        ),
    ] {
        health.dma_faults = Some(faults);
        let shown = told("direct", &health);
        assert!(
            shown.ends_with(&format!("  dma faults    {line}\n")),
            "{shown}"
        );
    }
}
