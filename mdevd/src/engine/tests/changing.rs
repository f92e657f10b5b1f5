//! What is told of a device while a command is at work on it.

use super::*;

/// The definition of that device, as it is stored.
fn stored(house: &House, name: &str) -> Definition {
    let records = house.store.load().expect("readable");
    let record = records.into_iter().find(|record| record.name == name);
    record.expect("there").definition.expect("a definition")
}

fn request(name: &str) -> CreateRequest {
    CreateRequest {
        mtu: Some(4000),
        ..named(name)
    }
}

#[test]
fn what_changes_is_told_as_it_is_until_then() {
    let house = house();
    house.catalog.create(request("runs")).expect("created");
    house
        .catalog
        .define(DefineRequest {
            device: request("rests"),
            ..DefineRequest::default()
        })
        .expect("defined");
    for name in ["runs", "rests"] {
        let before = house.catalog.show(name).expect("there");
        let mut to = stored(&house, name);
        to.mtu = 9000;
        house.catalog.names.lock().mark(&to, "changing");
        let shown = house.catalog.show(name).expect("there");
        assert_eq!(shown.summary.state, State::Changing);
        let mut same = shown.clone();
        same.summary.state = before.summary.state;
        assert_eq!(same, before, "nothing is hidden, and nothing invented");
        let sample = house.catalog.samples("", MAX_PAGE);
        let sample = sample.iter().find(|one| one.summary.name == name);
        let sample = sample.expect("sampled");
        assert_eq!(sample.stats.is_some(), name == "runs", "it counts on");
        assert_eq!(sample.summary.state, State::Changing);
        let page = house.catalog.list("", MAX_PAGE);
        let listed = page.devices.iter().find(|device| device.name == name);
        assert_eq!(listed, Some(&shown.summary));
    }
    let page = house.catalog.export(&[], "", MAX_PAGE).expect("exported");
    let exported: Vec<_> = page.definitions.iter().map(|one| &one["name"]).collect();
    assert_eq!(
        exported,
        ["rests"],
        "what is kept, and it is not waited for"
    );
}

#[test]
fn what_is_being_made_is_told_and_not_exported() {
    let house = house();
    house.catalog.create(request("vm1")).expect("created");
    let mut new = stored(&house, "vm1");
    new.name = "vm2".to_owned();
    new.life = Life::persistent(Start::Auto, 0);
    house.catalog.names.lock().mark(&new, "creating");
    let shown = house.catalog.show("vm2").expect("there").summary;
    assert_eq!((shown.state, shown.mtu), (State::Changing, 4000));
    let page = house.catalog.export(&[], "", MAX_PAGE).expect("exported");
    assert!(page.definitions.is_empty(), "it may come to nothing");
}
