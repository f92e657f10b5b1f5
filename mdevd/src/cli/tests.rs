use clap::Parser;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::address;
use super::args::{Args, Command};
use super::clock::utc;
use super::lifecycle;
use super::monitor;
use super::render;
use super::table::{KEEP, number, ranked, table, text, toned};
use super::terminal::{Terminal, Tone};
use crate::engine::{
    DeviceSummary, MostView, PfView, Resource, State, Stats, Taken, TakenOver, UplinkView,
};

#[test]
fn the_command_line_is_consistent() {
    super::command().debug_assert();
}

#[test]
fn global_options_stand_anywhere() {
    let args = Args::parse_from(["cvfctl", "show", "vm1", "--json", "--address", "/x"]);
    assert!(args.json);
    assert_eq!(args.address.as_deref(), Some("/x"));
}

#[test]
fn what_is_taken_over_says_what_follows() {
    let args = Args::parse_from(["cvfctl", "takeover", "fw1"]);
    assert!(matches!(args.command, Command::Takeover { name } if name == "fw1"));
    for wrong in [
        &["cvfctl", "takeover"][..],
        &["cvfctl", "takeover", "a", "b"],
    ] {
        Args::try_parse_from(wrong).expect_err("one device");
    }
    let answer = |result| TakenOver {
        result,
        name: "fw1".into(),
        notes: vec!["until then".into()],
    };
    assert_eq!(
        lifecycle::taken_over(&answer(Taken::Taken)),
        "fw1 taken over: the daemon works its rings\nnote: until then\n"
    );
    assert_eq!(
        lifecycle::taken_over(&answer(Taken::Already)),
        "fw1 is taken over already: the daemon works its rings\nnote: until then\n"
    );
    assert_eq!(json!(answer(Taken::Taken))["result"], "taken");
}

#[test]
fn addresses() {
    let parse = |text: &str| address::parse(text).map(|path| path.display().to_string());
    assert_eq!(parse("/run/x.sock"), Ok("/run/x.sock".into()));
    assert_eq!(parse("./x:y"), Ok("./x:y".into()));
    assert_eq!(parse("x.sock"), Ok("x.sock".into()));
    assert_eq!(parse("unix:path=/run/a%20b"), Ok("/run/a b".into()));
    assert_eq!(parse("unix:guid=0,path=/run/x"), Ok("/run/x".into()));
    for bad in [
        "",
        "unix:path=",
        "unix:path=/a%2",
        "unix:path=/a%zz",
        "tcp:host=h,port=1",
        "unix:abstract=x",
        "unix:",
        "nonsense:",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

fn width(text: &str) -> usize {
    text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
}

fn wide(columns: usize) -> Terminal {
    Terminal {
        width: Some(columns),
        colour: false,
    }
}

#[test]
fn columns_are_left_out_in_order_and_told() {
    let row = vec![
        text("web1"),
        text("ready"),
        text("52:54:00:12:34:56"),
        number(4_294_967_296u64),
        text("running"),
    ];
    let heading = ["NAME", "STATE", "MAC", "BYTES", "DRIVER"];
    let ranks = [KEEP, KEEP, 3, 2, 1];
    let at = |columns| ranked(wide(columns), &heading, &ranks, std::slice::from_ref(&row));
    assert!(!at(51).contains("no room"), "{}", at(51));
    let cut = at(48);
    assert!(
        cut.contains("52:54:00") && cut.contains('…') && !cut.contains("no room"),
        "a text gives way before a column does: {cut}"
    );
    let mut left_out = 0;
    for columns in (11..=60).rev() {
        let shown = at(columns);
        assert!(width(&shown) <= columns, "{columns}: {shown}");
        assert!(shown.contains("NAME") && shown.contains("STATE"), "{shown}");
        let now = ["MAC", "BYTES", "DRIVER"]
            .map(|name| !shown.lines().next().unwrap_or("").contains(name));
        assert!(
            now.is_sorted_by(|a, b| a >= b),
            "MAC goes first, DRIVER last: {shown}"
        );
        let count = now.into_iter().filter(|gone| *gone).count();
        assert!(count >= left_out, "{columns}: {shown}");
        left_out = count;
        assert!(count == 0 || shown.contains("(no r"), "{shown}");
        assert!(
            now[1] || shown.contains("4294967296"),
            "numbers are whole: {shown}"
        );
    }
    assert_eq!(left_out, 3);
}

#[test]
fn wide_and_invisible_characters_are_counted_as_they_show() {
    let rows = vec![
        vec![text("網路卡一二三四五六七八"), text("x")],
        vec![text("a\u{202e}b\u{200b}c\u{9b}31m"), text("y")],
    ];
    let all = table(Terminal::default(), &["NAME", "B"], &rows);
    assert!(!all.contains(['\u{202e}', '\u{200b}', '\u{9b}']), "{all:?}");
    let places = |end: &str| {
        let line = all
            .lines()
            .find(|line| line.ends_with(end))
            .unwrap_or_default();
        line.width() - 1
    };
    assert_eq!(places("x"), places("y"), "{all}");
    for columns in 8..30 {
        let shown = table(wide(columns), &["NAME", "B"], &rows);
        assert!(
            width(&shown) <= columns.max(LEAST_TABLE),
            "{columns}: {shown}"
        );
    }
}

/// Six columns of name, a gap, one of B.
const LEAST_TABLE: usize = 9;

#[test]
fn tables_fit_the_terminal() {
    let rows = vec![
        vec![
            text("a".repeat(60)),
            text("b".repeat(50)),
            number(12_345u64),
        ],
        vec![text("short"), text("x"), number(1u64)],
    ];
    let wide = table(Terminal::default(), &["NAME", "WHY", "N"], &rows);
    assert_eq!(width(&wide), 60 + 2 + 50 + 2 + 5);
    let narrow = table(
        Terminal {
            width: Some(40),
            colour: false,
        },
        &["NAME", "WHY", "N"],
        &rows,
    );
    assert!(width(&narrow) <= 40, "{narrow}");
    assert!(
        narrow.contains('…') && narrow.contains("12345"),
        "numbers are not cut: {narrow}"
    );
    let hopeless = table(
        Terminal {
            width: Some(3),
            colour: false,
        },
        &["NAME", "WHY", "N"],
        &rows,
    );
    assert!(width(&hopeless) < 30, "{hopeless}");
}

#[test]
fn colour_only_where_welcome_and_control_characters_never() {
    let rows = vec![vec![toned(Tone::Bad, "failed"), text("evil\x1b[2J\ntext")]];
    let plain = table(Terminal::default(), &["A", "B"], &rows);
    assert!(!plain.contains('\x1b'), "{plain:?}");
    assert_eq!(plain.lines().count(), 2);
    let colour = table(
        Terminal {
            width: None,
            colour: true,
        },
        &["A", "B"],
        &rows,
    );
    assert!(
        colour.contains("\x1b[31mfailed\x1b[0m") && !colour.contains("[2J\n"),
        "{colour:?}"
    );
    assert!(!colour.contains("\x1b[2J"), "{colour:?}");
}

#[test]
fn a_failed_device_shows_its_reason_in_the_list() {
    let device = DeviceSummary {
        name: "vm1".into(),
        state: State::Failed,
        uuid: String::new(),
        pf: "soft0".into(),
        personality: "virtio-net".into(),
        queue_pairs: 1,
        mac: "02:00:00:00:00:01".into(),
        mtu: 1500,
        profile: "lab".to_owned(),
        vlan: None,
        trunk: None,
        socket: String::new(),
        driver: String::new(),
        link: String::new(),
        persistent: true,
        start: "auto".to_owned(),
        order: 0,
        reason: Some("PF soft0 has 0 of 2 queue pairs free".into()),
    };
    let list = render::list(Terminal::default(), &[device]);
    assert!(
        list.contains("failed") && list.contains("0 of 2 queue pairs free"),
        "{list}"
    );
}

#[test]
fn a_pf_shows_how_busy_its_workers_are() {
    let mut pf = PfView {
        most_each: Vec::new(),
        most_mtu: None,
        exclusive: None,
        groups: Vec::new(),
        lost: None,
        name: "soft0".into(),
        kind: "soft".into(),
        workers: 2,
        worker_loads: vec![973, 0],
        uplink: UplinkView::default(),
        devices: 1,
        resources: Vec::new(),
    };
    let shown = render::pf(Terminal::default(), &pf);
    assert!(shown.contains("2, busy 97.3 %, 0.0 %"), "{shown}");
    pf.worker_loads.clear();
    let shown = render::pf(Terminal::default(), &pf);
    assert!(!shown.contains("busy"), "of an older daemon: {shown}");
}

#[test]
fn a_pf_shows_what_one_device_gets_at_most() {
    let most = |kind: &str, count| MostView {
        kind: kind.into(),
        count,
    };
    let mut pf = PfView {
        most_each: vec![most("queue-pairs", 1), most("filters", 3)],
        most_mtu: Some(2030),
        exclusive: None,
        groups: Vec::new(),
        lost: None,
        name: "nic0".into(),
        kind: "igb".into(),
        workers: 1,
        worker_loads: Vec::new(),
        uplink: UplinkView {
            kind: "igb".into(),
            name: Some("0000:03:00.0".into()),
            up: true,
            ..UplinkView::default()
        },
        devices: 0,
        resources: Vec::new(),
    };
    let shown = render::pf(Terminal::default(), &pf);
    assert!(
        shown.contains("  each device   at most 1 queue pair, 3 filters, MTU 2030\n"),
        "{shown}"
    );
    assert!(shown.contains("igb 0000:03:00.0, up"), "{shown}");
    (pf.most_each, pf.most_mtu) = (Vec::new(), None);
    let shown = render::pf(Terminal::default(), &pf);
    assert!(!shown.contains("each device"), "{shown}");
    assert!(!shown.contains("lost"), "{shown}");
    pf.uplink.up = false;
    pf.lost = Some("the PF's function 0000:03:00.0 has gone".into());
    let shown = render::pf(Terminal::default(), &pf);
    assert!(
        shown.contains("  lost          the PF's function 0000:03:00.0 has gone\n"),
        "{shown}"
    );
    let listed = render::pfs(Terminal::default(), &[pf]);
    assert!(listed.contains("igb 0000:03:00.0, lost"), "{listed}");
}

#[test]
fn a_pf_that_one_device_has_as_a_whole_says_whose_it_is() {
    let mut pf = PfView {
        most_each: Vec::new(),
        most_mtu: None,
        exclusive: Some("fast".into()),
        lost: None,
        groups: Vec::new(),
        name: "nic0".into(),
        kind: "virtio-net".into(),
        workers: 1,
        worker_loads: Vec::new(),
        uplink: UplinkView::default(),
        devices: 1,
        resources: vec![Resource {
            kind: "queue-pairs".into(),
            total: 64,
            free: 63,
        }],
    };
    let shown = render::pf(Terminal::default(), &pf);
    let line = "  exclusive     fast has it as a whole (data path 'direct'): there is no other device on it\n";
    assert!(shown.contains(line), "{shown}");
    let list = render::pfs(Terminal::default(), std::slice::from_ref(&pf));
    assert!(
        list.contains("none: all fast's") && !list.contains("63 of 64"),
        "{list}"
    );
    pf.exclusive = None;
    let shown = render::pf(Terminal::default(), &pf);
    assert!(!shown.contains("exclusive"), "{shown}");
    let list = render::pfs(Terminal::default(), &[pf]);
    assert!(list.contains("63 of 64"), "{list}");
}

#[test]
fn frames_that_nobody_counts_are_not_told_as_none() {
    let mut stats = Stats {
        name: "vm1".into(),
        ..Stats::default()
    };
    let shown = render::stats(Terminal::default(), &stats);
    assert!(!shown.contains("not counted"), "{shown}");
    stats.uncounted = true;
    let shown = render::stats(Terminal::default(), &stats);
    assert!(
        shown.contains("  frames        not counted: hardware works its rings"),
        "{shown}"
    );
}

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_400, "2000-02-29T00:00:00.000000Z"),
        (951_868_799, "2000-02-29T23:59:59.000000Z"),
        (1_709_251_200, "2024-03-01T00:00:00.000000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
    ] {
        assert_eq!(utc(seconds * 1_000_000), text);
    }
    assert_eq!(utc(1), "1970-01-01T00:00:00.000001Z");
}

#[test]
fn events_as_lines() {
    let cases = [
        (
            json!({"event": "created", "mac": "52:54:00:00:00:01", "uuid": "u", "pf": "soft0"}),
            "vm1 created: 52:54:00:00:00:01, uuid u, pf soft0",
        ),
        (json!({"event": "destroyed"}), "vm1 destroyed"),
        (
            json!({"event": "changed", "attributes": ["link", "mtu"]}),
            "vm1 changed: link, mtu",
        ),
        (
            json!({"event": "connected", "client": {"pid": 7, "uid": 8, "gid": 9}}),
            "vm1 connected: process 7 (uid 8)",
        ),
        (json!({"event": "disconnected"}), "vm1 disconnected"),
        (
            json!({"event": "driver", "driver": "running"}),
            "vm1 driver: running",
        ),
        (json!({"event": "denied", "message": "m"}), "vm1 denied: m"),
        (
            json!({"event": "denied", "message": "m", "count": 1, "reaction": "audit"}),
            "vm1 denied: m",
        ),
        (
            json!({"event": "denied", "message": "m", "count": 7, "reaction": "disconnect"}),
            "vm1 denied: m (7 times since the last such event); its client is cut off",
        ),
        (json!({"event": "of-tomorrow"}), "vm1 of-tomorrow"),
    ];
    for (mut event, line) in cases {
        event["device"] = json!("vm1");
        event["time_us"] = json!(2_000_000);
        assert_eq!(
            monitor::text(&event),
            format!("1970-01-01T00:00:02.000000Z {line}\n")
        );
    }
    let missed = json!({"event": "missed", "count": 3});
    assert!(monitor::text(&missed).starts_with("missed 3 events"));
}
