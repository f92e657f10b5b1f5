use super::super::rates::Flow;
use super::*;

fn device(name: &str, rx: f64, tx: f64, drops: f64) -> DeviceRates {
    let flow = |bytes, drops| Flow {
        frames: bytes / 100.0,
        bytes,
        drops,
    };
    let rates = Some(Rates {
        rx: flow(rx, drops),
        tx: flow(tx, 0.0),
    });
    DeviceRates {
        name: name.to_owned(),
        rates,
        pairs: vec![(0, rates), (1, None)],
    }
}

fn view() -> View {
    View::new(Sort::Rx, String::new(), false)
}

fn names(view: &View) -> Vec<String> {
    let devices = [
        device("web2", 5.0, 9.0, 0.0),
        device("db1", 7.0, 1.0, 3.0),
        device("web1", 5.0, 2.0, 4.0),
        DeviceRates {
            name: "new".to_owned(),
            rates: None,
            pairs: Vec::new(),
        },
    ];
    view.rows(&devices)
        .iter()
        .map(|row| row.name.to_owned())
        .collect()
}

#[test]
fn lines_are_sorted_and_ties_stay_in_place() {
    let mut view = view();
    assert_eq!(names(&view), ["db1", "web1", "web2", "new"]);
    for (key, expected) in [
        (Key::Char('s'), ["web2", "web1", "db1", "new"]),
        (Key::Char('s'), ["web1", "db1", "new", "web2"]),
        (Key::Right, ["db1", "new", "web1", "web2"]),
        (Key::Char('r'), ["web2", "web1", "new", "db1"]),
    ] {
        assert_eq!(view.press(key, 4, 10), Some(Action::Draw));
        assert_eq!(names(&view), expected);
    }
    view.press(Key::Char('r'), 4, 10);
    view.press(Key::Char('s'), 4, 10);
    view.press(Key::Left, 4, 10);
    assert_eq!(view.sort, Sort::Name);
}

#[test]
fn a_filter_is_typed_and_given_up() {
    let mut view = view();
    for key in "/web".chars() {
        view.press(Key::Char(key), 4, 10);
    }
    assert_eq!(names(&view), ["web1", "web2"]);
    assert_eq!(
        view.press(Key::Char('q'), 2, 10),
        Some(Action::Draw),
        "a letter"
    );
    view.press(Key::Backspace, 0, 10);
    view.press(Key::Enter, 2, 10);
    assert_eq!((names(&view).len(), view.typing), (2, false));
    view.press(Key::Char('/'), 2, 10);
    view.press(Key::Escape, 2, 10);
    assert_eq!(names(&view).len(), 4);
    view.press(Key::Char('/'), 2, 10);
    for _ in 0..1000 {
        view.press(Key::Char('é'), 2, 10);
    }
    assert!(view.filter.len() <= MAX_FILTER + 1);
}

#[test]
fn scrolling_stays_within() {
    let mut view = view();
    let mut press = |key| {
        view.press(key, 100, 30);
        view.above
    };
    assert_eq!(press(Key::Up), 0);
    assert_eq!(press(Key::Down), 1);
    assert_eq!(press(Key::PageDown), 31);
    assert_eq!(press(Key::End), 70);
    assert_eq!(press(Key::Down), 70);
    assert_eq!(press(Key::PageUp), 40);
    assert_eq!(press(Key::Home), 0);
    press(Key::End);
    // Most of them are gone now.
    view.press(Key::Up, 10, 30);
    assert_eq!(view.above, 0);
}

#[test]
fn pairs_help_and_the_end() {
    let mut view = view();
    assert_eq!(view.press(Key::Char('p'), 4, 10), Some(Action::Pairs));
    let devices = [device("a", 1.0, 1.0, 0.0)];
    let pairs: Vec<_> = view.rows(&devices).iter().map(|row| row.pair).collect();
    assert_eq!(pairs, [Some(0), Some(1)]);
    assert_eq!(view.press(Key::Char('?'), 4, 10), Some(Action::Draw));
    assert!(view.help);
    view.press(Key::Char('x'), 4, 10);
    assert!(!view.help, "any key");
    assert_eq!(view.press(Key::Char('x'), 4, 10), None);
    for (key, action) in [
        (Key::Char('q'), Action::Quit),
        (Key::Control('c'), Action::Quit),
        (Key::Control('z'), Action::Suspend),
        (Key::Control('l'), Action::Clear),
    ] {
        assert_eq!(view.press(key, 4, 10), Some(action));
    }
}
