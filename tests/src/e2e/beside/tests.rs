use super::*;
use lab_guest::wire::{ReceiveReport, SendReport};
use serde_json::json;

fn flow(sent: u64, lost: u64) -> FlowReport {
    FlowReport {
        send: SendReport {
            sent,
            ..Default::default()
        },
        receive: ReceiveReport {
            received: sent - lost,
            announced: Some(sent),
            lost,
            ..Default::default()
        },
    }
}

fn drops(no_buffer: u64, other: u64) -> Drops {
    Drops { no_buffer, other }
}

#[test]
fn losses_for_want_of_buffers_are_the_guests() {
    let before = [drops(5, 1), drops(0, 0)];
    assert!(starved(
        &[flow(10, 3), flow(10, 0)],
        &before,
        &[drops(8, 1), drops(0, 0)]
    ));
}

#[test]
fn a_single_unexplained_loss_is_ours() {
    let before = [drops(5, 1), drops(0, 0)];
    let after = [drops(8, 1), drops(9, 0)];
    assert!(
        !starved(&[flow(10, 4), flow(10, 0)], &before, &after),
        "one more than counted"
    );
    assert!(
        !starved(
            &[flow(10, 3), flow(10, 0)],
            &before,
            &[drops(8, 2), drops(0, 0)]
        ),
        "other"
    );
    let mut doubled = flow(10, 3);
    doubled.receive.duplicate = 1;
    assert!(
        !starved(&[doubled, flow(10, 0)], &before, &after),
        "duplicate"
    );
}

#[test]
fn drops_are_read_from_the_counters() {
    let stats = json!({
        "rx": {"drops": {"no-buffer": 7, "exceeds-mtu": 1}},
        "tx": {"drops": {"no-buffer": 2}},
    });
    assert_eq!(Drops::of(&stats), drops(7, 3));
    assert_eq!(Drops::of(&json!({"rx": {}, "tx": {}})), Drops::default());
}
