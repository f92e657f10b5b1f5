use super::*;

#[test]
fn a_created_device_is_stored_and_listening_and_a_destroyed_one_leaves_nothing() {
    let house = house();
    let made = house.catalog.create(named("vm1")).expect("created");
    assert_eq!(made.result, Outcome::Created);
    std::os::unix::net::UnixStream::connect(&made.socket).expect("listening");
    let device: serde_json::Value = serde_json::from_str(&made.qemu).expect("json");
    assert_eq!(device["driver"], "vfio-user-pci");
    assert_eq!(device["socket"]["path"], made.socket);
    assert_eq!(house.store.load().expect("readable").len(), 1);
    assert_eq!(free_pairs(&house.catalog), 63);

    house.catalog.destroy("vm1", false).expect("destroyed");
    assert_eq!(house.store.load().expect("readable").len(), 0);
    assert_eq!(free_pairs(&house.catalog), 64);
    assert_eq!(files(house.dir.path()), 0);
}

#[test]
fn creating_again_is_already_and_the_identity_is_stable() {
    let house = house();
    let request = CreateRequest {
        queue_pairs: Some(2),
        mtu: Some(9000),
        ..named("vm1")
    };
    let first = house.catalog.create(request.clone()).expect("created");
    let second = house.catalog.create(request.clone()).expect("already");
    assert_eq!(
        second,
        Created {
            result: Outcome::Already,
            ..first.clone()
        }
    );
    house.catalog.destroy("vm1", false).expect("destroyed");
    assert_eq!(
        house.catalog.create(request).expect("created"),
        first,
        "same name, same identity"
    );
}

#[test]
fn what_ran_out_is_named_and_given_back_after_refusals() {
    let house = house_with(4);
    house
        .catalog
        .create(CreateRequest {
            queue_pairs: Some(3),
            ..named("a")
        })
        .expect("created");
    let error = house
        .catalog
        .create(CreateRequest {
            queue_pairs: Some(2),
            ..named("b")
        })
        .expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::NoResources);
    assert!(
        error
            .to_string()
            .contains("1 of 4 queue pairs free, 2 were asked for"),
        "{error}"
    );
    assert_eq!(files(house.dir.path()), 1, "no socket of b");
    house
        .catalog
        .create(named("b"))
        .expect("one is left, and b's MAC is not reserved any more");
}

#[test]
fn a_mac_belongs_to_one() {
    let house = house();
    let mac = Some("52:54:00:00:00:01".to_owned());
    house
        .catalog
        .create(CreateRequest {
            mac: mac.clone(),
            ..named("a")
        })
        .expect("created");
    let error = house
        .catalog
        .create(CreateRequest {
            mac: mac.clone(),
            ..named("b")
        })
        .expect_err("dup");
    assert_eq!(error.kind(), ErrorKind::DuplicateMac);
    assert!(
        error.to_string().contains("'a' has that address"),
        "{error}"
    );
    house.catalog.destroy("a", false).expect("destroyed");
    house
        .catalog
        .create(CreateRequest { mac, ..named("b") })
        .expect("free again");
}
