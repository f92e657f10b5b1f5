//! Definitions, what runs of them, and what comes back when.

use super::*;

fn boot(n: u128) -> BootId {
    uuid::Uuid::from_u128(n).to_string().parse().expect("an id")
}

fn request(name: &str, more: impl FnOnce(&mut CreateRequest)) -> CreateRequest {
    let mut request = named(name);
    more(&mut request);
    request
}

fn define(name: &str) -> DefineRequest {
    DefineRequest {
        device: named(name),
        ..DefineRequest::default()
    }
}

fn defined(device: CreateRequest, replace: bool) -> DefineRequest {
    DefineRequest {
        device,
        replace,
        ..DefineRequest::default()
    }
}

fn persistent(name: &str) -> CreateRequest {
    request(name, |request| request.life.persistent = true)
}

fn started_by(name: &str, start: &str, order: i64) -> DefineRequest {
    let start = Some(start.to_owned());
    defined(
        request(name, |request| {
            request.life.start = start;
            request.life.order = Some(order);
        }),
        false,
    )
}

fn state(engine: &dyn Engine, name: &str) -> State {
    engine.show(name).expect("there").summary.state
}

fn states(engine: &dyn Engine) -> Vec<(String, State)> {
    let page = engine.list("", 100);
    page.devices
        .into_iter()
        .map(|d| (d.name, d.state))
        .collect()
}

fn pairs<const N: usize>(expected: [(&str, State); N]) -> Vec<(String, State)> {
    expected
        .map(|(name, state)| (name.to_owned(), state))
        .to_vec()
}

/// What the store has of `name`.
fn stored(house: &House, name: &str) -> Option<Definition> {
    let records = house.store.load().expect("readable");
    let record = records.into_iter().find(|record| record.name == name)?;
    Some(record.definition.expect("a definition"))
}

/// The daemon ends, and another one starts in that boot of the host.
fn restarted(house: &House, boot: BootId) -> (Catalog, Restored) {
    house.catalog.shut_down();
    restart(house, boot)
}

fn restart(house: &House, boot: BootId) -> (Catalog, Restored) {
    let catalog = catalog(&house.backend, &house.store).at_boot(boot);
    let restored = catalog.restore().expect("readable");
    let due = catalog.start_due();
    assert_eq!(due.started + due.failed, restored.due);
    (catalog, restored)
}

fn house_at(boot: BootId) -> House {
    let mut house = house();
    house.catalog = catalog(&house.backend, &house.store).at_boot(boot);
    house
}

#[test]
fn a_definition_takes_nothing_until_it_is_started() {
    let house = house();
    let made = house.catalog.define(define("vm1")).expect("defined");
    assert_eq!(made.result, Outcome::Defined);
    assert!(made.socket.is_empty() && made.qemu.is_empty());
    assert!(
        made.notes.iter().any(|note| note.contains("reserved")),
        "{:?}",
        made.notes
    );
    let shown = house.catalog.show("vm1").expect("there").summary;
    assert_eq!(
        (
            shown.state,
            shown.persistent,
            shown.start.as_str(),
            shown.reason
        ),
        (State::Defined, true, "manual", None)
    );
    assert_eq!(
        (free_pairs(&house.catalog), files(house.dir.path())),
        (64, 0)
    );
    assert_eq!(
        house
            .catalog
            .define(define("vm1"))
            .expect("as it is")
            .result,
        Outcome::Already
    );

    let started = house.catalog.start("vm1").expect("started");
    assert_eq!(
        (started.result, &started.mac),
        (Outcome::Started, &made.mac)
    );
    assert!(!started.socket.is_empty());
    assert_eq!(
        (free_pairs(&house.catalog), files(house.dir.path())),
        (63, 1)
    );
    assert_eq!(
        house.catalog.start("vm1").expect("it runs").result,
        Outcome::Already
    );
    assert_eq!(
        house
            .catalog
            .define(define("vm1"))
            .expect("as it is")
            .result,
        Outcome::Already
    );

    let stopped = house.catalog.stop_device("vm1", false).expect("stopped");
    assert_eq!(
        (stopped.result, stopped.defined, stopped.running),
        (LifeOutcome::Stopped, true, false)
    );
    assert_eq!(
        (free_pairs(&house.catalog), files(house.dir.path())),
        (64, 0)
    );
    let again = house.catalog.stop_device("vm1", false).expect("stopped");
    assert_eq!(again.result, LifeOutcome::Already);

    let gone = house.catalog.undefine("vm1").expect("undefined");
    assert_eq!(
        (gone.result, gone.defined, gone.running),
        (LifeOutcome::Undefined, false, false)
    );
    assert_eq!(
        house.catalog.undefine("vm1").expect_err("gone").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(stored(&house, "vm1"), None);
}

#[test]
fn a_definition_is_checked_as_a_creation_is() {
    let house = house();
    let refused = |device: CreateRequest| {
        let error = house
            .catalog
            .define(defined(device, false))
            .expect_err("refused");
        assert!(
            error.to_string().starts_with("cannot define 'vm2'"),
            "{error}"
        );
        error.kind()
    };
    house.catalog.define(define("vm1")).expect("defined");
    let mac = house.catalog.show("vm1").expect("there").summary.mac;
    for (kind, device) in [
        (
            ErrorKind::DuplicateMac,
            request("vm2", |r| r.mac = Some(mac)),
        ),
        (
            ErrorKind::InvalidArgument,
            request("vm2", |r| r.mtu = Some(1)),
        ),
        (
            ErrorKind::NotFound,
            request("vm2", |r| r.pf = Some("soft9".to_owned())),
        ),
        (
            ErrorKind::InvalidArgument,
            request("vm2", |r| r.profile = Some("none".to_owned())),
        ),
        (
            ErrorKind::InvalidArgument,
            request("vm2", |r| r.life.start = Some("soon".to_owned())),
        ),
        (
            ErrorKind::InvalidArgument,
            request("vm2", |r| r.socket_owner = Some("no-such-user".to_owned())),
        ),
        (
            ErrorKind::Denied,
            request("vm2", |r| {
                r.profile = Some("container".to_owned());
                r.queue_pairs = Some(64);
            }),
        ),
    ] {
        assert_eq!(refused(device.clone()), kind, "{device:?}");
    }
    let taken = house
        .catalog
        .define(defined(request("vm1", |r| r.mtu = Some(9000)), false))
        .expect_err("another");
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    assert!(taken.to_string().contains("--replace"), "{taken}");
    assert_eq!(house.store.load().expect("readable").len(), 1);
    assert_eq!(house.catalog.list("", 10).devices.len(), 1);
    // What a refused one had reserved is free.
    house
        .catalog
        .define(defined(request("vm3", |r| r.queue_pairs = Some(64)), false))
        .expect("no slice is cut before the start");
    house.catalog.start("vm1").expect("started");
    assert_eq!(
        house.catalog.start("vm3").expect_err("no room").kind(),
        ErrorKind::NoResources
    );
    assert_eq!(state(&house.catalog, "vm3"), State::Defined, "as it was");
}

#[test]
fn what_create_makes_is_transient_and_can_be_kept() {
    let here = boot(1);
    let house = house_at(here);
    house.catalog.create(named("vm1")).expect("created");
    let shown = house.catalog.show("vm1").expect("there").summary;
    assert!(!shown.persistent);
    let wrong = request("vm2", |r| r.life.start = Some("auto".to_owned()));
    let error = house.catalog.create(wrong).expect_err("transient");
    assert!(error.to_string().contains("say persistent"), "{error}");

    let kept = house
        .catalog
        .define(started_by("vm1", "auto", 3))
        .expect("kept");
    assert_eq!(kept.result, Outcome::Defined);
    let shown = house.catalog.show("vm1").expect("there").summary;
    assert_eq!(
        (shown.state, shown.persistent, shown.order),
        (State::Ready, true, 3)
    );
    let life = stored(&house, "vm1").expect("stored").life;
    assert!(!life.transient && life.comes_back(here) && life.comes_back(boot(2)));

    let gone = house.catalog.undefine("vm1").expect("undefined");
    assert_eq!((gone.result, gone.running), (LifeOutcome::Undefined, true));
    assert_eq!(state(&house.catalog, "vm1"), State::Ready);
    assert_eq!(
        house.catalog.undefine("vm1").expect("so").result,
        LifeOutcome::Already
    );
    assert!(stored(&house, "vm1").expect("stored").life.transient);

    let kept = house.catalog.create(persistent("vm1")).expect("kept");
    assert_eq!(kept.result, Outcome::Defined);
    assert_eq!(
        house.catalog.create(named("vm1")).expect("there").result,
        Outcome::Already
    );
    assert!(!stored(&house, "vm1").expect("stored").life.transient);

    house.catalog.undefine("vm1").expect("undefined");
    let stopped = house.catalog.stop_device("vm1", false).expect("stopped");
    assert!(
        !stopped.defined && stopped.notes[0].contains("gone"),
        "{stopped:?}"
    );
    assert_eq!(stored(&house, "vm1"), None);
    assert_eq!(house.catalog.list("", 10).devices, []);
}

#[test]
fn a_connected_client_is_cut_off_by_force_only() {
    let house = house();
    house.catalog.create(persistent("vm1")).expect("created");
    house.backend.connect("vm1", QEMU);
    let error = house.catalog.stop_device("vm1", false).expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(
        error
            .to_string()
            .starts_with("cannot stop 'vm1': process 4711"),
        "{error}"
    );
    assert_eq!(state(&house.catalog, "vm1"), State::Connected);
    house.catalog.stop_device("vm1", true).expect("stopped");
    assert_eq!(state(&house.catalog, "vm1"), State::Defined);
}

#[test]
fn the_same_boot_brings_back_what_ran_and_another_what_starts_by_itself() {
    let (here, later) = (boot(1), boot(2));
    let house = house_at(here);
    house.catalog.create(named("transient")).expect("created");
    for (name, start, run) in [
        ("auto", "auto", false),
        ("auto-stopped", "auto", true),
        ("auto-ran", "auto", true),
        ("manual", "manual", false),
        ("manual-ran", "manual", true),
    ] {
        house
            .catalog
            .define(started_by(name, start, 0))
            .expect("defined");
        if run {
            house.catalog.start(name).expect("started");
        }
    }
    house
        .catalog
        .stop_device("auto-stopped", false)
        .expect("stopped");
    let (again, restored) = restarted(&house, here);
    let (ready, none) = (State::Ready, State::Defined);
    assert_eq!(
        states(&again),
        pairs([
            ("auto", ready),
            ("auto-ran", ready),
            ("auto-stopped", none),
            ("manual", none),
            ("manual-ran", ready),
            ("transient", ready),
        ])
    );
    assert_eq!((restored.ready, restored.due, restored.defined), (3, 1, 2));

    again.shut_down();
    let before = again.events().last_sequence();
    let (booted, restored) = restart(&house, later);
    assert_eq!(
        states(&booted),
        pairs([
            ("auto", ready),
            ("auto-ran", ready),
            ("auto-stopped", ready),
            ("manual", none),
            ("manual-ran", none),
        ])
    );
    assert_eq!(
        (restored.due, restored.defined, restored.dropped),
        (3, 2, 1)
    );
    assert_eq!(
        booted.events().last_sequence(),
        before + 1 + 3,
        "the drop was told, and each start"
    );
    assert_eq!(stored(&house, "transient"), None, "for good");
    // What runs now comes back in this boot, whatever it is set to.
    let manual: SetRequest = serde_json::from_str(r#"{ "start": "manual" }"#).expect("a request");
    booted.set("auto", manual).expect("set");
    booted.shut_down();
    let (again, _) = restart(&house, later);
    assert_eq!(state(&again, "auto"), State::Ready);
}

#[test]
fn the_daemon_starts_in_order_and_a_failure_stops_nobody() {
    let house = house_at(boot(1));
    // Room for two of four: the order says for whom.
    for (name, order) in [("a", 5), ("b", -1), ("c", 0), ("d", 1)] {
        let mut request = started_by(name, "auto", order);
        request.device.queue_pairs = Some(32);
        if name == "c" {
            request.device.profile = Some("lab".to_owned());
        }
        house.catalog.define(request).expect("defined");
    }
    let (again, restored) = restart(&house, boot(2));
    assert_eq!((restored.due, restored.failed), (4, 0));
    assert_eq!(
        states(&again),
        pairs([
            ("a", State::Failed),
            ("b", State::Ready),
            ("c", State::Ready),
            ("d", State::Failed),
        ])
    );
    let reason = again.show("d").expect("there").summary.reason.expect("why");
    assert!(
        reason.starts_with("cannot start 'd': PF soft0 has 0 of 64"),
        "{reason}"
    );
    // A failed one is mended by room and start, or by set.
    again.stop_device("b", false).expect("stopped");
    assert_eq!(again.start("d").expect("room").result, Outcome::Started);
    let error = again.start("a").expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::NoResources);
    assert_eq!(state(&again, "a"), State::Failed);
    again.stop_device("c", false).expect("stopped");
    let set: SetRequest = serde_json::from_str(r#"{ "mtu": 9000 }"#).expect("a request");
    let changed = again.set("a", set).expect("stored");
    assert!(changed.notes[0].contains("it runs"), "{changed:?}");
    assert_eq!(state(&again, "a"), State::Ready);
    assert_eq!(stored(&house, "a").expect("stored").mtu, 9000);
}

#[test]
fn a_stopped_failed_device_is_only_defined() {
    let house = house_at(boot(1));
    let mut request = started_by("a", "auto", 1);
    request.device.queue_pairs = Some(64);
    house.catalog.define(request).expect("defined");
    house
        .catalog
        .define(started_by("first", "auto", 0))
        .expect("defined");
    let (again, _) = restart(&house, boot(1));
    assert_eq!(state(&again, "a"), State::Failed);
    let set: SetRequest = serde_json::from_str(r#"{ "mtu": 9000 }"#).expect("a request");
    let changed = again.set("a", set).expect("stored");
    assert!(changed.notes[0].contains("still does"), "{changed:?}");
    again.stop_device("a", false).expect("stopped");
    assert_eq!(state(&again, "a"), State::Defined);
    let (again, _) = restart(&house, boot(1));
    assert_eq!(
        state(&again, "a"),
        State::Defined,
        "it was stopped in this boot"
    );
}

#[test]
fn what_is_set_on_a_defined_device_is_for_its_next_start() {
    let house = house();
    house.catalog.define(define("vm1")).expect("defined");
    let set = |text: &str| {
        let request: SetRequest = serde_json::from_str(text).expect("a request");
        house.catalog.set("vm1", request)
    };
    let changed = set(r#"{ "mac": "02:00:00:00:00:77", "order": -7, "start": "auto" }"#);
    let changed = changed.expect("stored");
    assert!(
        changed.changed && changed.notes[0].contains("not started"),
        "{changed:?}"
    );
    assert!(!set(r#"{ "order": -7 }"#).expect("so").changed);
    let started = house.catalog.start("vm1").expect("started");
    assert_eq!(started.mac, "02:00:00:00:00:77");
    assert_eq!(
        set(r#"{ "order": "x" }"#).expect_err("none").kind(),
        ErrorKind::InvalidArgument
    );
    house.catalog.create(named("vm2")).expect("created");
    let request: SetRequest = serde_json::from_str(r#"{ "start": "auto" }"#).expect("a request");
    let error = house.catalog.set("vm2", request).expect_err("transient");
    assert!(error.to_string().contains("cvfctl define"), "{error}");
    let mac = house.catalog.show("vm2").expect("there").summary.mac;
    house.catalog.stop_device("vm1", false).expect("stopped");
    let taken = set(&format!(r#"{{ "mac": "{mac}" }}"#)).expect_err("taken");
    assert_eq!(taken.kind(), ErrorKind::DuplicateMac);
}

#[test]
fn a_definition_is_replaced_whole_and_a_running_one_as_far_as_set_can() {
    let house = house();
    let first = request("vm1", |r| {
        r.vlan = Some(7.into());
        r.queue_pairs = Some(2);
        r.life.start = Some("auto".to_owned());
    });
    house
        .catalog
        .define(defined(first.clone(), false))
        .expect("defined");
    let same = house
        .catalog
        .define(defined(first, true))
        .expect("the same");
    assert_eq!(same.result, Outcome::Already);
    let before = stored(&house, "vm1").expect("stored");
    let second = request("vm1", |r| r.queue_pairs = Some(4));
    let mut dry = defined(second.clone(), true);
    dry.device.dry_run = true;
    let would = house.catalog.define(dry).expect("would");
    assert_eq!(
        (would.result, would.changes.len()),
        (Outcome::WouldReplace, 3)
    );
    assert_eq!(stored(&house, "vm1").as_ref(), Some(&before));
    let made = house
        .catalog
        .define(defined(second, true))
        .expect("replaced");
    assert_eq!(made.result, Outcome::Replaced);
    let after = stored(&house, "vm1").expect("stored");
    assert_eq!((after.vlan, after.queue_pairs), (None, 4));
    assert_eq!(
        (after.uuid, after.mac, after.sequence),
        (before.uuid, before.mac, before.sequence)
    );
    assert_eq!(
        after.life.start,
        Start::Manual,
        "as nothing else is said, as in a new definition"
    );

    house.catalog.start("vm1").expect("started");
    let live = request("vm1", |r| {
        r.queue_pairs = Some(4);
        r.mtu = Some(9000);
    });
    let made = house.catalog.define(defined(live, true)).expect("live");
    assert_eq!(made.result, Outcome::Replaced);
    assert_eq!(state(&house.catalog, "vm1"), State::Ready);
    let error = house
        .catalog
        .define(defined(request("vm1", |r| r.queue_pairs = Some(8)), true))
        .expect_err("it runs");
    let text = error.to_string();
    assert!(
        text.contains("queue-pairs") && text.contains("cvfctl stop vm1"),
        "{text}"
    );
    assert_eq!(
        stored(&house, "vm1").expect("stored").mtu,
        9000,
        "nothing of it"
    );
}

#[test]
fn what_the_store_does_not_take_changes_nothing() {
    let house = house();
    house.catalog.create(persistent("runs")).expect("created");
    house.catalog.define(define("rests")).expect("defined");
    house.store.break_writes(true);
    let catalog = &house.catalog;
    let failed = |done: Result<(), EngineError>| {
        let error = done.expect_err("not stored");
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "{error}");
    };
    failed(catalog.define(define("new")).map(drop));
    failed(catalog.start("rests").map(drop));
    failed(catalog.stop_device("runs", false).map(drop));
    failed(catalog.undefine("runs").map(drop));
    failed(catalog.undefine("rests").map(drop));
    assert_eq!(
        states(catalog),
        pairs([("rests", State::Defined), ("runs", State::Ready)])
    );
    assert!(catalog.show("runs").expect("there").summary.persistent);
    assert_eq!(
        free_pairs(catalog),
        63,
        "what was composed for nothing is free"
    );
    house.store.break_writes(false);
    catalog.start("rests").expect("started");
    catalog
        .define(define("new"))
        .expect("its name and MAC are free");
}

#[test]
fn what_happens_is_told_once_and_in_order() {
    let house = house();
    let (mut listener, _) = house.catalog.events().listen();
    let catalog = &house.catalog;
    catalog.define(define("vm1")).expect("defined");
    catalog.start("vm1").expect("started");
    catalog.start("vm1").expect("already");
    catalog.stop_device("vm1", false).expect("stopped");
    catalog.start("vm1").expect("started");
    catalog.undefine("vm1").expect("undefined");
    catalog.stop_device("vm1", false).expect("gone");
    catalog.define(define("vm1")).expect("defined");
    catalog.undefine("vm1").expect("undefined");
    let mut told = Vec::new();
    while let Some(Heard::Event(event)) = listener.try_next() {
        let event = serde_json::to_value(&*event).expect("JSON");
        let running = event.get("running").and_then(serde_json::Value::as_bool);
        let word = event["event"].as_str().expect("a word").to_owned();
        told.push((word, running));
    }
    let none = |word: &str| (word.to_owned(), None);
    assert_eq!(
        told,
        [
            none("defined"),
            none("started"),
            none("stopped"),
            none("started"),
            ("undefined".to_owned(), Some(true)),
            none("destroyed"),
            none("defined"),
            ("undefined".to_owned(), Some(false)),
        ]
    );
}

#[test]
fn create_starts_what_is_defined_and_dry_runs_do_nothing() {
    let house = house();
    house.catalog.define(define("vm1")).expect("defined");
    let dry = |persistent: bool| {
        request("vm1", |r| {
            r.dry_run = true;
            r.life.persistent = persistent;
        })
    };
    let would = house.catalog.create(dry(false)).expect("would");
    assert_eq!(would.result, Outcome::WouldStart);
    assert_eq!(state(&house.catalog, "vm1"), State::Defined);
    let made = house.catalog.create(named("vm1")).expect("started");
    assert_eq!(made.result, Outcome::Started);
    assert!(
        house.catalog.show("vm1").expect("there").summary.persistent,
        "it stays defined"
    );
    house.catalog.undefine("vm1").expect("undefined");
    let would = house.catalog.create(dry(true)).expect("would");
    assert_eq!(would.result, Outcome::WouldDefine);
    assert!(!house.catalog.show("vm1").expect("there").summary.persistent);
    let mut would = define("vm2");
    would.device.dry_run = true;
    assert_eq!(
        house.catalog.define(would).expect("would").result,
        Outcome::WouldDefine
    );
    assert_eq!(house.catalog.list("", 10).devices.len(), 1);
}

#[test]
fn unknown_names_are_told_with_a_guess() {
    let house = house();
    house.catalog.define(define("web1")).expect("defined");
    for error in [
        house.catalog.start("wbe1").expect_err("unknown"),
        house
            .catalog
            .stop_device("wbe1", false)
            .expect_err("unknown"),
        house.catalog.undefine("wbe1").expect_err("unknown"),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("did you mean 'web1'"), "{error}");
    }
    let error = house.catalog.announce("web1").expect_err("not started");
    assert!(error.to_string().contains("cvfctl start web1"), "{error}");
}

#[test]
fn many_threads_start_and_stop_few_devices() {
    let house = Arc::new(house());
    let threads: Vec<_> = (0..6)
        .map(|thread| {
            let house = house.clone();
            std::thread::spawn(move || {
                for round in 0..40 {
                    let name = format!("d{}", (thread + round) % 3);
                    let done = match (thread + round) % 4 {
                        0 => house.catalog.define(define(&name)).map(drop),
                        1 => house.catalog.start(&name).map(drop),
                        2 => house.catalog.stop_device(&name, false).map(drop),
                        _ => house.catalog.undefine(&name).map(drop),
                    };
                    if let Err(error) = done {
                        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let listed: Vec<_> = states(&house.catalog);
    let records = house.store.load().expect("readable").len();
    assert_eq!(records, listed.len(), "{listed:?}");
    let running = listed
        .iter()
        .filter(|(_, state)| *state == State::Ready)
        .count();
    assert_eq!(files(house.dir.path()), running);
    assert_eq!(free_pairs(&house.catalog), 64 - running as u64);
}
