use libcvf::control::MacAddr;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::record::{Step, upgrade};
use super::*;
use crate::engine::{
    BootId, DataPath, Doorbells, GroupShare, Interrupts, Life, Link, Personality, RateLimits,
    RingFormat, SocketAccess, Tuning, VlanProtocol, VlanTag,
};

fn definition(name: &str, sequence: u64) -> Definition {
    Definition {
        name: name.to_owned(),
        uuid: Uuid::from_u128(sequence.into()),
        sequence,
        pf: "soft0".to_owned(),
        personality: Personality::VirtioNet,
        queue_pairs: 4,
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 9000,
        vlan: Some(7),
        vlan_tag: VlanTag::default(),
        trunk: None,
        rates: RateLimits::default(),
        share: GroupShare::default(),
        overrides: crate::engine::Overrides::default(),
        tuning: Tuning::default(),
        link: Link::Up,
        profile: "tenant".to_owned(),
        doorbells: Doorbells::Trapped,
        interrupts: Interrupts::Intx,
        ring_format: RingFormat::Split,
        data_path: DataPath::Auto,
        socket: SocketAccess {
            owner: Some("qemu".to_owned()),
            group: None,
            mode: 0o600,
        },
        life: Life::default(),
    }
}

fn loaded(store: &dyn Store) -> Vec<Definition> {
    let records = store.load().expect("readable");
    records
        .into_iter()
        .map(|record| record.definition.expect("a definition"))
        .collect()
}

#[test]
fn what_is_put_comes_back_after_reopening() {
    let dir = tempdir().expect("a directory");
    let id = {
        let store = RedbStore::open(dir.path()).expect("a store");
        store.put(&definition("a", 1)).expect("put");
        store.put(&definition("b", 2)).expect("put");
        store.put(&definition("b", 3)).expect("replace");
        store.remove("a").expect("remove");
        store
            .remove("never-there")
            .expect("removing nothing is done at once");
        store.id()
    };
    let store = RedbStore::open(dir.path()).expect("the same store");
    assert_eq!(store.id(), id);
    assert_eq!(loaded(&store), [definition("b", 3)]);
}

#[test]
fn a_store_killed_without_closing_keeps_what_was_acknowledged() {
    let dir = tempdir().expect("a directory");
    let store = RedbStore::open(dir.path()).expect("a store");
    for n in 0..50 {
        store.put(&definition(&format!("d{n}"), n)).expect("put");
    }
    // A copy of the file as it is now is what a killed process would have left.
    let copy = tempdir().expect("a directory");
    let name = "definitions.redb";
    std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("copy");
    let reopened = RedbStore::open(copy.path()).expect("a store");
    assert_eq!(loaded(&reopened).len(), 50);
}

#[test]
fn a_second_opening_names_the_holder() {
    let dir = tempdir().expect("a directory");
    let first = RedbStore::open(dir.path()).expect("a store");
    let error = RedbStore::open(dir.path()).expect_err("held").to_string();
    let pid = std::process::id();
    assert!(
        error.contains(&format!("another mdevd (process {pid})")),
        "{error}"
    );
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    drop(first);
    RedbStore::open(dir.path()).expect("free again");
}

#[test]
fn an_unusable_directory_is_named() {
    let dir = tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("write");
    let error = RedbStore::open(&file)
        .expect_err("no directory")
        .to_string();
    assert!(
        error.contains("cannot write in the state directory"),
        "{error}"
    );
}

/// Names this test to the process that it starts for itself.
const FULL_DISK: &str = "MDEVD_TEST_FULL_DISK";

/// In a process of its own, for the limit that stands in for a full disk is the process's.
#[test]
fn a_full_disk_costs_the_changes_it_refused_and_nothing_else() {
    if let Some(dir) = std::env::var_os(FULL_DISK) {
        return meet_a_full_disk(dir.as_ref());
    }
    let dir = tempdir().expect("a directory");
    // A signal that is ignored stays so in the program.
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "--nocapture"])
        .arg("store::tests::a_full_disk_costs_the_changes_it_refused_and_nothing_else")
        .env(FULL_DISK, dir.path())
        .status()
        .expect("a process");
    assert!(status.success(), "{status}");
    let store = RedbStore::open(dir.path()).expect("the store it left");
    assert_eq!(loaded(&store), [definition("a", 1), definition("d", 7)]);
}

fn meet_a_full_disk(dir: &std::path::Path) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).expect("a limit");
    let files = |limit| setrlimit(Resource::RLIMIT_FSIZE, limit, hard).expect("a limit");
    let store = RedbStore::open(dir).expect("a store");
    store.put(&definition("a", 1)).expect("put");
    store.put(&definition("b", 2)).expect("put");
    files(1);
    let error = store.put(&definition("a", 3)).expect_err("no room");
    assert!(error.to_string().contains("the store failed"), "{error}");
    assert!(!error.to_string().contains("Os {"), "{error}");
    store.put(&definition("c", 4)).expect_err("no room");
    store.remove("b").expect_err("no room");
    files(soft);
    let mut left = loaded(&store);
    left.sort_by_key(|definition| definition.sequence);
    assert_eq!(left, [definition("a", 1), definition("b", 2)]);
    store.remove("b").expect("there is room again");
    store.put(&definition("d", 7)).expect("there is room again");
}

#[test]
fn records_are_versioned() {
    let record: Value = serde_json::from_slice(&encode(&definition("a", 1))).expect("json");
    assert_eq!(record["version"], CORPUS.len());
    assert_eq!(record["definition"]["mac"], "02:00:00:00:00:01");
    assert_eq!(decode(&encode(&definition("a", 1))), Ok(definition("a", 1)));
}

/// The layout of version 1 as it lies on disks: this text never changes.
#[test]
fn the_first_layout_is_read_for_ever() {
    let record = br#"{"version":1,"definition":{"name":"a","uuid":"00000000-0000-0000-0000-000000000001",
        "sequence":1,"pf":"soft0","personality":"virtio-net","queue_pairs":4,"mac":"02:00:00:00:00:01",
        "mtu":9000,"vlan":7,"doorbells":"trapped","interrupts":"intx",
        "socket":{"owner":"qemu","mode":384}}}"#;
    let first = Definition {
        profile: "lab".to_owned(),
        ..definition("a", 1)
    };
    assert_eq!(decode(record), Ok(first));
}

/// The layout of version 2 as it lies on disks: this text never changes.
#[test]
fn the_second_layout_is_read_for_ever() {
    let record = br#"{"version":2,"definition":{"name":"a","uuid":"00000000-0000-0000-0000-000000000001",
        "sequence":1,"pf":"soft0","personality":"virtio-net","queue_pairs":4,"mac":"02:00:00:00:00:01",
        "mtu":9000,"trunk":"7-9","rates":{"tx_mbit":5},"link":"down","profile":"nfv",
        "doorbells":"trapped","interrupts":"intx","ring_format":"split",
        "socket":{"owner":"qemu","mode":384}}}"#;
    let second = Definition {
        profile: "nfv".to_owned(),
        vlan: None,
        trunk: "7-9".parse().ok(),
        rates: RateLimits {
            tx_mbit: Some(5),
            ..RateLimits::default()
        },
        link: Link::Down,
        ..definition("a", 1)
    };
    assert_eq!(decode(record), Ok(second));
    let mut damaged = String::from_utf8_lossy(record).into_owned();
    damaged = damaged.replace("7-9", "9-7");
    assert!(matches!(
        decode(damaged.as_bytes()),
        Err(RecordError::Damaged(_))
    ));
}

/// Records as every version wrote them: files of which no line ever changes.
const CORPUS: &[&str] = &[
    include_str!("tests/records-v1.jsonl"),
    include_str!("tests/records-v2.jsonl"),
    include_str!("tests/records-v3.jsonl"),
    include_str!("tests/records-v4.jsonl"),
];

/// Whether `newer` says all that `older` does.
fn keeps(older: &Value, newer: &Value) -> bool {
    match older {
        Value::Object(older) => older.iter().all(|(key, older)| keeps(older, &newer[key])),
        older => older == newer,
    }
}

#[test]
fn records_of_every_version_are_read_and_keep_what_they_say() {
    let current: Value = serde_json::from_slice(&encode(&definition("a", 1))).expect("json");
    let versions = CORPUS.len();
    assert_eq!(
        current["version"],
        versions,
        "a new version brings its records: tests/records-v{}.jsonl",
        versions + 1
    );
    for (at, records) in CORPUS.iter().enumerate() {
        assert!(records.lines().count() >= 4);
        for line in records.lines() {
            let record: Value = serde_json::from_str(line).expect("json");
            assert_eq!(record["version"], at + 1, "{line}");
            let read = decode(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"));
            let again = encode(&read);
            assert_eq!(decode(&again).as_ref(), Ok(&read), "{line}");
            let again: Value = serde_json::from_slice(&again).expect("json");
            let step_changes_it = at + 1 < versions;
            assert!(
                step_changes_it || keeps(&record["definition"], &again["definition"]),
                "{line}\n{again}"
            );
        }
    }
}

/// A field that an older mdevd does not know would be lost by it without a word, if it took the record for
/// one of its own version. So whoever adds one adds a step and a corpus.
#[test]
fn a_new_field_is_a_new_version() {
    fn fields(value: &Value, prefix: &str, into: &mut std::collections::BTreeSet<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            into.insert(format!("{prefix}{key}"));
            fields(value, &format!("{key}."), into);
        }
    }
    let mut known = std::collections::BTreeSet::new();
    for line in CORPUS.last().expect("records").lines() {
        let record: Value = serde_json::from_str(line).expect("json");
        fields(&record["definition"], "", &mut known);
    }
    let mut full = definition("a", 1);
    full.socket.group = Some("kvm".to_owned());
    full.trunk = "7".parse().ok();
    full.vlan_tag = VlanTag {
        qos: Some(7),
        protocol: VlanProtocol::Service,
    };
    full.tuning = Tuning {
        queue_pairs: Some(2),
        rss_key: "0a".repeat(40).parse().ok(),
        rss_table: "equal".parse().ok(),
        features: "-rss".parse().ok(),
    };
    full.share = GroupShare {
        group: Some("web".to_owned()),
        tx_share: Some(9),
    };
    full.link = Link::Down;
    full.data_path = DataPath::Direct;
    full.life = Life::transient(BootId::of_kernel());
    full.life.order = 1;
    for (key, most) in RateLimits::KEYS {
        full.rates.set(key, Some(most));
    }
    let full: Value = serde_json::from_slice(&encode(&full)).expect("json");
    let mut written = std::collections::BTreeSet::new();
    fields(&full["definition"], "", &mut written);
    assert_eq!(
        written, known,
        "add a step to STEPS and a file of records with the new fields to CORPUS"
    );
}

fn add_speed(mut value: Value) -> Result<Value, RecordError> {
    value["speed"] = json!(10_000);
    Ok(value)
}

fn rename_speed(mut value: Value) -> Result<Value, RecordError> {
    let speed = value["speed"].take();
    let object = value
        .as_object_mut()
        .ok_or_else(|| RecordError::Damaged("not an object".into()))?;
    object.remove("speed");
    object.insert("mbps".into(), speed);
    Ok(value)
}

#[test]
fn old_records_pass_every_step_and_newer_ones_are_refused() {
    let steps: [Step; 2] = [add_speed, rename_speed];
    let read = |version: u64| {
        let bytes = json!({ "version": version, "definition": { "name": "a", "speed": 1 } });
        upgrade(bytes.to_string().as_bytes(), &steps)
    };
    assert_eq!(read(1), Ok(json!({ "name": "a", "mbps": 10_000 })));
    assert_eq!(read(2), Ok(json!({ "name": "a", "mbps": 1 })));
    assert_eq!(read(3), Ok(json!({ "name": "a", "speed": 1 })));
    assert_eq!(read(4), Err(RecordError::TooNew { found: 4, known: 3 }));
    assert_eq!(
        read(u64::MAX),
        Err(RecordError::TooNew {
            found: u64::MAX,
            known: 3
        })
    );
    assert!(matches!(read(0), Err(RecordError::Damaged(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_a_record_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_cut_record_is_damaged(cut in 0usize..200) {
        let whole = encode(&definition("a", 1));
        let cut = cut.min(whole.len() - 1);
        prop_assert!(matches!(decode(&whole[..cut]), Err(RecordError::Damaged(_))));
    }
}
