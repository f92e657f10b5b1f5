//! What follows from frames and rings that must not be: dropped, counted, told, and answered as the profile says.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lab::fakevm::avf::hostile::of_rings;
use lab::fakevm::avf::{AvfVm, AvfVmConfig};
use lab::fakevm::hostile::SCENARIOS;
use lab::fakevm::{FakeVm, FakeVmConfig, frame};
use serde_json::Value;

use crate::common::{Host, SOON, expect_none, introduce, pass};

const ALIEN: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

/// `cvfctl monitor`, from when it is known to listen.
struct Monitor {
    child: Child,
    events: Receiver<Value>,
}

impl Monitor {
    fn start(host: &Host) -> Self {
        let programs = lab::artifacts::programs().expect("mdevd and cvfctl");
        let mut child = Command::new(&programs.cvfctl)
            .args(["--address", &host.daemon.address(), "--json", "monitor"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("cvfctl runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, events) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("an event");
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        let monitor = Self { child, events };
        // Until one of them is told of, it may not have connected yet.
        let deadline = Instant::now() + SOON;
        loop {
            host.create("probe", &[]);
            host.daemon.ctl(&["destroy", "probe"]).expect("destroyed");
            if monitor
                .events
                .recv_timeout(Duration::from_millis(50))
                .is_ok()
            {
                return monitor;
            }
            assert!(Instant::now() < deadline, "the monitor hears nothing");
        }
    }

    /// The next event of that kind about that device.
    fn next(&self, kind: &str, device: &str) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left);
            let event = event.unwrap_or_else(|_| panic!("no event {kind} of {device}"));
            if event["event"] == kind && event["device"] == device {
                return event;
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon with a profile `strict` whose reactions are these.
fn host(reactions: &str) -> Host {
    let host = Host::new();
    let dir = host.daemon.profile_dir();
    std::fs::create_dir_all(&dir).expect("a directory");
    let text = format!(
        "[shape]\nmapped-doorbells = \"allow\"\n[spoof]\nmac = \"assigned\"\narp = \"mac\"\n[rates]\nflood-frames = \"unlimited\"\n[reactions]\n{reactions}"
    );
    std::fs::write(dir.join("strict.toml"), text).expect("written");
    host.daemon.ctl(&["policy", "reload"]).expect("reloaded");
    host
}

fn strict(host: &Host, name: &str) -> FakeVm {
    host.vm_with(name, &["--profile", "strict"], FakeVmConfig::default())
}

fn stats(host: &Host, name: &str) -> Value {
    host.daemon.ctl(&["stats", name]).expect("counters")
}

/// ARP in the name of another.
fn lying_arp(from: [u8; 6]) -> Vec<u8> {
    let mut frame = [
        &frame::BROADCAST[..],
        &from,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
    ]
    .concat();
    frame.extend(ALIEN);
    frame.extend([192, 0, 2, 1]);
    frame.resize(60, 0);
    frame
}

/// Addresses, tags and ARP of others: one frame of each.
fn lies(own: [u8; 6]) -> [Vec<u8>; 3] {
    let plain = frame::numbered(frame::BROADCAST, own, 7, 64);
    [
        frame::numbered(frame::BROADCAST, ALIEN, 8, 64),
        frame::tagged(&plain, 99),
        lying_arp(own),
    ]
}

#[test]
fn spoofed_frames_are_dropped_counted_and_told_and_nobody_else_notices() {
    let host = host("spoofed-frame = \"audit\"\n");
    let monitor = Monitor::start(&host);
    let mut bad = strict(&host, "bad");
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut bad, &mut one, &mut two]);
    let own = bad.mac().unwrap();
    for lie in lies(own) {
        bad.send(&lie).unwrap();
    }
    for number in [7, 8] {
        expect_none(&mut bad, &mut one, number);
    }
    let drops = &stats(&host, "bad")["tx"]["drops"];
    assert_eq!(
        (&drops["spoofed"], &drops["vlan"]),
        (&2.into(), &1.into()),
        "{drops}"
    );
    let event = monitor.next("denied", "bad");
    assert_eq!(event["rule"], "spoofed-frame", "{event}");
    assert_eq!(event["reaction"], "audit", "{event}");
    let mut count = event["count"].as_u64().expect("a number");
    while count < 3 {
        count += monitor.next("denied", "bad")["count"]
            .as_u64()
            .expect("a number");
    }
    assert_eq!(count, 3);
    let log = host.daemon.log_tail();
    assert!(
        log.contains("a guest did what it may not") && log.contains("spoofed frames"),
        "{log}"
    );
    pass(&mut one, &mut two, 100);
    pass(&mut bad, &mut one, 101);
}

#[test]
fn too_many_lies_stop_the_device_until_its_driver_resets_it() {
    let host = host("spoofed-frame = \"stop-device\"\ntolerated-per-minute = 2\n");
    let monitor = Monitor::start(&host);
    let mut bad = strict(&host, "bad");
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut bad, &mut one, &mut two]);
    let own = bad.mac().unwrap();
    for lie in lies(own) {
        bad.send(&lie).unwrap();
    }
    loop {
        let event = monitor.next("denied", "bad");
        if event["reaction"] == "stop-device" {
            break;
        }
    }
    assert!(bad.needs_reset().unwrap());
    let shown = host.daemon.ctl(&["show", "bad"]).unwrap();
    let driver = shown["driver"].as_str().unwrap_or_default();
    assert!(driver.contains("its profile stops it"), "{shown}");
    pass(&mut one, &mut two, 100);
}

#[test]
fn too_many_lies_cut_the_client_off_and_the_next_one_is_served() {
    let host = host("spoofed-frame = \"disconnect\"\ntolerated-per-minute = 0\n");
    let monitor = Monitor::start(&host);
    let device = host.create("bad", &["--profile", "strict"]);
    let mut bad = host.attach(&device, FakeVmConfig::default());
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut bad, &mut one, &mut two]);
    bad.send(&frame::numbered(frame::BROADCAST, ALIEN, 8, 64))
        .unwrap();
    assert_eq!(monitor.next("denied", "bad")["reaction"], "disconnect");
    monitor.next("disconnected", "bad");
    assert!(bad.needs_reset().is_err(), "nobody answers any more");
    pass(&mut one, &mut two, 100);
    drop(bad);
    let mut again = host.attach(&device, FakeVmConfig::default());
    introduce(&mut [&mut again, &mut one]);
}

#[test]
fn a_ring_that_cannot_be_is_answered_as_the_profile_says() {
    let host = host("malformed-ring = \"disconnect\"\n");
    let monitor = Monitor::start(&host);
    let mut bad = strict(&host, "bad");
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut bad, &mut one, &mut two]);
    let lie = SCENARIOS.iter().find(|one| one.name == "head out of range");
    (lie.expect("a scenario").play)(&mut bad).unwrap();
    let event = monitor.next("denied", "bad");
    assert_eq!(event["rule"], "malformed-ring", "{event}");
    assert_eq!(event["reaction"], "disconnect", "{event}");
    monitor.next("disconnected", "bad");
    pass(&mut one, &mut two, 100);
}

/// How often the daemon resets a function within a minute.
const RESETS: u64 = 5;

/// Rings that cannot be, of a function that the daemon resets for it: its driver comes back by itself, until it was too
/// often.
#[test]
fn a_function_is_reset_for_its_ring_and_its_driver_comes_back() {
    let host = host("malformed-ring = \"reset-device\"\n");
    let monitor = Monitor::start(&host);
    let mut one = host.vm("one");
    for (name, doorbells) in [("bad", "trapped"), ("worse", "mapped")] {
        let words = ["--personality", "avf", "--profile", "strict"];
        let words = [&words[..], &["--doorbells", doorbells]].concat();
        let device = host.create(name, &words);
        let vm = AvfVm::connect(device.socket.as_ref(), AvfVmConfig::default());
        let mut bad = vm.expect("attached");
        let lies = of_rings();
        let lie = lies
            .iter()
            .find(|lie| lie.name == "transmit tail of all ones");
        let lie = lie.expect("a scenario");
        for round in 0..RESETS {
            (lie.play)(&mut bad).unwrap();
            let event = monitor.next("denied", name);
            assert_eq!(event["reaction"], "reset-device", "{event}");
            bad.recover().expect("the driver sees a reset");
            let sent = frame::numbered(one.mac().unwrap(), bad.mac(), round, 100);
            bad.send(&sent).unwrap();
            let is = |got: &[u8]| frame::number_of(got) == Some(round);
            assert!(one.recv_matching(SOON, is).unwrap().is_some(), "{name}");
        }
        (lie.play)(&mut bad).unwrap();
        let event = monitor.next("denied", name);
        assert_eq!(event["reaction"], "stop-device", "{event}");
        let shown = host.daemon.ctl(&["show", name]).unwrap();
        let driver = shown["driver"].as_str().unwrap_or_default();
        assert!(driver.starts_with("needs reset"), "{shown}");
    }
}
