use unicode_width::UnicodeWidthStr;

use super::super::keys::Key;
use super::super::view::Sort;
use super::*;

fn rates(rx: f64) -> Option<Rates> {
    Some(Rates {
        rx: Flow {
            frames: rx,
            bytes: rx * 125.0,
            drops: 3.0,
        },
        tx: Flow::default(),
    })
}

fn rows(names: &[String]) -> Vec<Row<'_>> {
    names
        .iter()
        .enumerate()
        .map(|(n, name)| Row {
            name,
            pair: Some(0),
            rates: if n == 1 {
                None
            } else {
                rates(1_000.0 + n as f64)
            },
        })
        .collect()
}

fn status(devices: usize) -> Status<'static> {
    Status {
        devices,
        total: rates(1_234_567.0).unwrap_or_default(),
        interval: Duration::from_secs(2),
        error: None,
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("device-{n:04}")).collect()
}

fn shown(view: &View, count: usize, size: (usize, usize)) -> Vec<String> {
    let names = names(count);
    draw(
        Terminal::default(),
        view,
        &rows(&names),
        &status(count),
        size,
    )
}

#[test]
fn numbers_are_short() {
    for (number, text) in [
        (0.0, "0"),
        (0.5, "0.50"),
        (1.0, "1"),
        (12.34, "12.3"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1_234.0, "1.23k"),
        (99_960.0, "100k"),
        (12_345_678.0, "12.3M"),
        (40e9, "40.0G"),
        (9.999e12, "10.0T"),
    ] {
        assert_eq!(human(number), text);
        assert!(human(number).len() <= 5);
    }
}

#[test]
fn a_screen_shows_head_and_lines() {
    let view = View::new(Sort::Rx, String::new(), false);
    let lines = shown(&view, 3, (100, 24));
    assert_eq!(lines.len(), HEAD + 3);
    assert!(
        lines[0].starts_with("3 devices   rx 1.23M frame/s 1.23G bit/s"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("by rx"), "{lines:?}");
    let words: Vec<_> = lines[3].split_whitespace().collect();
    assert_eq!(words, ["device-0000", "1.00k", "1.00M", "3", "0", "0", "0"]);
    let words: Vec<_> = lines[4].split_whitespace().collect();
    assert_eq!(words[1..], ["-"; 6], "nothing to compare with yet");
}

#[test]
fn every_size_is_kept() {
    let mut view = View::new(Sort::Rx, "x".repeat(60), true);
    let wide: Vec<String> = (0..40)
        .map(|n| format!("網路卡-{n}-{}", "y".repeat(60)))
        .collect();
    for help in [false, true] {
        view.help = help;
        for width in 1..140 {
            for height in [0, 1, 2, 3, 4, 10, 24] {
                let error = Some("the daemon is away; \u{1b}[2J trying again");
                let status = Status {
                    error,
                    ..status(40)
                };
                let lines = draw(
                    Terminal::default(),
                    &view,
                    &rows(&wide),
                    &status,
                    (width, height),
                );
                assert!(lines.len() <= height, "{width}x{height}");
                for line in &lines {
                    assert!(line.width() <= width, "{width}x{height}: {line:?}");
                    assert!(!line.contains('\u{1b}'), "{line:?}");
                }
            }
        }
    }
}

#[test]
fn columns_go_in_order_of_importance() {
    let view = View::new(Sort::Rx, String::new(), false);
    let heading = |width| shown(&view, 1, (width, 24)).remove(2);
    assert!(heading(80).contains("TX FRAME/S") && heading(80).contains("RX DROP/S"));
    assert!(!heading(64).contains("TX FRAME/S") && heading(64).contains("RX FRAME/S"));
    assert!(!heading(45).contains("FRAME") && heading(45).contains("RX DROP/S"));
    assert!(heading(30).contains("RX BIT/S") && heading(30).contains("TX BIT/S"));
}

#[test]
fn pages_and_prompts() {
    let mut view = View::new(Sort::Rx, String::new(), true);
    let size = (90, 13);
    assert_eq!(page(13), 10);
    assert!(shown(&view, 1000, size)[2].contains("PAIR"));
    view.press(Key::End, 1000, page(13));
    let lines = shown(&view, 1000, size);
    assert_eq!(lines.len(), 13);
    assert!(lines[12].starts_with("device-0999"), "{lines:?}");
    // Fewer than before: the last page is full all the same.
    assert!(shown(&view, 12, size)[3].starts_with("device-0002"));
    view.press(Key::Char('/'), 12, 10);
    view.press(Key::Char('w'), 12, 10);
    assert_eq!(shown(&view, 12, size)[1], "names with: w_");
    view.press(Key::Enter, 12, 10);
    assert!(shown(&view, 12, size)[1].contains("names with 'w'"));
    view.press(Key::Char('?'), 12, 10);
    assert!(
        shown(&view, 12, (120, 24))
            .iter()
            .any(|line| line.contains("control-Z"))
    );
}
