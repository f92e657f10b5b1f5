//! Guests that lie, beside neighbours that must not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::fakevm::hostile::{Formats, SCENARIOS, Scenario, Verdict};
use lab::fakevm::net::feature;
use lab::fakevm::{FakeVm, FakeVmConfig, frame};
use serde_json::Value;

use crate::common::{Host, SOON, expect_number, introduce};

/// The number of the frame that the scenarios send.
pub const LIE: u64 = 0x4c49_4521;

/// Two VMs that send each other numbered frames without pause, and broadcasts in between that
/// everybody gets. Every frame must arrive.
pub struct Neighbours {
    stop: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbours {
    pub fn start(mut left: FakeVm, mut right: FakeVm) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let passed = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&passed));
        let thread = std::thread::spawn(move || {
            let macs = [left.mac().unwrap(), right.mac().unwrap()];
            let mut number = 1 << 40;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                let to = if number % 8 == 0 {
                    frame::BROADCAST
                } else {
                    macs[1]
                };
                left.send(&frame::numbered(to, macs[0], number, 200))
                    .unwrap();
                expect_number(&mut right, number);
                right
                    .send(&frame::numbered(macs[0], macs[1], number, 1400))
                    .unwrap();
                expect_number(&mut left, number);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Neighbours {
            stop,
            passed,
            thread: Some(thread),
        }
    }

    /// Waits until some more frames have passed.
    pub fn carry_on(&self, after: &str) {
        let goal = self.passed.load(Ordering::Relaxed) + 20;
        let deadline = Instant::now() + SOON;
        while self.passed.load(Ordering::Relaxed) < goal {
            let dead = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!dead, "the neighbours have suffered from: {after}");
            assert!(
                Instant::now() < deadline,
                "the neighbours stand still after: {after}"
            );
            std::thread::yield_now();
        }
    }

    pub fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the neighbours lost a frame");
        }
    }
}

/// Waits until the device says that it needs a reset. False if it does not.
fn stops(vm: &mut FakeVm, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if vm.needs_reset().expect("the server answers") {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

fn shown(host: &Host, name: &str) -> Value {
    host.daemon
        .ctl(&["show", name])
        .expect("the daemon answers")
}

/// Plays the scenarios from one name to another, each on a fresh client of one device, with split
/// rings and then, of those that can be played so, with packed ones.
fn play(from: &str, to: &str) {
    play_as(Formats::Split, from, to);
    play_as(Formats::Packed, from, to);
}

fn play_as(format: Formats, from: &str, to: &str) {
    let other = |scenario: &&Scenario| ![Formats::Any, format].contains(&scenario.formats);
    if range(from, to).iter().all(|scenario| other(&scenario)) {
        return;
    }
    let more = match format {
        Formats::Packed => feature::RING_PACKED,
        _ => 0,
    };
    let host = Host::new();
    let (mut left, mut right) = (host.vm("left"), host.vm("right"));
    let mut witness = host.vm("witness");
    let device = host.create("liar", &["--ring-format", "any"]);
    introduce(&mut [&mut left, &mut right, &mut witness]);
    let witness_mac = witness.mac().unwrap();
    let neighbours = Neighbours::start(left, right);
    let mut failures = Vec::new();
    for scenario in range(from, to).iter().filter(|one| !other(one)) {
        let config = FakeVmConfig {
            features: scenario.features | more,
            ..FakeVmConfig::default()
        };
        let mut liar = host.attach(&device, config);
        liar.correspondent = witness_mac;
        drain(&mut witness);
        (scenario.play)(&mut liar).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        if let Err(what) = judge(scenario, &host, &mut liar, &mut witness) {
            let Scenario { name, after, .. } = scenario;
            failures.push(format!("{name} ({after}), {format:?}: {what}"));
        }
        neighbours.carry_on(scenario.name);
        drop(liar);
        // Whatever it was, the next client finds a device that works.
        let features = feature::FULL | more;
        let mut honest = host.attach(&device, crate::common::features(features));
        prove_honest(&mut honest, &mut witness);
    }
    neighbours.finish();
    assert!(
        failures.is_empty(),
        "{}\n{}",
        failures.join("\n"),
        host.daemon.log_tail()
    );
}

/// Makes room for what is to come; the neighbours' broadcasts have filled the ring meanwhile.
pub fn drain(vm: &mut FakeVm) {
    let mut frame = Vec::new();
    for _ in 0..vm.config().rings.ring_size {
        if vm.poll_rx(0, &mut frame).unwrap().is_none() {
            break;
        }
    }
}

/// Sends until the witness has received. What is left of a lie may fill its ring at first.
fn prove_honest(honest: &mut FakeVm, witness: &mut FakeVm) {
    let (from, to) = (honest.mac().unwrap(), witness.mac().unwrap());
    let deadline = Instant::now() + SOON;
    for number in LIE + 1.. {
        assert!(
            Instant::now() < deadline,
            "the device does not work any more"
        );
        drain(witness);
        honest.send(&frame::numbered(to, from, number, 64)).unwrap();
        let patience = Duration::from_millis(100);
        let found = |got: &[u8]| frame::number_of(got) == Some(number);
        if witness.recv_matching(patience, found).unwrap().is_some() {
            break;
        }
    }
}

/// The scenarios from one name to another, both included.
fn range(from: &str, to: &str) -> &'static [Scenario] {
    let at = |name: &str| {
        let found = SCENARIOS.iter().position(|scenario| scenario.name == name);
        found.unwrap_or_else(|| panic!("no scenario {name}"))
    };
    &SCENARIOS[at(from)..=at(to)]
}

fn judge(
    scenario: &Scenario,
    host: &Host,
    liar: &mut FakeVm,
    witness: &mut FakeVm,
) -> Result<(), String> {
    match scenario.verdict {
        Verdict::Stops => {
            if !stops(liar, SOON) {
                return Err(format!("not stopped: {}", shown(host, "liar")));
            }
            let view = shown(host, "liar");
            let driver = view["driver"].as_str().unwrap_or_default();
            if driver
                .strip_prefix("needs reset: ")
                .is_none_or(str::is_empty)
            {
                return Err(format!("stopped without a reason: {view}"));
            }
        }
        Verdict::Delivers => {
            let came = witness.recv_matching(Duration::from_secs(3), |got| {
                frame::number_of(got) == Some(LIE)
            });
            if came.map_err(|error| error.to_string())?.is_none() {
                return Err(format!("not delivered: {}", shown(host, "liar")));
            }
        }
        Verdict::Drops => {
            // The neighbours' broadcasts give it something to receive; then it must still run.
            if stops(liar, Duration::from_millis(50)) {
                return Err(format!(
                    "stopped, though it should only drop: {}",
                    shown(host, "liar")
                ));
            }
        }
        Verdict::Refuses => {
            stops(liar, Duration::from_millis(50));
        }
    }
    Ok(())
}

#[test]
fn chains() {
    play("chain is a cycle", "indirect table that was not agreed on");
}

#[test]
fn indices() {
    play("head out of range", "doorbell of no queue");
}

#[test]
fn frames() {
    play(
        "chain shorter than the header",
        "segmentation that was not agreed on",
    );
}

#[test]
fn receive_rings() {
    play("receive buffers of a byte", "receive index jumps");
}

#[test]
fn packed_rings() {
    play(
        "packed chain longer than the ring",
        "packed receive chain longer than the ring",
    );
}

#[test]
fn commands() {
    play("command without acknowledgement", "VLAN past the last");
}

#[test]
fn set_up() {
    play("queue of no size", "memory file is cut below the rings");
}
