//! Many devices at once. Figures are printed, not judged: machines differ.
#![allow(clippy::print_stderr)]

use std::sync::Arc;
use std::time::Instant;

use mdevd::bus::{ManagerClient, Options};
use tokio::sync::Semaphore;

use super::support::House;
use super::support::bus::{Bus, can_run};
use super::*;

const DEVICES: usize = 1000;
/// Calls on the way at a time.
const AT_ONCE: usize = 64;

/// `method` on every device, `AT_ONCE` at a time; how many a second.
async fn on_all(client: &zbus::Connection, method: &'static str) -> f64 {
    let start = Instant::now();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for n in 0..DEVICES {
        let permit = room.clone().acquire_owned().await.expect("open");
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let name = format!("d{n}");
            let done = manager(&client, method, &(name.as_str(), none())).await;
            done.unwrap_or_else(|error| panic!("{method} {name}: {error}"));
            drop(permit);
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    DEVICES as f64 / start.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_devices_over_the_bus() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let pf = format!("soft:soft0,queue-pairs={DEVICES}");
    let daemon = bus.daemon(&house, &["--pf", &pf]);
    let client = bus.client().await;
    let rate = on_all(&client, "Create").await;
    eprintln!("created {rate:.0} a second, {AT_ONCE} calls at a time");
    let start = Instant::now();
    let reply = manager(&client, "List", &("", 1000u32, none())).await;
    let listed: (Vec<Dict>, String) = reply
        .expect("listed")
        .body()
        .deserialize()
        .expect("aa{sv}s");
    eprintln!("listed {} in {:?}", listed.0.len(), start.elapsed());
    assert_eq!(listed.0.len(), DEVICES);
    let start = Instant::now();
    let all = managed(&client).await;
    eprintln!("all objects in {:?}", start.elapsed());
    assert_eq!(all.len(), DEVICES + 2);
    let rate = on_all(&client, "Destroy").await;
    eprintln!("destroyed {rate:.0} a second");
    assert_eq!(managed(&client).await.len(), 2);
    assert_eq!(daemon.json(&["list"]).as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_devices_over_the_private_socket() {
    const CONNECTIONS: usize = 8;
    let house = House::new();
    let pf = format!("soft:soft0,queue-pairs={DEVICES}");
    let daemon = house.start(&["--pf", &pf]);
    let start = Instant::now();
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let path = house.bus();
        tasks.push(tokio::spawn(async move {
            let client = ManagerClient::connect(&path).await.expect("connected");
            for n in (connection..DEVICES).step_by(CONNECTIONS) {
                let made = client.create(&format!("d{n}"), Options::new()).await;
                made.expect("created");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    let rate = DEVICES as f64 / start.elapsed().as_secs_f64();
    eprintln!("created {rate:.0} a second over {CONNECTIONS} private connections");
    let client = ManagerClient::connect(&house.bus())
        .await
        .expect("connected");
    let start = Instant::now();
    let (listed, _) = client.list("", 1000).await.expect("listed");
    eprintln!("listed {} in {:?}", listed.len(), start.elapsed());
    assert_eq!(listed.len(), DEVICES);
    assert_eq!(
        daemon.json(&["list"]).as_array().map(Vec::len),
        Some(DEVICES)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_at_once_is_refused_and_others_are_served() {
    const CALLS: usize = 900;
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let pf = format!("soft:soft0,queue-pairs={CALLS}");
    let daemon = bus.daemon(&house, &["--pf", &pf]);
    let (greedy, other) = (bus.client().await, bus.client().await);
    let calls: Vec<_> = (0..CALLS)
        .map(|n| {
            let greedy = greedy.clone();
            tokio::spawn(async move {
                let name = format!("d{n}");
                manager(&greedy, "Create", &(name.as_str(), none())).await
            })
        })
        .collect();
    for _ in 0..5 {
        let served = tokio::time::timeout(PATIENCE, managed(&other)).await;
        assert!(served.expect("in time").len() >= 2);
    }
    let mut created = 0;
    for call in calls {
        match call.await.expect("no panic") {
            Ok(_) => created += 1,
            refused => {
                let (name, why) = refusal(refused);
                assert_eq!(name, "org.freedesktop.DBus.Error.LimitsExceeded");
                assert!(why.contains("256 calls of :1."), "{why}");
            }
        }
    }
    assert!((256..CALLS).contains(&created), "{created} were created");
    let listed = daemon.json(&["list"]);
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(created),
        "no more, no less"
    );
}
