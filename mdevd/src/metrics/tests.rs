use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::families::FAMILIES;
use super::family::Source;
use super::text::{Exposition, Samples};
use super::{Kind, Snapshot};
use crate::engine::sim::SimBackend;
use crate::engine::{Catalog, Client, CreateRequest, Engine, GroupView, SocketAccess};
use crate::limits::METRICS_CHUNK;
use crate::store::MemoryStore;

mod http;

/// An engine with that many devices.
fn house(devices: usize) -> (TempDir, Arc<SimBackend>, Arc<Catalog>) {
    let dir = TempDir::new().expect("a directory");
    let backend = Arc::new(SimBackend::new(dir.path(), &[("soft0", 1 << 20)]));
    let store = Arc::new(MemoryStore::default());
    let catalog = Catalog::new(
        backend.clone(),
        store,
        Arc::new(crate::profiles::Profiles::shipped("lab")),
        SocketAccess::default(),
    );
    for n in 0..devices {
        let request = CreateRequest {
            name: Some(format!("d{n:04}")),
            queue_pairs: Some(2),
            ..CreateRequest::default()
        };
        catalog.create(request).expect("created");
    }
    (dir, backend, Arc::new(catalog))
}

fn text(catalog: &Catalog) -> String {
    let snapshot = Snapshot::take(catalog, SystemTime::now(), 0);
    Exposition::new(Arc::new(snapshot)).collect()
}

#[test]
fn names_follow_the_conventions() {
    for family in FAMILIES {
        let name = family.name;
        let ours = name.starts_with("mdevd_") || name.starts_with("process_");
        assert!(
            ours && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert_eq!(
            family.kind == Kind::Counter,
            name.ends_with("_total"),
            "{name}"
        );
        for unit in ["packets", "bytes", "seconds"] {
            if name.contains(unit) {
                let tail = [unit.to_owned(), format!("{unit}_total")];
                assert!(
                    tail.iter().any(|tail| name.ends_with(tail)),
                    "{name}: the unit comes last"
                );
            }
        }
        assert!(
            family.help.ends_with('.') && !family.help.contains(['\n', '\\']),
            "{name}"
        );
        let twice = FAMILIES.iter().filter(|other| other.name == name).count();
        assert_eq!(twice, 1, "{name}");
    }
}

#[test]
fn labels_are_escaped() {
    let family = FAMILIES.iter().find(|f| f.labels.len() == 1).expect("one");
    let mut out = String::new();
    Samples::new(&mut out, family).add(&[&"a\"b\\c\nd"], 1);
    assert_eq!(
        out,
        format!(
            "{}{{{}=\"a\\\"b\\\\c\\nd\"}} 1\n",
            family.name, family.labels[0]
        )
    );
}

#[test]
fn a_device_is_told_with_its_state_and_queues() {
    let (_dir, backend, catalog) = house(2);
    let client = Client {
        pid: 1,
        uid: 2,
        gid: 3,
    };
    backend.connect("d0001", client);
    let text = text(&catalog);
    for line in [
        "mdevd_cvfs{state=\"ready\"} 1",
        "mdevd_cvfs{state=\"connected\"} 1",
        "mdevd_cvf_state{cvf=\"d0001\",state=\"connected\"} 1",
        "mdevd_cvf_state{cvf=\"d0001\",state=\"ready\"} 0",
        "mdevd_cvf_driver_running{cvf=\"d0001\"} 1",
        "mdevd_cvf_driver_running{cvf=\"d0000\"} 0",
        "mdevd_cvf_link_up{cvf=\"d0000\"} 1",
        "mdevd_cvf_receive_packets_total{cvf=\"d0000\",queue=\"1\"} 0",
        "mdevd_pf_resources{pf=\"soft0\",resource=\"queue-pairs\"} 1048576",
        "mdevd_pf_resources_free{pf=\"soft0\",resource=\"queue-pairs\"} 1048572",
        "mdevd_pf_cvfs{pf=\"soft0\"} 2",
    ] {
        assert!(text.lines().any(|is| is == line), "{line}:\n{text}");
    }
    let info = text
        .lines()
        .find(|line| line.starts_with("mdevd_cvf_info{cvf=\"d0000\""));
    assert!(
        info.is_some_and(|info| info.contains("uuid=\"") && info.ends_with("} 1")),
        "{info:?}"
    );
}

#[test]
fn an_empty_daemon_announces_every_metric_once() {
    let (_dir, _, catalog) = house(0);
    let text = text(&catalog);
    for family in FAMILIES {
        for word in ["HELP", "TYPE"] {
            let start = format!("# {word} {} ", family.name);
            let count = text.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(count, 1, "{start}");
        }
    }
}

#[test]
fn the_text_of_many_devices_comes_in_small_pieces_and_families_stay_together() {
    let (_dir, _, catalog) = house(1100);
    let snapshot = Arc::new(Snapshot::take(&*catalog, SystemTime::now(), 0));
    assert_eq!(snapshot.devices.len(), 1100, "more than a page");
    let pieces: Vec<_> = Exposition::new(snapshot).collect();
    assert!(pieces.len() > 50, "{}", pieces.len());
    let longest = pieces.iter().map(String::len).max().unwrap_or_default();
    assert!(longest < METRICS_CHUNK + 4096, "{longest}");
    let text: String = pieces.concat();
    let mut seen: Vec<&str> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        if seen.last() != Some(&name) {
            assert!(!seen.contains(&name), "{name} is in two places");
            seen.push(name);
        }
    }
    let one = "mdevd_cvf_transmit_bytes_total{cvf=\"d1099\",queue=\"1\"} 0";
    assert_eq!(text.lines().filter(|line| *line == one).count(), 1);
}

#[test]
fn the_start_is_a_moment_of_the_past() {
    let (_dir, _, catalog) = house(0);
    let started = SystemTime::now() - Duration::from_secs(100);
    let snapshot = Snapshot::take(&*catalog, started, 7);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after it")
        .as_secs_f64();
    assert!((99.0..200.0).contains(&(now - snapshot.started)));
    let process = &snapshot.process;
    assert!(
        process.open_files.is_some_and(|open| open > 2) && process.resident_bytes > Some(1 << 20),
        "{process:?}"
    );
    let text: String = Exposition::new(Arc::new(snapshot)).collect();
    assert!(text.contains("\nmdevd_scrapes_refused_total 7\n"));
}

#[test]
fn groups_are_told_by_pf_and_by_device() {
    let (_dir, _, catalog) = house(0);
    let request = CreateRequest {
        group: Some("web".to_owned()),
        ..CreateRequest::named("d1")
    };
    catalog.create(request).expect("created");
    let line = "mdevd_cvf_group{cvf=\"d1\",group=\"web\"} 1";
    assert!(text(&catalog).lines().any(|is| is == line));
    let mut pf = catalog.pfs().remove(0);
    pf.groups = vec![GroupView {
        name: "web".to_owned(),
        tx_mbit: 5000,
        guaranteed_mbit: 500,
        devices: 2,
    }];
    for (name, number) in [
        (
            "mdevd_group_transmit_limit_bits_per_second",
            5_000_000_000_u64,
        ),
        ("mdevd_group_guaranteed_bits_per_second", 500_000_000),
        ("mdevd_group_cvfs", 2),
    ] {
        let family = FAMILIES.iter().find(|family| family.name == name);
        let family = family.expect(name);
        let Source::Pf(write) = &family.source else {
            panic!("{name} is of a PF")
        };
        let mut out = String::new();
        write(&pf, &mut Samples::new(&mut out, family));
        assert_eq!(
            out,
            format!("{name}{{pf=\"soft0\",group=\"web\"}} {number}\n")
        );
    }
}
