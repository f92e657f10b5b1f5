use super::*;

#[test]
fn destroying_a_connected_device_asks_for_force() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    house.backend.connect("vm1", QEMU);
    assert_eq!(
        house.catalog.show("vm1").expect("there").summary.state,
        State::Connected
    );
    let error = house.catalog.destroy("vm1", false).expect_err("busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(
        error.to_string().contains("process 4711 (uid 107)"),
        "{error}"
    );
    house.catalog.destroy("vm1", true).expect("forced");
    assert_eq!(files(house.dir.path()), 0);
}

#[test]
fn a_store_that_fails_changes_nothing() {
    let house = house();
    house.catalog.create(named("old")).expect("created");
    house.store.break_writes(true);
    assert_eq!(
        house
            .catalog
            .create(named("new"))
            .expect_err("refused")
            .kind(),
        ErrorKind::StoreFailed
    );
    assert_eq!(
        house
            .catalog
            .destroy("old", false)
            .expect_err("refused")
            .kind(),
        ErrorKind::StoreFailed
    );
    assert_eq!(files(house.dir.path()), 1);
    assert_eq!(
        house
            .catalog
            .show("old")
            .expect("still there")
            .summary
            .state,
        State::Ready
    );
    house.store.break_writes(false);
    house.catalog.create(named("new")).expect("created");
    house.catalog.destroy("old", false).expect("destroyed");
}

#[test]
fn a_taken_socket_path_is_refused_and_the_definition_not_kept() {
    let house = house();
    std::fs::write(house.dir.path().join("vm1.sock"), "mine").expect("write");
    let error = house.catalog.create(named("vm1")).expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::SocketTaken);
    assert_eq!(house.store.load().expect("readable").len(), 0);
    assert_eq!(free_pairs(&house.catalog), 64);
}

#[test]
fn definitions_come_back_in_order_and_one_failure_stops_nobody() {
    let house = house_with(4);
    for name in ["c", "a", "b"] {
        house.catalog.create(named(name)).expect("created");
    }
    let request = CreateRequest {
        pf: Some("soft1".into()),
        ..named("d")
    };
    house.catalog.create(request.clone()).expect("created");
    house
        .store
        .put_raw("e", b"{\"version\":99,\"definition\":{}}");
    let before = house.catalog.show("a").expect("there");
    house.catalog.shut_down();
    assert_eq!(
        house
            .catalog
            .create(named("late"))
            .expect_err("stopping")
            .kind(),
        ErrorKind::Stopping
    );
    assert_eq!(files(house.dir.path()), 0, "sockets go, definitions stay");

    // soft1 is gone, and soft0 has room for two only: the first two created.
    let backend = Arc::new(SimBackend::new(house.dir.path(), &[("soft0", 2)]));
    let again = catalog(&backend, &house.store);
    assert_eq!(
        again.restore().expect("readable"),
        Restored {
            ready: 2,
            failed: 3,
            ..Restored::default()
        }
    );
    assert_eq!(again.show("a").expect("there"), before);
    let states: Vec<_> = again
        .list("", 10)
        .devices
        .into_iter()
        .map(|d| (d.name, d.state))
        .collect();
    let expected = [
        ("a", State::Ready),
        ("b", State::Failed),
        ("c", State::Ready),
        ("d", State::Failed),
        ("e", State::Failed),
    ];
    assert_eq!(
        states,
        expected.map(|(name, state)| (name.to_owned(), state))
    );
    let reason = |name: &str| {
        again
            .show(name)
            .expect("there")
            .summary
            .reason
            .expect("a reason")
    };
    assert!(
        reason("b").contains("0 of 2 queue pairs free"),
        "{}",
        reason("b")
    );
    assert!(
        reason("d").contains("'soft1' is not configured"),
        "{}",
        reason("d")
    );
    assert!(reason("e").contains("version 99"), "{}", reason("e"));

    // A failed one is tried again by create, and taken away by destroy.
    assert_eq!(
        again.create(named("b")).expect_err("no room").kind(),
        ErrorKind::NoResources
    );
    again.destroy("a", false).expect("destroyed");
    assert_eq!(
        again.create(named("b")).expect("room").result,
        Outcome::Already
    );
    assert_eq!(
        again.create(named("e")).expect_err("unreadable").kind(),
        ErrorKind::AlreadyExists
    );
    again.destroy("e", false).expect("destroyed");
    again.create(named("f")).expect_err("no room");
    let late = again.create(CreateRequest {
        pf: Some("soft0".into()),
        ..named("b")
    });
    assert_eq!(late.expect("there").result, Outcome::Already);
}

#[test]
fn many_threads_on_few_names_agree() {
    let house = Arc::new(house());
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let house = house.clone();
            std::thread::spawn(move || {
                for round in 0..50 {
                    let name = format!("d{}", (thread + round) % 3);
                    match house.catalog.create(named(&name)) {
                        Ok(_) => {}
                        Err(error) => panic!("{error}"),
                    }
                    match house.catalog.destroy(&name, false) {
                        Ok(()) => {}
                        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    for n in 0..3 {
        let _ = house.catalog.destroy(&format!("d{n}"), false);
    }
    assert_eq!(free_pairs(&house.catalog), 64);
    assert_eq!(files(house.dir.path()), 0);
    assert_eq!(house.store.load().expect("readable").len(), 0);
}
