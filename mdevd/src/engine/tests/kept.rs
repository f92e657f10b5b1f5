//! Transient devices that are kept, addresses that two definitions claim, and what one answer may hold.

use super::*;
use crate::limits::{MAX_COMPARED, MAX_PAGE};

fn pairs(name: &str, queue_pairs: u64) -> CreateRequest {
    CreateRequest {
        queue_pairs: Some(queue_pairs),
        ..CreateRequest::named(name)
    }
}

fn define(device: CreateRequest, replace: bool) -> DefineRequest {
    DefineRequest {
        device,
        replace,
        ..DefineRequest::default()
    }
}

#[test]
fn a_transient_device_is_kept_by_its_name_alone_as_it_is() {
    let house = house();
    house.catalog.create(pairs("vm1", 4)).expect("created");
    for replace in [false, true] {
        let other = define(pairs("vm1", 2), replace);
        let error = house.catalog.define(other).expect_err("another one");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("'cvfctl define vm1'"), "{error}");
        let shown = house.catalog.show("vm1").expect("there").summary;
        assert!(!shown.persistent && shown.queue_pairs == 4, "{shown:?}");
    }
    let kept = house.catalog.define(define(named("vm1"), false));
    assert_eq!(kept.expect("kept").result, Outcome::Defined);
    let shown = house.catalog.show("vm1").expect("there").summary;
    assert!(shown.persistent && shown.queue_pairs == 4, "{shown:?}");
    assert_eq!(shown.state, State::Ready, "it ran all the time");
    let again = house.catalog.define(define(named("vm1"), false));
    assert_eq!(again.expect("the same").result, Outcome::Already);
    let error = house
        .catalog
        .define(define(pairs("vm1", 1), false))
        .expect_err("another one");
    assert!(error.to_string().contains("--replace"), "{error}");
}

#[test]
fn no_command_starts_a_definition_whose_address_is_another_devices() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    house
        .catalog
        .define(define(named("vm2"), false))
        .expect("defined");
    // Nothing stores this; a copied record, or an old store, could have it.
    let stored = |name: &str| {
        let records = house.store.load().expect("readable");
        let record = records.into_iter().find(|record| record.name == name);
        record.expect("there").definition.expect("a definition")
    };
    let (first, mut second) = (stored("vm1"), stored("vm2"));
    second.mac = first.mac;
    house.store.put(&second).expect("stored");
    house.catalog.shut_down();
    let again = catalog(&house.backend, &house.store);
    again.restore().expect("readable");
    assert_eq!(
        again.show("vm2").expect("there").summary.state,
        State::Defined
    );
    for error in [
        again.start("vm2").expect_err("refused"),
        again.create(named("vm2")).expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::DuplicateMac, "{error}");
    }
    assert_eq!(
        again.show("vm2").expect("there").summary.state,
        State::Defined
    );
}

#[test]
fn an_export_by_name_has_as_many_as_a_page() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let names = vec!["vm1".to_owned(); MAX_PAGE];
    let page = house
        .catalog
        .export(&names, "", 1)
        .expect("as many as that");
    assert_eq!(page.definitions.len(), MAX_PAGE);
    let names = vec!["vm1".to_owned(); MAX_PAGE + 1];
    let error = house.catalog.export(&names, "", 1).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_name_is_guessed_among_so_many_and_no_more() {
    let house = house();
    let hint = |name: &str| {
        let error = house.catalog.show(name).expect_err("none");
        error.to_string()
    };
    for n in 0..MAX_COMPARED {
        let name = format!("d{n:05}");
        house
            .catalog
            .define(define(named(&name), false))
            .expect("defined");
    }
    assert!(hint("x00001").contains("did you mean 'd00001'"));
    house
        .catalog
        .define(define(named("e"), false))
        .expect("defined");
    assert!(
        !hint("x00001").contains("'d00001'"),
        "far from it in their order"
    );
    assert!(hint("d01023x").contains("did you mean 'd01023'"));
    assert!(
        hint("d0512").contains("did you mean 'd0"),
        "{}",
        hint("d0512")
    );
}

#[test]
fn a_definition_is_replaced_only_where_it_is_the_one_that_was_read() {
    let house = house();
    let document = |name: &str| {
        let page = house.catalog.export(&[name.to_owned()], "", 1);
        let page = page.expect("exported");
        serde_json::to_string(&page.definitions[0]).expect("JSON")
    };
    let instead = |read: &str, mtu| DefineRequest {
        device: CreateRequest {
            mtu: Some(mtu),
            ..named("vm1")
        },
        instead_of: Some(read.to_owned()),
        ..DefineRequest::default()
    };
    let mtu = || house.catalog.show("vm1").expect("there").summary.mtu;
    house
        .catalog
        .define(define(named("vm1"), false))
        .expect("defined");
    let read = document("vm1");
    let done = house.catalog.define(instead(&read, 1400));
    assert_eq!(done.expect("it is that").result, Outcome::Replaced);
    let error = house.catalog.define(instead(&read, 1300));
    let error = error.expect_err("it is another");
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(
        error.to_string().contains("mtu was 1500 and is 1400"),
        "{error}"
    );
    assert_eq!(mtu(), 1400);
    // What somebody claims to have read is not told back at length.
    let claims = (0..5000).map(|n| (format!("{n:0200}"), "x".repeat(50)));
    let claims: std::collections::BTreeMap<_, _> = claims.collect();
    let claims = serde_json::to_string(&claims).expect("JSON");
    let error = house.catalog.define(instead(&claims, 1300));
    let error = error.expect_err("it is another").to_string();
    assert!(
        error.len() < 4000 && error.contains(" more; look"),
        "{error}"
    );
    let error = house.catalog.define(instead("{", 1300));
    let error = error.expect_err("nothing that was read");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    // Nor is it made where it is gone, or kept where it is transient.
    house.catalog.destroy("vm1", false).expect("destroyed");
    let error = house.catalog.define(instead(&read, 1300));
    let error = error.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    house.catalog.create(named("vm1")).expect("created");
    let error = house.catalog.define(instead(&document("vm1"), 1500));
    let error = error.expect_err("it is transient");
    assert_eq!(error.kind(), ErrorKind::NotReady, "{error}");
    let shown = house.catalog.show("vm1").expect("there").summary;
    assert!(!shown.persistent, "{shown:?}");
}
