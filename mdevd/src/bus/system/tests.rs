use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::tempdir;
use zbus::object_server::Interface;
use zbus::zvariant::OwnedValue;

use super::super::MANAGER_INTERFACE;
use super::super::convert::Dict;
use super::super::manager::Manager;
use super::admission::Admission;
use super::methods::{self, Method, Right};
use super::objects::{Change, Objects};
use super::path::{Level, Object, Place, element, name};
use super::{introspect, properties};
use crate::engine::jobs::About;
use crate::engine::sim::SimBackend;
use crate::engine::{Catalog, CreateRequest, Engine, SocketAccess};
use crate::limits::{MAX_BUS_CALLS, MAX_BUS_CALLS_OF_ONE};
use crate::names::check_name;
use crate::profiles::Profiles;
use crate::store::MemoryStore;

fn catalog(dir: &Path) -> Arc<Catalog> {
    let backend = Arc::new(SimBackend::new(dir, &[("soft0", 8)]));
    let store = Arc::new(MemoryStore::default());
    let profiles = Arc::new(Profiles::shipped("lab"));
    Arc::new(Catalog::new(
        backend,
        store,
        profiles,
        SocketAccess::default(),
    ))
}

#[test]
fn paths_lead_where_they_say() {
    let device = |name: &str| Some(Place::Object(Object::Device(name.to_owned())));
    assert_eq!(Place::of("/io/mdevd1/device/web1"), device("web1"));
    assert_eq!(Place::of("/io/mdevd1/device/a_2db_2e_5f"), device("a-b._"));
    assert_eq!(
        Place::of("/io/mdevd1/pf/soft0"),
        Some(Place::Object(Object::Pf("soft0".into())))
    );
    assert_eq!(
        Place::of("/io/mdevd1/job/7"),
        Some(Place::Object(Object::Job(7)))
    );
    assert_eq!(Place::of("/"), Some(Place::Above(Level::Top)));
    assert_eq!(Place::of("/io/mdevd1"), Some(Place::Above(Level::Root)));
    assert_eq!(
        Place::of(&Object::Manager.path()),
        Some(Place::Object(Object::Manager))
    );
    for nowhere in [
        "/io/mdevd2",
        "/io/mdevd1/device/",
        "/io/mdevd1/device/a_2",
        "/io/mdevd1/device/a_2D",
        "/io/mdevd1/device/a_61",
        "/io/mdevd1/device/a_zz",
        "/io/mdevd1/device/_ff",
        "/io/mdevd1/device/a/b",
        "/io/mdevd1/Manager/x",
        "/io/mdevd1/job/07",
        "/io/mdevd1/job/-1",
        "/io/mdevd1/job/4294967296",
    ] {
        assert_eq!(Place::of(nowhere), None, "{nowhere}");
    }
}

proptest! {
    #[test]
    fn every_name_has_one_path_and_comes_back(text in "[A-Za-z0-9][A-Za-z0-9_.-]{0,62}") {
        prop_assert!(check_name(&text).is_ok());
        let element = element(&text);
        prop_assert!(element.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        prop_assert_eq!(name(&element), Some(text));
    }

    #[test]
    fn no_element_makes_trouble(text in "[A-Za-z0-9_]{0,80}") {
        if let Some(name) = name(&text) {
            prop_assert_eq!(element(&name), text);
        }
    }
}

fn state(text: &str) -> Dict {
    let value = zbus::zvariant::Value::from(text.to_owned());
    let value = OwnedValue::try_from(value).expect("a value");
    Dict::from([("State".to_owned(), value)])
}

fn device(name: &str) -> Object {
    Object::Device(name.to_owned())
}

#[test]
fn objects_are_told_once_and_only_what_is_new() {
    let mut objects = Objects::new(10);
    let added = objects.put(device("a"), state("ready"));
    assert!(matches!(added, Some(Change::Added(object, _)) if object == device("a")));
    assert!(objects.put(device("a"), state("ready")).is_none());
    let altered = objects.put(device("a"), state("connected"));
    assert!(matches!(altered, Some(Change::Altered(_, new)) if new.len() == 1));
    assert!(matches!(
        objects.remove_device("a"),
        Some(Change::Removed(_))
    ));
    assert!(objects.remove_device("a").is_none());
}

#[test]
fn beyond_the_limit_devices_wait_for_a_place() {
    let mut objects = Objects::new(2);
    let left_out = |objects: &Objects| {
        let manager = objects.get(&Object::Manager).expect("the manager");
        u64::try_from(&manager["ObjectsLeftOut"]).expect("a number")
    };
    for name in ["a", "b", "c", "d"] {
        objects.put(device(name), state("ready"));
    }
    assert!(objects.recount().is_some());
    assert_eq!(left_out(&objects), 2);
    assert!(objects.get(&device("c")).is_none());
    assert_eq!(objects.next_in(), None, "no place");
    assert_eq!(objects.device_names().len(), 4);
    objects.remove_device("a");
    assert_eq!(objects.next_in().as_deref(), Some("c"));
    assert!(objects.put(device("c"), state("ready")).is_some());
    assert!(objects.remove_device("d").is_none(), "it was never told of");
    assert!(objects.recount().is_some());
    assert_eq!((left_out(&objects), objects.next_in()), (0, None));
}

#[test]
fn calls_are_counted_in_all_and_by_sender() {
    let admission = Admission::default();
    let mut inside: Vec<_> = (0..MAX_BUS_CALLS_OF_ONE)
        .map(|_| admission.admit(":1.1").expect("room"))
        .collect();
    assert!(admission.admit(":1.1").is_err(), "one sender's share");
    let mut sender = 2;
    while inside.len() < MAX_BUS_CALLS {
        match admission.admit(&format!(":1.{sender}")) {
            Ok(admitted) => inside.push(admitted),
            Err(_) => sender += 1,
        }
    }
    assert!(admission.admit(":1.99").is_err(), "everybody's share");
    inside.clear();
    assert!(admission.admit(":1.1").is_ok());
}

/// The file as it should be: what the code says, or the file itself.
fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/dbus");
    std::fs::read_to_string(path.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn parse(text: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    roxmltree::Document::parse_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Names of a document's elements of that kind.
fn names(document: &roxmltree::Document<'_>, kind: &str) -> BTreeSet<String> {
    let elements = document.descendants().filter(|n| n.has_tag_name(kind));
    elements
        .filter_map(|n| n.attribute("name").map(str::to_owned))
        .collect()
}

fn names_of(table: &[Method]) -> BTreeSet<String> {
    table.iter().map(|method| method.name.to_owned()).collect()
}

#[test]
fn the_shipped_description_of_the_manager_is_the_codes() {
    let dir = tempdir().expect("a directory");
    let manager = Manager::new(catalog(dir.path()));
    let interface = introspect::manager_interface(&manager);
    let head = shipped("io.mdevd1.Device.xml");
    let head = &head[..head.find("  <interface").expect("an interface")];
    let expected = format!("{head}{interface}</node>\n");
    if std::env::var_os("MDEVD_WRITE_XML").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join("../examples/dbus/io.mdevd1.Manager.xml");
        std::fs::write(path, &expected).expect("written");
    }
    assert!(
        shipped("io.mdevd1.Manager.xml") == expected,
        "examples/dbus/io.mdevd1.Manager.xml is not what the code says; run this test once with \
         MDEVD_WRITE_XML=1 to write it anew"
    );
    assert_eq!(Manager::name().as_str(), MANAGER_INTERFACE);
}

#[test]
fn descriptions_name_exactly_the_methods_that_are_served() {
    for (file, table) in [
        ("io.mdevd1.Manager.xml", methods::MANAGER.as_slice()),
        ("io.mdevd1.Device.xml", &methods::DEVICE),
        ("io.mdevd1.Pf.xml", &methods::PF),
        ("io.mdevd1.Job.xml", &methods::JOB),
    ] {
        let text = shipped(file);
        assert_eq!(names(&parse(&text), "method"), names_of(table), "{file}");
    }
}

/// Properties of a shipped file: name and signature.
fn described(file: &str) -> BTreeSet<(String, String)> {
    let text = shipped(file);
    let document = parse(&text);
    let properties = document
        .descendants()
        .filter(|n| n.has_tag_name("property"));
    let read = properties.map(|n| {
        assert_eq!(n.attribute("access"), Some("read"), "{file}");
        let attribute = |key| n.attribute(key).expect("an attribute").to_owned();
        (attribute("name"), attribute("type"))
    });
    read.collect()
}

fn served(dict: &Dict) -> BTreeSet<(String, String)> {
    dict.iter()
        .map(|(name, value)| (name.clone(), value.value_signature().to_string()))
        .collect()
}

#[test]
fn descriptions_name_exactly_the_properties_that_are_served() {
    let dir = tempdir().expect("a directory");
    let catalog = catalog(dir.path());
    catalog
        .create(CreateRequest::named("vm1"))
        .expect("created");
    let view = catalog.show("vm1").expect("shown");
    let device = properties::of_device(view);
    assert_eq!(described("io.mdevd1.Device.xml"), served(&device));
    let pf = properties::of_pf(catalog.pf("soft0").expect("a PF"));
    assert_eq!(described("io.mdevd1.Pf.xml"), served(&pf));
    let ticket = catalog.jobs().ask(About {
        method: "Start",
        device: "vm1".to_owned(),
        uid: 0,
    });
    let id = ticket.expect("room").id().expect("a job");
    let job = properties::of_job(&catalog.jobs().show(id).expect("shown"));
    assert_eq!(described("io.mdevd1.Job.xml"), served(&job));
    let manager = properties::of_manager(1, 0);
    assert_eq!(described("io.mdevd1.Manager.xml"), served(&manager));
}

#[test]
fn every_place_describes_itself_and_what_is_below() {
    let dir = tempdir().expect("a directory");
    let manager = Manager::new(catalog(dir.path()));
    let child = device("a-b");
    let cases = [
        (Place::Above(Level::Top), vec!["io"], None),
        (Place::Above(Level::Io), vec!["mdevd1"], None),
        (
            Place::Above(Level::Root),
            vec!["Manager", "device", "job", "pf"],
            Some("org.freedesktop.DBus.ObjectManager"),
        ),
        (
            Place::Object(Object::Manager),
            vec![],
            Some(MANAGER_INTERFACE),
        ),
        (
            Place::Object(device("x")),
            vec![],
            Some(super::DEVICE_INTERFACE),
        ),
        (
            Place::Object(Object::Pf("x".into())),
            vec![],
            Some(super::PF_INTERFACE),
        ),
        (
            Place::Object(Object::Job(7)),
            vec![],
            Some(super::JOB_INTERFACE),
        ),
    ];
    for (place, below, interface) in cases {
        let text = introspect::document(&place, &manager, &[]);
        let document = parse(&text);
        let below: BTreeSet<_> = below.into_iter().map(str::to_owned).collect();
        assert_eq!(names(&document, "node"), below, "{place:?}");
        let interfaces = names(&document, "interface");
        assert!(interfaces.contains("org.freedesktop.DBus.Properties"));
        assert!(
            interface.is_none_or(|name| interfaces.contains(name)),
            "{interfaces:?}"
        );
    }
    let text = introspect::document(&Place::Above(Level::Devices), &manager, &[&child]);
    assert_eq!(
        names(&parse(&text), "node"),
        BTreeSet::from(["a_2db".to_owned()])
    );
    let place = Place::Above(Level::Jobs);
    let text = introspect::document(&place, &manager, &[&Object::Job(7)]);
    assert_eq!(
        names(&parse(&text), "node"),
        BTreeSet::from(["7".to_owned()])
    );
}

#[test]
fn files_for_the_system_are_well_formed_and_name_what_the_code_does() {
    let policy = shipped("io.mdevd1.policy");
    let document = parse(&policy);
    let actions: BTreeSet<_> = document
        .descendants()
        .filter(|n| n.has_tag_name("action"))
        .filter_map(|n| n.attribute("id"))
        .collect();
    let rights = [
        Right::Read,
        Right::Change,
        Right::Manage,
        Right::Capture,
        Right::Job,
    ];
    let asked: BTreeSet<_> = rights.into_iter().filter_map(Right::action).collect();
    assert_eq!(actions, asked);
    for kept in document
        .descendants()
        .filter(|n| n.has_tag_name("allow_active"))
    {
        assert_eq!(kept.text(), Some("auth_admin_keep"));
    }
    let conf = shipped("io.mdevd1.conf");
    let document = parse(&conf);
    let allowed: BTreeSet<_> = document
        .descendants()
        .filter_map(|n| n.attribute("send_interface"))
        .collect();
    for interface in [
        MANAGER_INTERFACE,
        super::DEVICE_INTERFACE,
        super::PF_INTERFACE,
        super::JOB_INTERFACE,
        super::PEER,
        super::PROPERTIES,
        super::INTROSPECTABLE,
        super::OBJECT_MANAGER,
    ] {
        assert!(allowed.contains(interface), "{interface}");
    }
    let service = shipped("io.mdevd1.service");
    let named = format!("Name={}", super::BUS_NAME);
    assert!(service.lines().any(|line| line == named), "{service}");
}
