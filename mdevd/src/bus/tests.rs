use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedValue, Value};

use super::guard::Frames;
use super::*;
use crate::engine::sim::SimBackend;
use crate::engine::{Catalog, Client, ErrorKind, SocketAccess};
use crate::limits::{MAX_BUS_CONNECTIONS, MAX_BUS_MESSAGE, MAX_SASL_BYTES};
use crate::store::MemoryStore;

struct Bus {
    dir: TempDir,
    backend: Arc<SimBackend>,
    catalog: Arc<Catalog>,
}

impl Bus {
    fn new() -> Self {
        let dir = tempdir().expect("a directory");
        let backend = Arc::new(SimBackend::new(dir.path(), &[("soft0", 64)]));
        let store = Arc::new(MemoryStore::default());
        let catalog = Arc::new(Catalog::new(
            backend.clone(),
            store,
            Arc::new(crate::profiles::Profiles::shipped("lab")),
            SocketAccess::default(),
        ));
        Self {
            dir,
            backend,
            catalog,
        }
    }

    /// A client over a socket pair.
    async fn pair(&self) -> zbus::Connection {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let uid = nix::unistd::Uid::effective().as_raw();
        let heard = LastHeard::now(Instant::now());
        tokio::spawn(serve_peer(ours, uid, self.catalog.clone(), heard));
        Builder::unix_stream(theirs)
            .p2p()
            .build()
            .await
            .expect("a connection")
    }

    /// The listening socket, served in the background.
    fn listen(&self) -> std::path::PathBuf {
        let path = self.dir.path().join("bus");
        let place = BusSocket::prepare(&path).expect("a place");
        let socket = BusSocket::open(place).expect("a socket");
        let catalog = self.catalog.clone();
        tokio::spawn(async move { socket.serve(catalog).await });
        path
    }
}

async fn call<B>(
    connection: &zbus::Connection,
    method: &str,
    body: &B,
) -> zbus::Result<zbus::Message>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let destination = None::<&str>;
    connection
        .call_method(
            destination,
            MANAGER_PATH,
            Some(MANAGER_INTERFACE),
            method,
            body,
        )
        .await
}

type Dict = HashMap<String, OwnedValue>;

fn no_options() -> HashMap<&'static str, Value<'static>> {
    HashMap::new()
}

fn error_name(result: zbus::Result<zbus::Message>) -> (String, String) {
    match result {
        Err(zbus::Error::MethodError(name, text, _)) => {
            (name.to_string(), text.unwrap_or_default())
        }
        other => panic!("expected an error reply, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_answers() {
    let bus = Bus::new();
    let connection = bus.pair().await;
    let options: HashMap<&str, Value<'_>> = [
        ("queue_pairs", Value::from(2u16)),
        ("mtu", Value::from(9000i32)),
    ]
    .into_iter()
    .collect();
    let reply = call(&connection, "Create", &("vm1", options))
        .await
        .expect("created");
    let made: Dict = reply.body().deserialize().expect("a{sv}");
    assert_eq!(dict_to_json(&made)["result"], "created");
    let reply = call(&connection, "Show", &("vm1", no_options()))
        .await
        .expect("shown");
    let shown = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
    assert_eq!(
        (&shown["queue_pairs"], &shown["mtu"]),
        (&json!(2), &json!(9000))
    );
    assert_eq!(shown["health"]["driver"], "no driver");
    let reply = call(&connection, "List", &("", 10u32, no_options()))
        .await
        .expect("listed");
    let (devices, next): (Vec<Dict>, String) = reply.body().deserialize().expect("aa{sv}s");
    assert_eq!((devices.len(), next.as_str()), (1, ""));
    let reply = call(&connection, "Stats", &("vm1", no_options()))
        .await
        .expect("counted");
    let stats = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
    assert_eq!(stats["pairs"].as_array().map(Vec::len), Some(2));
    let reply = call(&connection, "ListPfs", &(no_options(),))
        .await
        .expect("listed");
    let pfs: Vec<Dict> = reply.body().deserialize().expect("aa{sv}");
    assert_eq!(dict_to_json(&pfs[0])["name"], "soft0");
    let reply = call(&connection, "ShowPf", &("soft0", no_options()))
        .await
        .expect("shown");
    let pf = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
    assert_eq!(pf["resources"][0]["free"], 62);
    let reply = call(&connection, "Version", &(no_options(),))
        .await
        .expect("told");
    assert_eq!(
        dict_to_json(&reply.body().deserialize().expect("a{sv}"))["api"],
        API
    );
    for changed in [true, false] {
        let down: HashMap<&str, Value<'_>> = [("link", "down".into())].into_iter().collect();
        let reply = call(&connection, "Set", &("vm1", down)).await.expect("set");
        let set = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
        assert_eq!(set["changed"], changed, "{set}");
    }
    let numbers: HashMap<&str, Value<'_>> = [("mtu", 1400u64.into()), ("vlan", 7u16.into())]
        .into_iter()
        .collect();
    let reply = call(&connection, "Set", &("vm1", numbers))
        .await
        .expect("set");
    let set = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
    assert_eq!(set["changes"][0]["to"], "1400", "{set}");
    let reply = call(&connection, "ListProfiles", &(no_options(),))
        .await
        .expect("listed");
    let profiles: Vec<Dict> = reply.body().deserialize().expect("aa{sv}");
    assert_eq!(profiles.len(), 5);
    let reply = call(&connection, "ShowProfile", &("lab", no_options()))
        .await
        .expect("shown");
    let profile = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
    assert_eq!(
        (&profile["devices"], &profile["default"]),
        (&json!(1), &json!(true))
    );
    let about: HashMap<&str, Value<'_>> = [("device", "vm1".into())].into_iter().collect();
    let reply = call(&connection, "Explain", &("vlan=9", about))
        .await
        .expect("told");
    let told = dict_to_json(&reply.body().deserialize().expect("a{sv}"));
    assert_eq!(
        (&told["allowed"], &told["rule"]),
        (&json!(false), &json!("vlan-access"))
    );
    call(&connection, "ReloadProfiles", &(no_options(),))
        .await
        .expect("reloaded");
    let client = Client {
        pid: 1,
        uid: 2,
        gid: 3,
    };
    bus.backend.connect("vm1", client);
    call(&connection, "Announce", &("vm1", no_options()))
        .await
        .expect("asked");
    let (name, text) = error_name(call(&connection, "TakeOver", &("vm1", no_options())).await);
    assert_eq!(name, ErrorKind::NotReady.dbus_name());
    assert!(text.contains("nothing to take over"), "{text}");
    let force: HashMap<&str, Value<'_>> = [("force", Value::from(true))].into_iter().collect();
    call(&connection, "Destroy", &("vm1", force))
        .await
        .expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_their_names() {
    let bus = Bus::new();
    let connection = bus.pair().await;
    let create = async |name: &str, key: &'static str, value: Value<'static>| {
        let options: HashMap<&str, Value<'_>> = [(key, value)].into_iter().collect();
        call(&connection, "Create", &(name, options)).await
    };
    create("vm1", "mac", "52:54:00:00:00:01".into())
        .await
        .expect("created");
    let cases = [
        (
            create("vm1", "mtu", 68u64.into()).await,
            ErrorKind::AlreadyExists,
        ),
        (
            create("vm2", "mac", "52:54:00:00:00:01".into()).await,
            ErrorKind::DuplicateMac,
        ),
        (
            create("vm2", "queue_pairs", 64u64.into()).await,
            ErrorKind::NoResources,
        ),
        (
            create("vm2", "queue_pairs", "four".into()).await,
            ErrorKind::InvalidArgument,
        ),
        (
            create("vm2", "queue_pairs", Value::from(-1i64)).await,
            ErrorKind::InvalidArgument,
        ),
        (
            create("vm2", "mac", 7u64.into()).await,
            ErrorKind::InvalidArgument,
        ),
        (
            create("a/b", "mtu", 1500u64.into()).await,
            ErrorKind::InvalidArgument,
        ),
        (
            call(&connection, "Show", &("vm9", no_options())).await,
            ErrorKind::NotFound,
        ),
    ];
    for (result, kind) in cases {
        let (name, text) = error_name(result);
        assert_eq!(name, kind.dbus_name());
        assert!(!text.is_empty());
    }
    let (name, text) = error_name(call(&connection, "Announce", &("vm1", no_options())).await);
    assert_eq!(name, ErrorKind::NotReady.dbus_name());
    assert!(
        text.starts_with("cannot announce 'vm1': no driver"),
        "{text}"
    );
    let (name, text) = error_name(call(&connection, "Set", &("vm1", no_options())).await);
    assert_eq!(name, ErrorKind::InvalidArgument.dbus_name());
    assert!(text.contains("nothing is to be changed"), "{text}");
    let (name, text) = error_name(create("vm2", "queue_pair", 1u64.into()).await);
    assert_eq!(name, ErrorKind::InvalidArgument.dbus_name());
    assert!(text.contains("did you mean 'queue_pairs'?"), "{text}");
    assert!(text.starts_with("cannot create 'vm2': "), "{text}");
    let (_, text) = error_name(create("vm2", "name", "x".into()).await);
    assert!(text.contains("no such option"), "{text}");
    let (name, _) = error_name(call(&connection, "Nonsense", &()).await);
    assert_eq!(name, "org.freedesktop.DBus.Error.UnknownMethod");
    let (name, _) = error_name(call(&connection, "Show", &(7u32,)).await);
    assert!(
        name.starts_with("org.freedesktop."),
        "an error reply, whatever zbus calls it: {name}"
    );
    bus.backend.connect(
        "vm1",
        Client {
            pid: 1,
            uid: 2,
            gid: 3,
        },
    );
    let (name, text) = error_name(call(&connection, "Destroy", &("vm1", no_options())).await);
    assert_eq!(name, ErrorKind::Busy.dbus_name());
    assert!(text.contains("process 1 (uid 2)"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_describes_itself() {
    let bus = Bus::new();
    let connection = bus.pair().await;
    let reply = connection
        .call_method(
            None::<&str>,
            MANAGER_PATH,
            Some("org.freedesktop.DBus.Introspectable"),
            "Introspect",
            &(),
        )
        .await
        .expect("introspected");
    let xml: String = reply.body().deserialize().expect("text");
    assert!(xml.contains("io.mdevd1.Manager"), "{xml}");
    for method in [
        "Create", "Destroy", "Set", "Announce", "TakeOver", "List", "Show", "Stats", "ListPfs",
        "ShowPf", "Version", "Watch", "Unwatch",
    ] {
        assert!(
            xml.contains(&format!("<method name=\"{method}\">")),
            "{method}: {xml}"
        );
    }
    assert!(
        xml.contains("name=\"options\" type=\"a{sv}\" direction=\"in\""),
        "{xml}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another() {
    let bus = Bus::new();
    let client = ManagerClient::connect(&bus.listen())
        .await
        .expect("connected");
    for n in 0..5 {
        client
            .create(&format!("d{n}"), Options::new())
            .await
            .expect("created");
    }
    let (first, next) = client.list("", 2).await.expect("a page");
    assert_eq!((first.len(), next.as_str()), (2, "d1"));
    let (second, next) = client.list(&next, 2).await.expect("a page");
    assert_eq!(
        (second[0]["name"].as_str(), next.as_str()),
        (Some("d2"), "d3")
    );
    let (last, next) = client.list(&next, 2).await.expect("a page");
    assert_eq!((last.len(), next.as_str()), (1, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_come_in_pages() {
    let bus = Bus::new();
    let client = ManagerClient::connect(&bus.listen())
        .await
        .expect("connected");
    for n in 0..3 {
        let two = [("queue_pairs", Value::from(2u16))].into_iter().collect();
        client.create(&format!("d{n}"), two).await.expect("created");
    }
    let (first, next) = client.list_stats("", 2, false).await.expect("a page");
    assert_eq!((first.len(), next.as_str()), (2, "d1"));
    assert!(first[0].get("pairs").is_none(), "not asked for: {first:?}");
    let (last, next) = client.list_stats(&next, 2, true).await.expect("a page");
    assert_eq!((last.len(), next.as_str()), (1, ""));
    assert_eq!(last[0]["pairs"].as_array().map(Vec::len), Some(2));
    assert_eq!(last[0]["sequence"], 2);
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_is_told_from_one_that_is_not_there() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let limit = std::time::Duration::from_millis(100);
    let connect = || ManagerClient::connect_within(&path, limit);
    let error = connect().await.expect_err("nobody");
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let error = connect().await.expect_err("silence");
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("within 0.1 s"), "{error}");
    drop(listener);
}

/// What a peer gets for `bytes`, until the daemon closes.
async fn shouted(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).await.expect("connect");
    // It may be closed before everything was taken.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn hello() -> Vec<u8> {
    let uid = nix::unistd::Uid::effective().to_string();
    let hex: String = uid.bytes().map(|b| format!("{b:02x}")).collect();
    format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").into_bytes()
}

fn message(order: u8, kind: u8, version: u8, body: u32, serial: u32, fields: u32) -> Vec<u8> {
    let mut bytes = vec![order, kind, 0, version];
    for word in [body, serial, fields] {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_by_closing_and_harms_nobody() {
    let bus = Bus::new();
    let path = bus.listen();
    let good = ManagerClient::connect(&path).await.expect("connected");
    let begun = |bytes: Vec<u8>| [hello(), bytes].concat();
    let hostile = [
        b"\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\0\n".to_vec(),
        vec![0; MAX_SASL_BYTES + 1],
        [b"\0".as_slice(), &[b'A'; MAX_SASL_BYTES]].concat(),
        b"\0\xff\xfe\r\n".to_vec(),
        begun(vec![0xff; 64]),
        begun(message(b'l', 1, 2, 0, 1, 0)),
        begun(message(b'l', 9, 1, 0, 1, 0)),
        begun(message(b'l', 1, 1, 0, 0, 0)),
        begun(message(b'l', 1, 1, u32::MAX, 1, 0)),
        begun(message(b'l', 1, 1, 0, 1, u32::MAX)),
        begun(message(b'l', 1, 1, MAX_BUS_MESSAGE as u32, 1, 0)),
        begun([message(b'l', 1, 1, 0, 1, 8), vec![0xff; 8]].concat()),
    ];
    for bytes in hostile {
        shouted(&path, &bytes).await;
        good.version().await.expect("others are served");
    }
    let answer = shouted(&path, b"\0AUTH EXTERNAL 39393939\r\nNONSENSE\r\n\0\n").await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("REJECTED EXTERNAL\r\nERROR"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_stalls_only_itself() {
    let bus = Bus::new();
    let path = bus.listen();
    let stuck = bus.pair().await;
    let mut raw = UnixStream::connect(&path).await.expect("connect");
    raw.write_all(&hello()).await.expect("sent");
    // Calls without end, answers never read: the daemon stops reading them at some point.
    let call = zbus::Message::method_call(MANAGER_PATH, "Introspect")
        .and_then(|call| {
            call.interface("org.freedesktop.DBus.Introspectable")?
                .build(&())
        })
        .expect("a message");
    let mut sent = 0;
    let flood = async {
        while raw.write_all(call.data()).await.is_ok() {
            sent += 1;
        }
    };
    let patience = std::time::Duration::from_millis(500);
    assert!(
        tokio::time::timeout(patience, flood).await.is_err(),
        "backpressure"
    );
    assert!(
        sent < 100_000,
        "{sent} calls were taken without an answer being read"
    );
    let good = ManagerClient::connect(&path).await.expect("connected");
    good.create("vm1", Options::new())
        .await
        .expect("others are served");
    drop(stuck);
}

#[tokio::test]
async fn a_full_backlog_is_waited_for() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("bus");
    let mut place = BusSocket::prepare(&path).expect("a place");
    let listener = place.open().expect("a listener");
    let mut waiting = Vec::new();
    let full = loop {
        match UnixStream::connect(&path).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    let dialled = tokio::spawn(async move { client::dial(&path).await });
    tokio::task::yield_now().await;
    listener.accept().expect("room is made");
    dialled.await.expect("no panic").expect("connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_peers_make_room_for_new_ones() {
    let bus = Bus::new();
    let path = bus.listen();
    let mut idle = Vec::new();
    for _ in 0..MAX_BUS_CONNECTIONS {
        idle.push(client::dial(&path).await.expect("connect"));
    }
    for _ in 0..3 {
        let client = ManagerClient::connect(&path).await.expect("room is made");
        client.version().await.expect("served");
    }
    // Those that had to leave see the end of their stream.
    let mut byte = [0];
    assert_eq!(idle[0].read(&mut byte).await.expect("closed in order"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_leave_leave_nothing() {
    let bus = Bus::new();
    let path = bus.listen();
    let open = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("descriptors")
            .count()
    };
    let round = async || {
        for _ in 0..30 {
            ManagerClient::connect(&path)
                .await
                .expect("connected")
                .version()
                .await
                .expect("served");
            shouted(&path, b"\n").await;
        }
    };
    round().await;
    let before = open();
    round().await;
    // The last ones may still be closing: look until they have, or the test's own deadline ends it.
    while open() > before + 4 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn values_survive_the_bus() {
    let value = json!({
        "text": "x", "yes": true, "n": u64::MAX, "minus": -3, "half": 0.5,
        "texts": ["a", "b"], "numbers": [1, 2], "objects": [{"a": 1}, {"b": "c"}],
        "mixed": [1, "a"], "deep": {"deeper": {"deepest": [1]}},
    });
    let dict = to_dict(&value).expect("expressible");
    assert_eq!(dict_to_json(&dict), value);
    let signature = |key: &str| dict[key].value_signature().to_string();
    assert_eq!(signature("n"), "t");
    assert_eq!(signature("texts"), "as");
    assert_eq!(signature("objects"), "aa{sv}");
    assert_eq!(signature("deep"), "a{sv}");
    let absent = to_dict(&json!({ "none": null, "empty": [] })).expect("expressible");
    assert!(absent.is_empty());
    assert!(to_dict(&json!([1])).is_err());
}

fn feed(sasl: &mut Sasl, bytes: &[u8]) -> Vec<SaslStep> {
    bytes.iter().filter_map(|&byte| sasl.feed(byte)).collect()
}

const GUID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn authentication_in_every_accepted_form() {
    let ok = SaslStep::Reply(format!("OK {GUID}\r\n"));
    for words in [
        "\0AUTH EXTERNAL 3130\r\nBEGIN\r\n",
        "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n",
        "\0AUTH EXTERNAL\r\nDATA 3130\r\nBEGIN\r\n",
    ] {
        let steps = feed(&mut Sasl::new(10, GUID), words.as_bytes());
        assert!(steps.contains(&ok), "{words:?}: {steps:?}");
        assert_eq!(steps.last(), Some(&SaslStep::Begin), "{words:?}");
    }
    let words = b"\0AUTH\r\nAUTH ANONYMOUS\r\nAUTH EXTERNAL 3131\r\nBEGIN\r\nAUTH EXTERNAL 3130\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
    let steps = feed(&mut Sasl::new(10, GUID), words);
    let rejected = SaslStep::Reply("REJECTED EXTERNAL\r\n".to_owned());
    assert_eq!(steps[..3], [rejected.clone(), rejected.clone(), rejected]);
    assert!(
        matches!(&steps[3], SaslStep::Reply(text) if text.starts_with("ERROR")),
        "no BEGIN yet"
    );
    assert_eq!(steps[4], ok);
    let agreed = SaslStep::Reply("AGREE_UNIX_FD\r\n".to_owned());
    assert_eq!(steps[5], agreed, "a capture is a descriptor");
    assert_eq!(steps[6], SaslStep::Begin);
}

proptest! {
    #[test]
    fn nobody_begins_without_having_said_who_they_are(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut sasl = Sasl::new(10, GUID);
        let mut ok = false;
        for byte in bytes {
            match sasl.feed(byte) {
                Some(SaslStep::Reply(text)) => ok |= text.starts_with("OK"),
                Some(SaslStep::Begin) => { prop_assert!(ok); break; }
                Some(SaslStep::Refuse(_)) => break,
                None => {}
            }
        }
    }

    #[test]
    fn commands_in_any_order_never_panic(words in prop::collection::vec(
        prop::sample::select(vec!["AUTH EXTERNAL 3130", "AUTH", "DATA", "BEGIN", "CANCEL", "ERROR", "", " ", "AUTH EXTERNAL"]), 0..20)
    ) {
        let text = format!("\0{}\r\n", words.join("\r\n"));
        feed(&mut Sasl::new(10, GUID), text.as_bytes());
    }

    #[test]
    fn boundaries_are_the_same_however_bytes_arrive(
        bodies in prop::collection::vec(0u32..300, 1..10), cuts in prop::collection::vec(1usize..40, 1..50)
    ) {
        let mut stream = Vec::new();
        for (body, serial) in bodies.iter().zip(1..) {
            stream.extend(message(b'l', 1, 1, *body, serial, 0));
            stream.extend(vec![0xff; *body as usize]);
        }
        stream.extend(message(b'l', 1, 1, 0, 0, 0));
        let mut frames = Frames::default();
        let mut rest = stream.as_slice();
        let mut cuts = cuts.into_iter().cycle();
        let mut refused = false;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
            rest = later;
            refused = frames.pass(now).is_err();
            prop_assert!(!refused || later.is_empty(), "only the last one, with serial 0, is refused");
        }
        prop_assert!(refused);
    }

    #[test]
    fn no_bytes_make_the_guard_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Frames::default().pass(&bytes);
    }
}

/// The next Event signal.
async fn next_event(messages: &mut zbus::MessageStream) -> serde_json::Value {
    use futures_lite::StreamExt;
    loop {
        let message = messages.next().await.expect("open").expect("a message");
        if message
            .header()
            .member()
            .is_some_and(|name| name == "Event")
        {
            return dict_to_json(&message.body().deserialize().expect("a{sv}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_to_peers_that_asked_and_to_no_others() {
    let bus = Bus::new();
    let (asked, other) = (bus.pair().await, bus.pair().await);
    let mut told = zbus::MessageStream::from(&asked);
    let mut not_told = zbus::MessageStream::from(&other);
    let watch = (no_options(),);
    let reply = call(&asked, "Watch", &watch).await.expect("watched");
    assert_eq!(reply.body().deserialize::<u64>().expect("a number"), 0);
    call(&other, "Create", &("vm1", no_options()))
        .await
        .expect("created");
    let event = next_event(&mut told).await;
    assert_eq!(
        (&event["event"], &event["device"], &event["sequence"]),
        (&json!("created"), &json!("vm1"), &json!(1))
    );
    let reply = call(&asked, "Unwatch", &watch).await.expect("ended");
    assert!(reply.body().deserialize::<bool>().expect("truth"));
    let reply = call(&asked, "Unwatch", &watch).await.expect("ended");
    assert!(
        !reply.body().deserialize::<bool>().expect("truth"),
        "nothing was being sent"
    );
    call(&other, "Destroy", &("vm1", no_options()))
        .await
        .expect("destroyed");
    let reply = call(&asked, "Watch", &watch).await.expect("again");
    assert_eq!(reply.body().deserialize::<u64>().expect("a number"), 2);
    call(&other, "Create", &("vm2", no_options()))
        .await
        .expect("created");
    assert_eq!(
        next_event(&mut told).await["device"],
        "vm2",
        "vm1's end was not told"
    );
    let silence = std::time::Duration::from_millis(50);
    let nothing = tokio::time::timeout(silence, next_event(&mut not_told)).await;
    assert!(
        nothing.is_err(),
        "who has not asked is told nothing: {nothing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_never_reads_delays_nobody() {
    let bus = Bus::new();
    let path = bus.listen();
    let mut deaf = UnixStream::connect(&path).await.expect("connect");
    deaf.write_all(&hello()).await.expect("sent");
    let watch = zbus::Message::method_call(MANAGER_PATH, "Watch")
        .and_then(|call| call.interface(MANAGER_INTERFACE)?.build(&(no_options(),)))
        .expect("a message");
    deaf.write_all(watch.data()).await.expect("sent");
    let good = ManagerClient::connect(&path).await.expect("connected");
    let watcher = ManagerClient::connect(&path).await.expect("connected");
    let mut events = watcher.watch().await.expect("watched");
    good.create("vm1", Options::new()).await.expect("created");
    assert_eq!(events.next().await.expect("an event")["event"], "created");
    // Far more than any socket holds.
    for n in 0..20_000 {
        let attribute = crate::engine::Happening::changed("vm1", &["link"]);
        crate::engine::Engine::events(&*bus.catalog).publish(attribute);
        if n % 100 == 0 {
            good.version().await.expect("served");
        }
    }
    assert_eq!(events.next().await.expect("an event")["event"], "changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_keep_their_seats() {
    let bus = Bus::new();
    let path = bus.listen();
    let watcher = ManagerClient::connect(&path).await.expect("connected");
    let mut events = watcher.watch().await.expect("watched");
    let mut idle = Vec::new();
    for _ in 0..MAX_BUS_CONNECTIONS * 2 {
        idle.push(ManagerClient::connect(&path).await.expect("connected"));
    }
    let last = idle.last().expect("one");
    last.create("vm1", Options::new()).await.expect("created");
    assert_eq!(events.next().await.expect("an event")["device"], "vm1");
}
