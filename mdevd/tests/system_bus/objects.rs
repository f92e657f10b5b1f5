//! Objects, properties and signals.

use std::os::unix::net::UnixStream;

use futures_lite::StreamExt;
use zbus::MessageStream;
use zbus::message::Type;

use super::support::House;
use super::support::bus::{Bus, can_run};
use super::*;

/// Signals of the daemon, as they come.
pub struct Signals(MessageStream);

impl Signals {
    pub async fn of(bus: &zbus::Connection) -> Self {
        let rule = zbus::MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(NAME)
            .expect("a name")
            .build();
        let stream = MessageStream::for_match_rule(rule, bus, Some(1000)).await;
        Self(stream.expect("a stream"))
    }

    /// The next signal of that name, as path and message.
    pub async fn next(&mut self, member: &str) -> (String, Message) {
        let wait = async {
            loop {
                let message = self.0.next().await.expect("open").expect("a message");
                let header = message.header();
                if header.member().is_some_and(|name| name == member) {
                    let path = header.path().expect("a path").to_string();
                    return (path, message);
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("no {member} in time"))
    }

    /// The interfaces and properties that `path` comes with. Others may come before it.
    pub async fn added(&mut self, path: &str) -> HashMap<String, Dict> {
        loop {
            let (from, message) = self.next("InterfacesAdded").await;
            assert_eq!(from, ROOT);
            let body = message.body();
            let (added, interfaces): (OwnedObjectPath, HashMap<String, Dict>) =
                body.deserialize().expect("oa{sa{sv}}");
            if added.as_str() == path {
                return interfaces;
            }
        }
    }

    /// What the next PropertiesChanged of `path` says.
    pub async fn changed(&mut self, path: &str) -> Dict {
        loop {
            let (of, message) = self.next("PropertiesChanged").await;
            if of == path {
                let body = message.body();
                let (_, changed, _): (String, Dict, Vec<String>) =
                    body.deserialize().expect("sa{sv}as");
                return changed;
            }
        }
    }
}

pub fn text(dict: &Dict, key: &str) -> String {
    let value = dict
        .get(key)
        .unwrap_or_else(|| panic!("no {key} in {dict:?}"));
    String::try_from(value.try_clone().expect("copied")).expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_change_and_go_with_their_devices() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = bus.daemon(&house, &[]);
    daemon.json(&["create", "first"]);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let all = managed(&client).await;
    let paths: Vec<_> = all.keys().map(ToString::to_string).collect();
    for path in [MANAGER, "/io/mdevd1/pf/soft0", "/io/mdevd1/device/first"] {
        assert!(paths.iter().any(|p| p == path), "{path} in {paths:?}");
    }
    assert_eq!(paths.len(), 3);

    // Whoever made it finds it: no wait between answer and object.
    let options = HashMap::from([("mtu", Value::from(9000u16)), ("vlan", Value::from(5u16))]);
    manager(&client, "Create", &("a-b", options))
        .await
        .expect("created");
    let path = device("a_2db");
    let reply = call(&client, &path, PROPERTIES, "GetAll", &(DEVICE_INTERFACE,)).await;
    let properties: Dict = reply.expect("there").body().deserialize().expect("a{sv}");
    assert_eq!(text(&properties, "Name"), "a-b");
    assert_eq!(text(&properties, "State"), "ready");
    assert_eq!(u16::try_from(&properties["Mtu"]), Ok(9000));
    assert_eq!(u16::try_from(&properties["Vlan"]), Ok(5));
    let interfaces = signals.added(&path).await;
    assert_eq!(interfaces[DEVICE_INTERFACE], properties);
    let pf = signals.changed("/io/mdevd1/pf/soft0").await;
    assert_eq!(u64::try_from(&pf["Devices"]), Ok(2));

    let vm = UnixStream::connect(text(&properties, "Socket")).expect("connected");
    assert_eq!(text(&signals.changed(&path).await, "State"), "connected");
    drop(vm);
    assert_eq!(text(&signals.changed(&path).await, "State"), "ready");
    let down = HashMap::from([("link", Value::from("down"))]);
    call(&client, &path, DEVICE_INTERFACE, "Set", &(down,))
        .await
        .expect("set");
    let changed = signals.changed(&path).await;
    assert_eq!(bool::try_from(&changed["LinkUp"]), Ok(false));
    assert_eq!(changed.len(), 1, "only what is new: {changed:?}");
    assert_eq!(text(&properties, "Trust"), "profile");
    let trust = HashMap::from([("trust", Value::from("on"))]);
    call(&client, &path, DEVICE_INTERFACE, "Set", &(trust,))
        .await
        .expect("set");
    assert_eq!(text(&signals.changed(&path).await, "Trust"), "on");

    // Through the other door: the same objects.
    daemon.json(&["destroy", "a-b"]);
    let (_, message) = signals.next("InterfacesRemoved").await;
    let (removed, _): (OwnedObjectPath, Vec<String>) = message.body().deserialize().expect("oas");
    assert_eq!(removed.as_str(), path);
    let (name, _) = refusal(call(&client, &path, DEVICE_INTERFACE, "Show", &(none(),)).await);
    assert_eq!(name, "org.freedesktop.DBus.Error.UnknownObject");
    let first = device("first");
    call(&client, &first, DEVICE_INTERFACE, "Destroy", &(none(),))
        .await
        .expect("destroyed");
    assert_eq!(managed(&client).await.len(), 2);
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_signals_of_the_manager() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = bus.daemon(&house, &[]);
    let client = bus.client().await;
    let mut signals = Signals::of(&client).await;
    let reply = manager(&client, "Watch", &(none(),))
        .await
        .expect("a number");
    assert_eq!(reply.body().deserialize::<u64>().expect("a number"), 0);
    daemon.json(&["create", "vm1"]);
    let (path, message) = signals.next("Event").await;
    assert_eq!(path, MANAGER);
    let event: Dict = message.body().deserialize().expect("a{sv}");
    assert_eq!(text(&event, "event"), "created");
    assert_eq!(text(&event, "device"), "vm1");
    assert_eq!(u64::try_from(&event["sequence"]), Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_call_has_its_error() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = bus.daemon(&house, &[]);
    daemon.json(&["create", "vm1"]);
    let client = bus.client().await;
    let vm1 = device("vm1");
    let freedesktop = |name: &str| format!("org.freedesktop.DBus.Error.{name}");
    let get = |interface: &'static str, name: &'static str| (interface, name);
    let cases = [
        (
            call(&client, &device("vm2"), PROPERTIES, "GetAll", &("",)).await,
            freedesktop("UnknownObject"),
        ),
        (
            call(&client, "/elsewhere", MANAGER_INTERFACE, "List", &()).await,
            freedesktop("UnknownObject"),
        ),
        (
            call(&client, &vm1, MANAGER_INTERFACE, "List", &()).await,
            freedesktop("UnknownInterface"),
        ),
        (
            call(&client, &vm1, OBJECT_MANAGER, "GetManagedObjects", &()).await,
            freedesktop("UnknownInterface"),
        ),
        (
            call(&client, &vm1, DEVICE_INTERFACE, "Nonsense", &()).await,
            freedesktop("UnknownMethod"),
        ),
        (
            call(&client, &vm1, DEVICE_INTERFACE, "Show", &(7u32,)).await,
            freedesktop("InvalidArgs"),
        ),
        (
            manager(&client, "Create", &("x",)).await,
            freedesktop("InvalidArgs"),
        ),
        (
            call(
                &client,
                &vm1,
                PROPERTIES,
                "Get",
                &get(DEVICE_INTERFACE, "Colour"),
            )
            .await,
            freedesktop("UnknownProperty"),
        ),
        (
            call(
                &client,
                &vm1,
                PROPERTIES,
                "Get",
                &get("org.example", "Name"),
            )
            .await,
            freedesktop("UnknownInterface"),
        ),
        (
            call(
                &client,
                &vm1,
                PROPERTIES,
                "Set",
                &(DEVICE_INTERFACE, "Mtu", Value::from(9000u16)),
            )
            .await,
            freedesktop("PropertyReadOnly"),
        ),
        (
            manager(&client, "Show", &("vm2", none())).await,
            "io.mdevd1.Error.NotFound".to_owned(),
        ),
        (
            manager(&client, "Create", &("a/b", none())).await,
            "io.mdevd1.Error.InvalidArgument".to_owned(),
        ),
        (
            call(
                &client,
                &vm1,
                DEVICE_INTERFACE,
                "Set",
                &(HashMap::from([("lnk", Value::from("up"))]),),
            )
            .await,
            "io.mdevd1.Error.InvalidArgument".to_owned(),
        ),
        (
            call(&client, &vm1, DEVICE_INTERFACE, "Announce", &(none(),)).await,
            "io.mdevd1.Error.NotReady".to_owned(),
        ),
        (
            call(&client, &vm1, DEVICE_INTERFACE, "TakeOver", &(none(),)).await,
            "io.mdevd1.Error.NotReady".to_owned(),
        ),
    ];
    for (n, (result, expected)) in cases.into_iter().enumerate() {
        let (name, message) = refusal(result);
        assert_eq!(name, expected, "case {n}: {message}");
        assert!(!message.is_empty(), "case {n}");
    }
    // Without an interface, the method says which (D-Bus specification, "Message Types").
    let reply = client
        .call_method(Some(NAME), vm1.as_str(), None::<&str>, "Show", &(none(),))
        .await;
    let shown: Dict = reply.expect("shown").body().deserialize().expect("a{sv}");
    assert_eq!(text(&shown, "name"), "vm1");
}
