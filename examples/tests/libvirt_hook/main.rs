//! libvirt's hook, run as libvirt runs it, beside a `cvfctl` that only plays devices.

mod house;

use house::{CVF, Domain, House, Said};

/// The devices that are there.
fn devices(house: &House) -> Vec<String> {
    house.list("devices")
}

#[test]
fn a_domain_gets_its_devices_and_loses_them() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    house.run("prepare begin", &domain).expect_ok();
    assert_eq!(devices(&house), ["vm1"]);
    let log = house.log();
    assert!(
        log.contains("--json create vm1 --queue-pairs=2 --vlan=5 --socket-owner=65534"),
        "{log}"
    );
    for other in [
        "start begin",
        "started begin",
        "stopped end",
        "reconnect begin",
    ] {
        house.run(other, &domain).expect_ok();
    }
    assert_eq!(devices(&house), ["vm1"]);
    house.run("release end", &domain).expect_ok();
    assert!(devices(&house).is_empty());
    assert!(house.claims().is_empty());
    // Again: nothing is left to do, and nobody is asked.
    let before = house.log();
    house.run("release end", &domain).expect_ok();
    assert_eq!(house.log(), before);
}

#[test]
fn a_domain_without_our_element_asks_nobody() {
    let Some(house) = House::new() else { return };
    let domain = Domain {
        metadata: "<metadata><other:x xmlns:other='urn:x'/></metadata>".into(),
        memory: String::new(),
        ..Domain::default()
    };
    for operation in [
        "prepare begin",
        "release end",
        "migrate begin",
        "restore begin",
    ] {
        house.run(operation, &domain).expect_ok();
    }
    assert_eq!(house.log(), "");
}

#[test]
fn an_operators_device_is_used_and_left() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    house.create(
        "vm1",
        &["--queue-pairs=2", "--vlan=5", "--socket-owner=65534"],
    );
    house.run("prepare begin", &domain).expect_ok();
    house.run("release end", &domain).expect_ok();
    assert_eq!(devices(&house), ["vm1"]);

    let unmanaged = domain.with_cvfs("<mdevd:cvf name='vm1' managed='no'/>");
    house.run("prepare begin", &unmanaged).expect_ok();
    house.run("release end", &unmanaged).expect_ok();
    assert_eq!(devices(&house), ["vm1"]);
    let absent = domain.with_cvfs("<mdevd:cvf name='vm2' managed='no'/>");
    house
        .run("prepare begin", &absent)
        .expect_refusal(&["vm2", "no device"]);
}

#[test]
fn an_operators_device_of_another_kind_is_refused_and_left() {
    let Some(house) = House::new() else { return };
    house.create("vm1", &["--vlan=9"]);
    let domain = Domain::default();
    house
        .run("prepare begin", &domain)
        .expect_refusal(&["vm1", "another definition"]);
    // libvirt releases what did not start, too.
    house.run("release end", &domain).expect_ok();
    assert_eq!(devices(&house), ["vm1"]);
}

#[test]
fn a_refused_start_leaves_nothing() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    let second_is_wrong = domain.with_cvfs(&format!("{CVF}<mdevd:cvf name='vm2' no-such='1'/>"));
    house
        .run("prepare begin", &second_is_wrong)
        .expect_refusal(&["create vm2", "unexpected argument"]);
    assert!(devices(&house).is_empty() && house.claims().is_empty());

    let not_plugged = domain.with_cvfs(&format!("{CVF}<mdevd:cvf name='vm2'/>"));
    house.run("prepare begin", &not_plugged).expect_refusal(&[
        "/s/vm2.sock",
        "--libvirt-xml",
        "plug='later'",
    ]);
    assert!(devices(&house).is_empty() && house.claims().is_empty());
    let later = domain.with_cvfs(&format!("{CVF}<mdevd:cvf name='vm2' plug='later'/>"));
    house.run("prepare begin", &later).expect_ok();
    assert_eq!(devices(&house), ["vm1", "vm2"]);
}

#[test]
fn memory_must_be_shared() {
    let Some(house) = House::new() else { return };
    let refused = [
        "",
        "<memoryBacking><source type='memfd'/></memoryBacking>",
        "<memoryBacking><source type='memfd'/><access mode='private'/></memoryBacking>",
        "<memoryBacking><source type='anonymous'/><access mode='shared'/></memoryBacking>",
        "<memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>",
        "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>\
         <cpu><numa><cell memAccess='shared'/><cell memAccess='private'/></numa></cpu>",
        "<memoryBacking><source type='memfd'/></memoryBacking>\
         <cpu><numa><cell memAccess='shared'/><cell/></numa></cpu>",
    ];
    for memory in refused {
        let domain = Domain::default().with_memory(memory);
        house
            .run("prepare begin", &domain)
            .expect_refusal(&["not shared", "<source type='memfd'/>"]);
    }
    assert_eq!(house.log(), "", "nothing was asked before");
    let taken = [
        "<memoryBacking><hugepages/><access mode='shared'/></memoryBacking>",
        "<memoryBacking><source type='memfd'/></memoryBacking>\
         <cpu><numa><cell memAccess='shared'/><cell memAccess='shared'/></numa></cpu>",
    ];
    for memory in taken {
        let domain = Domain::default().with_memory(memory);
        house.run("prepare begin", &domain).expect_ok();
    }
}

#[test]
fn the_guard_against_migration_must_be_there_or_given_up() {
    let Some(house) = House::new() else { return };
    let domain = Domain {
        guard: String::new(),
        ..Domain::default()
    };
    house
        .run("prepare begin", &domain)
        .expect_refusal(&["mdevd-devices-cannot-migrate", "guard='off'"]);
    let given_up = Domain {
        metadata: domain
            .metadata
            .replace("devices xml", "devices guard='off' xml"),
        ..domain
    };
    house.run("prepare begin", &given_up).expect_ok();
}

#[test]
fn state_that_would_lack_the_devices_is_refused() {
    let Some(house) = House::new() else { return };
    for operation in ["migrate begin", "restore begin"] {
        house
            .run(operation, &Domain::default())
            .expect_refusal(&["neither saves nor migrates"]);
    }
    assert_eq!(house.log(), "");
}

#[test]
fn a_daemon_that_hangs_or_is_away_costs_bounded_time() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    house.trouble("down");
    house
        .run("prepare begin", &domain)
        .expect_refusal(&["no daemon answers"]);
    house.configure("seconds = 1\n");
    house.trouble("hang create");
    house
        .run("prepare begin", &domain)
        .expect_refusal(&["create vm1", "no answer in 1 s"]);
    house.configure("");
    house.trouble("");
    house.run("prepare begin", &domain).expect_ok();
    // A device that cannot be destroyed now is known until it can.
    for (trouble, limit) in [("down", ""), ("hang destroy", "seconds = 1\n")] {
        house.trouble(trouble);
        house.configure(limit);
        house.run("release end", &domain).expect_refusal(&["vm1"]);
        house.run("reconnect begin", &domain).expect_ok();
        assert_eq!(
            (devices(&house), house.claims().len()),
            (vec!["vm1".into()], 1)
        );
    }
    house.trouble("");
    house.configure("");
    house.run("release end", &domain).expect_ok();
    assert!(devices(&house).is_empty() && house.claims().is_empty());
}

#[test]
fn what_an_earlier_life_left_is_made_anew() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    house.run("prepare begin", &domain).expect_ok();
    let changed = domain.with_cvfs("<mdevd:cvf name='vm1' vlan='6'/>");
    house.run("prepare begin", &changed).expect_ok();
    assert!(house.device("vm1").contains("--vlan=6"));
    house.run("release end", &changed).expect_ok();
    assert!(devices(&house).is_empty());
}

#[test]
fn a_device_that_was_made_anew_by_somebody_is_left() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    house.run("prepare begin", &domain).expect_ok();
    house.destroy("vm1");
    house.create("vm1", &["--vlan=9"]);
    house.run("release end", &domain).expect_ok();
    assert_eq!(devices(&house), ["vm1"]);
    assert!(house.claims().is_empty());
}

#[test]
fn a_device_of_another_domain_or_client_is_refused() {
    let Some(house) = House::new() else { return };
    let domain = Domain::default();
    house.run("prepare begin", &domain).expect_ok();
    let uuid = domain.uuid.clone();
    let other = Domain {
        uuid: uuid.replace('1', "2"),
        ..domain.clone()
    };
    house
        .run("prepare begin", &other)
        .expect_refusal(&["vm1", &uuid]);
    house.run("release end", &other).expect_ok();
    assert_eq!(devices(&house), ["vm1"]);
    house.run("release end", &domain).expect_ok();

    house.create(
        "vm1",
        &["--queue-pairs=2", "--vlan=5", "--socket-owner=65534"],
    );
    house.trouble("connected");
    house
        .run("prepare begin", &domain)
        .expect_refusal(&["vm1", "in use by process 77"]);
    assert_eq!(devices(&house), ["vm1"]);
}

#[test]
fn wrong_elements_are_refused_in_words() {
    let Some(house) = House::new() else { return };
    let cases = [
        ("<mdevd:cvf/>", "needs a name"),
        ("<mdevd:cvf name='-x'/>", "needs a name"),
        ("<mdevd:cvf name='../x'/>", "needs a name"),
        ("<mdevd:cvf name='x' managed='maybe'/>", "yes or no"),
        ("<mdevd:cvf name='x' plug='never'/>", "start or later"),
        ("<mdevd:cvf name='x' managed='no' vlan='5'/>", "no effect"),
        ("<mdevd:cvf name='x' address='/tmp/other'/>", "no attribute"),
        ("<mdevd:cvf name='x' Vlan='5'/>", "no attribute"),
        (
            "<mdevd:cvf name='x'/><mdevd:cvf name='x'/>",
            "more than once",
        ),
        ("<cvf name='x'/>", "its own namespace"),
        (&"<mdevd:cvf name='x'/>".repeat(33), "too many"),
    ];
    for (cvfs, why) in cases {
        house
            .run("prepare begin", &Domain::default().with_cvfs(cvfs))
            .expect_refusal(&[why]);
    }
    let wrong = house.run_text("prepare begin", "<domain>");
    wrong.expect_refusal(&["cannot be read"]);
    assert_eq!(house.log(), "");
}

#[test]
fn the_owner_of_the_socket_is_the_domains_user_first() {
    let Some(house) = House::new() else { return };
    let labelled = Domain::default().with_memory(
        "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>\
         <seclabel type='static' model='dac' relabel='yes'><label>+107:+108</label></seclabel>",
    );
    house.run("prepare begin", &labelled).expect_ok();
    assert!(house.device("vm1").contains("--socket-owner=107"));
    house.run("release end", &labelled).expect_ok();
    let told = Domain::default().with_cvfs("<mdevd:cvf name='vm1' socket-owner='me'/>");
    house.run("prepare begin", &told).expect_ok();
    assert!(house.device("vm1").contains("--socket-owner=me"));
    house.run("release end", &told).expect_ok();
}

#[test]
fn a_broken_configuration_is_named() {
    let Some(house) = House::new() else { return };
    house.configure("colour = blue\n");
    let Said { code, .. } = house
        .run("prepare begin", &Domain::default())
        .expect_refusal(&["no key 'colour'"]);
    assert_eq!(code, 1);
    house.configure("seconds = soon\n");
    house
        .run("prepare begin", &Domain::default())
        .expect_refusal(&["hook.conf", "cannot be read"]);
    house.run("reconnect begin", &Domain::default()).expect_ok();
}
