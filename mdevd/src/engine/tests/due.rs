//! What the daemon starts by itself once it serves.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::super::jobs::{self, JobState};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps starts waiting until it is told otherwise, refuses one, and remembers who was asked.
#[derive(Default)]
struct Gate {
    state: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    names: Vec<String>,
    hold: bool,
}

impl Gate {
    fn hold(&self, hold: bool) {
        self.state.lock().hold = hold;
        self.changed.notify_all();
    }

    fn wait_for(&self, count: usize) {
        let mut state = self.state.lock();
        let few = |state: &mut Asked| state.names.len() < count;
        let waited = self.changed.wait_while_for(&mut state, few, PATIENCE);
        assert!(!waited.timed_out(), "asked: {:?}", state.names);
    }

    fn asked(&self) -> Vec<String> {
        self.state.lock().names.clone()
    }
}

impl Hooks for Gate {
    fn before(&self, moment: Moment<'_>) -> Result<(), String> {
        if moment.action != Action::Start {
            return Ok(());
        }
        let mut state = self.state.lock();
        state.names.push(moment.definition.name.clone());
        self.changed.notify_all();
        let door = jobs::waits();
        while state.hold && jobs::cut_short().is_none() {
            self.changed.wait_for(&mut state, Duration::from_millis(5));
        }
        door.shut().map_err(|cut| cut.words().to_owned())?;
        match moment.definition.name.as_str() {
            "refused" => Err("not this one".to_owned()),
            _ => Ok(()),
        }
    }

    fn after(&self, _: Moment<'_>, _: bool) {}
}

fn boot(n: u128) -> BootId {
    uuid::Uuid::from_u128(n).to_string().parse().expect("an id")
}

fn auto(name: &str, order: i64) -> DefineRequest {
    let mut device = named(name);
    device.life.start = Some("auto".to_owned());
    device.life.order = Some(order);
    DefineRequest {
        device,
        replace: false,
        ..DefineRequest::default()
    }
}

fn state(engine: &dyn Engine, name: &str) -> State {
    engine.show(name).expect("there").summary.state
}

/// A daemon that starts in that boot, its devices still to be started.
fn begun(house: &House, now: BootId) -> (Catalog, Arc<Gate>, Restored) {
    let gate = Arc::new(Gate::default());
    let catalog = catalog(&house.backend, &house.store)
        .at_boot(now)
        .with_hooks(gate.clone());
    let restored = catalog.restore().expect("readable");
    (catalog, gate, restored)
}

#[test]
fn commands_are_served_while_scripts_are_asked_and_nobody_is_asked_twice_in_a_boot() {
    let house = house();
    for name in ["a", "b", "refused"] {
        house.catalog.define(auto(name, 0)).expect("defined");
    }
    house.catalog.define(auto("later", 1)).expect("defined");
    let (catalog, gate, restored) = begun(&house, boot(1));
    assert_eq!((restored.due, gate.asked().len()), (4, 0), "nobody yet");
    assert_eq!(state(&catalog, "a"), State::Defined);
    gate.hold(true);
    let due = std::thread::scope(|scope| {
        let due = scope.spawn(|| catalog.start_due());
        gate.wait_for(3);
        assert_eq!(state(&catalog, "a"), State::Changing);
        assert_eq!(
            state(&catalog, "later"),
            State::Defined,
            "after those before it"
        );
        catalog
            .define(DefineRequest {
                device: named("new"),
                replace: false,
                ..DefineRequest::default()
            })
            .expect("defined");
        gate.hold(false);
        due.join().expect("done")
    });
    assert_eq!((due.started, due.failed), (3, 1));
    assert_eq!(gate.asked().last().map(String::as_str), Some("later"));
    let refused = catalog.show("refused").expect("there").summary;
    assert_eq!(refused.state, State::Failed);
    let reason = refused.reason.expect("why");
    assert!(
        reason.starts_with("cannot start 'refused'") && reason.contains("not this one"),
        "{reason}"
    );
    catalog.shut_down();

    let (again, gate, restored) = begun(&house, boot(1));
    assert_eq!(
        (restored.ready, restored.due),
        (3, 1),
        "recorded as running"
    );
    again.start_due();
    assert_eq!(gate.asked(), ["refused"]);
}

/// Whoever looks on sees what the boot waits for, and can end that.
#[test]
fn what_waits_for_scripts_is_a_job_and_is_cancelled_like_others() {
    let house = house();
    for name in ["a", "b"] {
        house.catalog.define(auto(name, 0)).expect("defined");
    }
    let (catalog, gate, _) = begun(&house, boot(1));
    gate.hold(true);
    let due = std::thread::scope(|scope| {
        let due = scope.spawn(|| catalog.start_due());
        gate.wait_for(2);
        let page = catalog.jobs().list(0, 10);
        let waits = page.jobs.iter().find(|job| job.device == "a");
        let waits = waits.expect("shown");
        assert_eq!(waits.method, "Start");
        assert_eq!(waits.uid, nix::unistd::Uid::effective().as_raw());
        catalog.jobs().cancel(waits.id).expect("it waits");
        while !catalog.jobs().show(waits.id).expect("shown").state.over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        gate.hold(false);
        due.join().expect("done")
    });
    assert_eq!((due.started, due.failed), (1, 1));
    let a = catalog.show("a").expect("there").summary;
    assert_eq!(a.state, State::Failed);
    let reason = a.reason.expect("why");
    assert!(reason.contains("it was cancelled"), "{reason}");
}

/// A change of a failed device, taken back while scripts are asked whether it may start, has changed nothing.
#[test]
fn what_is_cancelled_of_a_failed_device_is_not_done() {
    let house = house();
    house.catalog.define(auto("refused", 0)).expect("defined");
    let (catalog, gate, _) = begun(&house, boot(1));
    assert_eq!(catalog.start_due().failed, 1);
    gate.hold(true);
    std::thread::scope(|scope| {
        let mtu: SetRequest = serde_json::from_str(r#"{ "mtu": 1300 }"#).expect("a request");
        let set = scope.spawn(|| {
            let about = jobs::About {
                method: "Set",
                device: "refused".to_owned(),
                uid: 0,
            };
            let ticket = catalog.jobs().attend(about);
            ticket.run(|| {
                catalog
                    .set("refused", mtu)
                    .map(|done| serde_json::json!(done))
            })
        });
        gate.wait_for(2);
        let page = catalog.jobs().list(0, 10);
        let job = page.jobs.last().expect("shown").id;
        catalog.jobs().cancel(job).expect("it waits");
        let error = set.join().expect("no panic").expect_err("cancelled");
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(
            catalog.jobs().show(job).expect("shown").state,
            JobState::Cancelled
        );
    });
    let shown = catalog.show("refused").expect("there").summary;
    assert_eq!((shown.state, shown.mtu), (State::Failed, 1500));
}

#[test]
fn a_daemon_that_stops_cuts_what_it_was_starting_and_starts_no_more() {
    let house = house();
    house.catalog.define(auto("a", 0)).expect("defined");
    house.catalog.define(auto("later", 1)).expect("defined");
    let (catalog, gate, _) = begun(&house, boot(1));
    gate.hold(true);
    let due = std::thread::scope(|scope| {
        let due = scope.spawn(|| catalog.start_due());
        gate.wait_for(1);
        catalog.wind_up();
        due.join().expect("done")
    });
    assert_eq!((due.started, due.failed), (0, 1));
    assert_eq!(gate.asked(), ["a"]);
    let states: Vec<_> = catalog.jobs().list(0, 10).jobs;
    assert_eq!(states[0].state, JobState::Cancelled);
    catalog.shut_down();
    let (_, _, restored) = begun(&house, boot(1));
    assert_eq!(restored.due, 2, "as if nothing had been");
}

#[test]
fn what_is_told_otherwise_before_its_turn_is_not_started() {
    let house = house();
    let names = ["stopped", "manual", "undefined", "started", "another"];
    for name in names {
        house.catalog.define(auto(name, 0)).expect("defined");
    }
    let (catalog, gate, restored) = begun(&house, boot(1));
    assert_eq!(restored.due, names.len());
    let stopped = catalog.stop_device("stopped", false).expect("stopped");
    assert_eq!(stopped.result, LifeOutcome::Stopped);
    let manual: SetRequest = serde_json::from_str(r#"{ "start": "manual" }"#).expect("a request");
    catalog.set("manual", manual).expect("set");
    catalog.undefine("undefined").expect("undefined");
    catalog.start("started").expect("started");
    catalog.undefine("another").expect("undefined");
    catalog.define(auto("another", 0)).expect("defined anew");
    assert_eq!(catalog.start_due(), Due::default());
    assert_eq!(gate.asked(), ["started"]);
    catalog.shut_down();
    let (again, _, restored) = begun(&house, boot(1));
    assert_eq!((restored.ready, restored.due), (1, 1));
    assert_eq!(state(&again, "stopped"), State::Defined, "in this boot");
}

/// An address that another device has is no reason to be silent about it.
#[test]
fn who_shares_an_address_is_failed() {
    let house = house();
    house.catalog.define(auto("a", 0)).expect("defined");
    house.catalog.define(auto("b", 0)).expect("defined");
    let stored = |name: &str| {
        let records = house.store.load().expect("readable").into_iter();
        let mut named = records.filter(|record| record.name == name);
        named.next().expect("there").definition.expect("readable")
    };
    let mut double = stored("b");
    double.mac = stored("a").mac;
    house.store.put(&double).expect("stored");
    let (catalog, gate, _) = begun(&house, boot(1));
    let due = catalog.start_due();
    assert_eq!((due.started, due.failed), (1, 1));
    assert_eq!(gate.asked(), ["a"]);
    let b = catalog.show("b").expect("there").summary;
    assert_eq!(b.state, State::Failed);
    assert!(b.reason.expect("why").contains("'a'"));
}
