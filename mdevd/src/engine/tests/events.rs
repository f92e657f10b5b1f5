use super::*;

/// All that has happened so far.
fn drain(listener: &mut Listener) -> Vec<Happening> {
    let mut all = Vec::new();
    while let Some(heard) = listener.try_next() {
        match heard {
            Heard::Event(event) => all.push(event.what.clone()),
            Heard::Missed(count) => panic!("{count} events were missed"),
        }
    }
    all
}

#[test]
fn a_devices_life_is_told_in_order() {
    let house = house();
    let (mut listener, before) = house.catalog.events().listen();
    let made = house.catalog.create(named("vm1")).expect("created");
    house.backend.connect("vm1", QEMU);
    let down = SetRequest {
        link: Some("down".into()),
        ..SetRequest::default()
    };
    house.catalog.set("vm1", down.clone()).expect("set");
    house.backend.disconnect("vm1");
    house.catalog.destroy("vm1", false).expect("destroyed");
    let device = || "vm1".to_owned();
    let told = [
        Happening::Created {
            device: device(),
            uuid: made.uuid,
            mac: made.mac,
            pf: made.pf,
        },
        Happening::Connected {
            device: device(),
            client: QEMU,
        },
        Happening::changed("vm1", &["link"]),
        Happening::Disconnected {
            device: device(),
            reason: None,
        },
        Happening::Destroyed { device: device() },
    ];
    assert_eq!(drain(&mut listener), told);
    assert_eq!(before, 0);
    assert_eq!(house.catalog.events().last_sequence(), 5);
}

#[test]
fn what_changes_nothing_is_not_told() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let (mut listener, _) = house.catalog.events().listen();
    house.catalog.create(named("vm1")).expect("there already");
    let up = SetRequest {
        link: Some("up".into()),
        ..SetRequest::default()
    };
    house.catalog.set("vm1", up).expect("so already");
    house.catalog.destroy("vm2", false).expect_err("not there");
    let huge = CreateRequest {
        queue_pairs: Some(64),
        ..named("vm2")
    };
    house.catalog.create(huge).expect_err("too large");
    house.backend.connect("vm1", QEMU);
    house.catalog.destroy("vm1", false).expect_err("in use");
    let connected = Happening::Connected {
        device: "vm1".into(),
        client: QEMU,
    };
    assert_eq!(drain(&mut listener), [connected]);
}

#[test]
fn a_slow_listener_is_told_what_it_missed_and_goes_on() {
    let events = Events::default();
    let (mut slow, _) = events.listen();
    let more = 10;
    for n in 0..MAX_EVENTS_KEPT + more {
        events.publish(Happening::changed(&format!("d{n}"), &["link"]));
    }
    assert_eq!(slow.try_next(), Some(Heard::Missed(more as u64)));
    let mut sequence = more as u64;
    while let Some(heard) = slow.try_next() {
        sequence += 1;
        match heard {
            Heard::Event(event) => assert_eq!(event.sequence, sequence),
            Heard::Missed(_) => panic!("nothing more was missed"),
        }
    }
    assert_eq!(sequence, events.last_sequence());
}

#[test]
fn numbers_have_no_gaps_and_are_in_order_from_many_threads() {
    let events = Events::default();
    let (mut listener, _) = events.listen();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let events = &events;
            scope.spawn(move || {
                for _ in 0..500 {
                    events.publish(Happening::changed(&format!("d{thread}"), &["link"]));
                }
            });
        }
    });
    for expected in 1..=2000 {
        match listener.try_next() {
            Some(Heard::Event(event)) => assert_eq!(event.sequence, expected),
            other => panic!("event {expected}: {other:?}"),
        }
    }
}

#[test]
fn an_event_is_one_flat_object() {
    let events = Events::default();
    let (mut listener, _) = events.listen();
    events.publish(Happening::Denied {
        device: "vm1".into(),
        request: "mac".into(),
        rule: "tenant".into(),
        message: "no".into(),
        count: 3,
        reaction: "audit".into(),
    });
    let Some(Heard::Event(event)) = listener.try_next() else {
        panic!("an event");
    };
    assert!(event.time_us > 1_600_000_000_000_000, "{event:?}");
    let json = serde_json::to_value(&*event).expect("an object");
    let expected = serde_json::json!({
        "sequence": 1, "time_us": event.time_us, "event": "denied", "device": "vm1",
        "request": "mac", "rule": "tenant", "message": "no", "count": 3, "reaction": "audit",
    });
    assert_eq!(json, expected);
    let back: Event = serde_json::from_value(json).expect("an event");
    assert_eq!(back, *event);
}

#[test]
fn events_of_a_device_alternate_however_many_want_it() {
    let house = house();
    let (mut listener, _) = house.catalog.events().listen();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let catalog = &house.catalog;
            scope.spawn(move || {
                for _ in 0..50 {
                    // Who comes too late is refused, or finds it done.
                    let _ = match thread % 2 {
                        0 => catalog.create(named("vm1")).map(drop),
                        _ => catalog.destroy("vm1", false),
                    };
                }
            });
        }
    });
    let told = drain(&mut listener);
    assert!(!told.is_empty());
    for (n, what) in told.iter().enumerate() {
        let created = matches!(what, Happening::Created { .. });
        assert_eq!(created, n % 2 == 0, "event {n}: {what:?}");
    }
}
