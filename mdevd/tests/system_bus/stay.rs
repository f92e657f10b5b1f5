//! Being there, not being there, and coming back.

use super::support::House;
use super::support::Said;
use super::support::bus::{Bus, can_run};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_comes_back_finds_the_daemon_again() {
    if !can_run() {
        return;
    }
    let (mut bus, house) = (Bus::start(), House::new());
    let daemon = bus.daemon(&house, &[]);
    daemon.json(&["create", "vm1"]);
    bus.kill();
    // The private socket does not care.
    daemon.json(&["create", "vm2"]);
    bus.run();
    let client = bus.client().await;
    let owner = async {
        loop {
            let all = client
                .call_method(
                    Some(NAME),
                    ROOT,
                    Some(OBJECT_MANAGER),
                    "GetManagedObjects",
                    &(),
                )
                .await;
            if let Ok(all) = all {
                let all: Managed = all.body().deserialize().expect("a{oa{sa{sv}}}");
                return all.len();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let objects = tokio::time::timeout(PATIENCE, owner).await.expect("back");
    assert_eq!(objects, 4, "manager, PF, and both devices");
    let log = daemon.stop();
    assert!(log.contains("the system bus is gone"), "{log}");
}

#[test]
fn without_a_bus_auto_goes_on_and_on_does_not_start() {
    let house = House::new();
    let nowhere = format!("unix:path={}/none", house.dir.path().display());
    let mut command = house.command(&["--system-bus", "auto"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", &nowhere);
    let daemon = house.start_command(command);
    daemon.json(&["create", "vm1"]);
    let log = daemon.stop();
    assert!(log.contains("cannot join the system bus"), "{log}");
    let mut command = house.command(&["--system-bus", "on"]);
    let output = command.env("DBUS_SYSTEM_BUS_ADDRESS", &nowhere).output();
    let said = Said::of(output.expect("it runs"));
    assert_eq!(said.code, 1);
    assert!(said.err.contains("cannot join the system bus"), "{said:?}");
    let said = Said::of(house.run(&["--system-bus", "perhaps"]));
    assert_eq!(said.code, 2);
    assert!(said.err.contains("auto, on or off"), "{said:?}");
}

#[test]
fn one_name_one_daemon() {
    if !can_run() {
        return;
    }
    let (bus, house, other) = (Bus::start(), House::new(), House::new());
    let _daemon = bus.daemon(&house, &[]);
    let mut command = other.command(&["--system-bus", "on"]);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    let said = Said::of(command.output().expect("it runs"));
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("another process has the name io.mdevd1"),
        "{said:?}"
    );
}
