use std::path::Path;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};

use super::sim::SimBackend;
use super::*;
use crate::limits::MAX_PAGE;
use crate::store::{MemoryStore, Store};

struct House {
    dir: TempDir,
    backend: Arc<SimBackend>,
    store: Arc<MemoryStore>,
    catalog: Catalog,
}

const QEMU: Client = Client {
    pid: 4711,
    uid: 107,
    gid: 107,
};

fn catalog(backend: &Arc<SimBackend>, store: &Arc<MemoryStore>) -> Catalog {
    Catalog::new(backend.clone(), store.clone(), SocketAccess::default())
}

fn house_with(pairs: u64) -> House {
    let dir = tempdir().expect("a directory");
    let backend = Arc::new(SimBackend::new(
        dir.path(),
        &[("soft0", pairs), ("soft1", 4)],
    ));
    let store = Arc::new(MemoryStore::default());
    let catalog = catalog(&backend, &store);
    House {
        dir,
        backend,
        store,
        catalog,
    }
}

fn house() -> House {
    house_with(64)
}

fn named(name: &str) -> CreateRequest {
    CreateRequest::named(name)
}

fn free_pairs(engine: &dyn Engine) -> u64 {
    engine.pf("soft0").expect("a PF").resources[0].free
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("a directory").count()
}

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
fn another_definition_under_the_same_name_names_what_differs() {
    let house = house();
    house.catalog.create(named("vm1")).expect("created");
    let differing = [
        (
            CreateRequest {
                pf: Some("soft1".into()),
                ..named("vm1")
            },
            "pf soft0, and pf soft1",
        ),
        (
            CreateRequest {
                queue_pairs: Some(2),
                ..named("vm1")
            },
            "queue-pairs 1, and queue-pairs 2",
        ),
        (
            CreateRequest {
                mtu: Some(9000),
                ..named("vm1")
            },
            "mtu 1500, and mtu 9000",
        ),
        (
            CreateRequest {
                vlan: Some(5),
                ..named("vm1")
            },
            "vlan none, and vlan 5",
        ),
        (
            CreateRequest {
                mac: Some("02:00:00:00:00:01".into()),
                ..named("vm1")
            },
            "mac 02:00:00:00:00:01",
        ),
        (
            CreateRequest {
                doorbells: Some("mapped".into()),
                ..named("vm1")
            },
            "doorbells trapped",
        ),
        (
            CreateRequest {
                interrupts: Some("intx".into()),
                ..named("vm1")
            },
            "interrupts msix",
        ),
        (
            CreateRequest {
                socket_mode: Some("0600".into()),
                ..named("vm1")
            },
            "socket-mode 0660",
        ),
        (
            CreateRequest {
                socket_owner: Some("qemu".into()),
                ..named("vm1")
            },
            "socket-owner the daemon's",
        ),
    ];
    for (request, expected) in differing {
        let error = house.catalog.create(request).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn every_argument_is_checked_at_its_edges() {
    let house = house();
    let some = |text: &str| Some(text.to_owned());
    let good = [
        CreateRequest {
            mtu: Some(68),
            ..named("a")
        },
        CreateRequest {
            mtu: Some(65_521),
            ..named("b")
        },
        CreateRequest {
            vlan: Some(1),
            ..named("c")
        },
        CreateRequest {
            vlan: Some(4094),
            ..named("d")
        },
        CreateRequest {
            queue_pairs: Some(48),
            ..named("e")
        },
        CreateRequest {
            socket_mode: some("600"),
            ..named("f")
        },
        CreateRequest {
            personality: some("virtio-net"),
            ..named("g")
        },
    ];
    for request in good {
        house.catalog.create(request).expect("possible");
    }
    let bad = [
        (named(".x"), "name"),
        (named(""), "name"),
        (
            CreateRequest {
                pf: some("no/pf"),
                ..named("z")
            },
            "pf",
        ),
        (
            CreateRequest {
                mtu: Some(67),
                ..named("z")
            },
            "mtu",
        ),
        (
            CreateRequest {
                mtu: Some(65_522),
                ..named("z")
            },
            "mtu",
        ),
        (
            CreateRequest {
                vlan: Some(0),
                ..named("z")
            },
            "vlan",
        ),
        (
            CreateRequest {
                vlan: Some(4095),
                ..named("z")
            },
            "vlan",
        ),
        (
            CreateRequest {
                queue_pairs: Some(0),
                ..named("z")
            },
            "queue-pairs",
        ),
        (
            CreateRequest {
                queue_pairs: Some(65),
                ..named("z")
            },
            "queue-pairs",
        ),
        (
            CreateRequest {
                queue_pairs: Some(u64::MAX),
                ..named("z")
            },
            "queue-pairs",
        ),
        (
            CreateRequest {
                mac: some("02:00:00:00:00"),
                ..named("z")
            },
            "mac",
        ),
        (
            CreateRequest {
                mac: some("03:00:00:00:00:01"),
                ..named("z")
            },
            "unicast",
        ),
        (
            CreateRequest {
                mac: some("00:00:00:00:00:00"),
                ..named("z")
            },
            "mac",
        ),
        (
            CreateRequest {
                personality: some("virtio-nte"),
                ..named("z")
            },
            "did you mean 'virtio-net'?",
        ),
        (
            CreateRequest {
                doorbells: some("rung"),
                ..named("z")
            },
            "trapped, mapped",
        ),
        (
            CreateRequest {
                interrupts: some("msi"),
                ..named("z")
            },
            "msix, intx",
        ),
        (
            CreateRequest {
                socket_mode: some("888"),
                ..named("z")
            },
            "socket-mode",
        ),
        (
            CreateRequest {
                socket_mode: some("1777"),
                ..named("z")
            },
            "socket-mode",
        ),
        (
            CreateRequest {
                socket_owner: some("no-such-user"),
                ..named("z")
            },
            "socket-owner",
        ),
        (
            CreateRequest {
                socket_group: some(""),
                ..named("z")
            },
            "socket-group",
        ),
        (
            CreateRequest {
                doorbells: some("mapped"),
                interrupts: some("intx"),
                ..named("z")
            },
            "intx interrupts cannot map",
        ),
    ];
    for (request, expected) in bad {
        let error = house.catalog.create(request.clone()).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{request:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(
        house.store.load().expect("readable").len(),
        7,
        "refusals leave nothing"
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
fn unknown_names_get_a_suggestion() {
    let house = house();
    house.catalog.create(named("web-1")).expect("created");
    for error in [
        house.catalog.destroy("web1", false).expect_err("unknown"),
        house.catalog.show("web1").expect_err("unknown"),
        house.catalog.stats("web1").expect_err("unknown"),
    ] {
        assert_eq!(
            error.to_string(),
            "there is no device 'web1'; did you mean 'web-1'?"
        );
    }
    let error = house.catalog.pf("sotf0").expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "there is no PF 'sotf0'; did you mean 'soft0'?"
    );
    let request = CreateRequest {
        pf: Some("soft9".into()),
        ..named("z")
    };
    assert_eq!(
        house.catalog.create(request).expect_err("unknown").kind(),
        ErrorKind::NotFound
    );
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
            failed: 3
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
fn lists_are_paged_by_name() {
    let house = house();
    for n in 0..7 {
        house
            .catalog
            .create(named(&format!("d{n}")))
            .expect("created");
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = house.catalog.list(&after, 3);
        assert!(page.devices.len() <= 3);
        seen.extend(page.devices.into_iter().map(|d| d.name));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
    assert_eq!(
        house.catalog.list("", 0).devices.len(),
        1,
        "a page is never empty by request"
    );
    assert_eq!(
        house.catalog.list("", usize::MAX).devices.len(),
        7,
        "nor larger than {MAX_PAGE}"
    );
    assert_eq!(house.catalog.list("d6", MAX_PAGE).devices.len(), 0);
}

#[test]
fn names_are_made_when_none_is_given() {
    let house = house();
    let one = house
        .catalog
        .create(CreateRequest::default())
        .expect("created");
    let two = house
        .catalog
        .create(CreateRequest::default())
        .expect("created");
    assert_ne!(one.name, two.name);
    assert_ne!(one.mac, two.mac);
    assert_ne!(one.uuid, two.uuid);
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

#[test]
fn choices_with_a_cost_are_commented() {
    let house = house();
    let notes = |request| {
        house
            .catalog
            .create(request)
            .expect("created")
            .notes
            .join("\n")
    };
    assert!(notes(named("a")).contains("hot-unplugged"));
    let intx = CreateRequest {
        interrupts: Some("intx".into()),
        ..named("b")
    };
    assert_eq!(notes(intx), "");
    let mapped = CreateRequest {
        doorbells: Some("mapped".into()),
        ..named("c")
    };
    assert!(notes(mapped).contains("one core busy"));
}

#[test]
fn a_vm_gets_all_it_needs() {
    let house = house();
    let made = house.catalog.create(named("7vm")).expect("created");
    let view = house.catalog.show("7vm").expect("there");
    let line = hints::qemu_command_line(&view, "1G");
    for part in [
        "-machine q35,memory-backend=mem0",
        "-m 1G",
        "memory-backend-memfd,id=mem0,size=1G,share=on",
        "pcie-root-port,id=rp-cvf-7vm,chassis=",
        r#""bus":"rp-cvf-7vm""#,
        r#""id":"cvf-7vm""#,
        &made.socket,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let xml = hints::libvirt_xml(&view);
    for part in [
        "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'",
        "<source type='memfd'/>",
        "<access mode='shared'/>",
        "&quot;driver&quot;:&quot;vfio-user-pci&quot;",
    ] {
        assert!(xml.contains(part), "{part} in {xml}");
    }
    for (size, good) in [
        ("1G", true),
        ("512M", true),
        ("1048576", true),
        ("0G", false),
        ("G", false),
        ("1,x=y", false),
        ("-1G", false),
    ] {
        assert_eq!(hints::check_memory(size).is_ok(), good, "{size}");
    }
}

#[test]
fn error_names_are_distinct_and_found_again() {
    for kind in ErrorKind::ALL {
        assert_eq!(ErrorKind::from_dbus_name(kind.dbus_name()), Some(kind));
        let kebab: String = kind
            .dbus_name()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .chars()
            .fold(String::new(), |mut text, c| {
                if c.is_ascii_uppercase() && !text.is_empty() {
                    text.push('-');
                }
                text.push(c.to_ascii_lowercase());
                text
            });
        assert_eq!(kebab, kind.kebab());
    }
    assert_eq!(
        ErrorKind::from_dbus_name("org.freedesktop.DBus.Error.Failed"),
        None
    );
}
