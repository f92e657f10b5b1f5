use super::*;

#[test]
fn sizes_go_round_and_every_part_ends_with_a_wait() {
    let parts = [
        Part {
            from: 1,
            to: 3,
            count: 5,
            window: 2,
            segment: 0,
        },
        Part::of(100, 1, 10),
    ];
    let all: Vec<_> = messages(&parts)
        .map(|m| (m.number, m.size, m.wait))
        .collect();
    assert_eq!(
        all,
        [
            (0, 1, false),
            (1, 2, true),
            (2, 3, false),
            (3, 1, true),
            (4, 2, true),
            (5, 100, true)
        ]
    );
}

#[test]
fn a_segmented_message_becomes_datagrams_the_last_of_them_shorter() {
    let part = Part {
        segment: 400,
        ..Part::of(1000, 1, 1)
    };
    let message = messages(&[part]).next().unwrap();
    let datagrams: Vec<_> = message.datagrams().collect();
    assert_eq!(datagrams, [(0, 400), (400, 400), (800, 200)]);
    let whole = Message {
        segment: 0,
        ..message
    };
    assert_eq!(whole.datagrams().collect::<Vec<_>>(), [(0, 1000)]);
}
