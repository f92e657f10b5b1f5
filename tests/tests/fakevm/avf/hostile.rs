//! Drivers that lie, beside neighbours that must not notice.

use std::time::{Duration, Instant};

use lab::daemon::Device;
use lab::fakevm::avf::hostile::{Scenario, of_mail, of_rings, of_setup};
use lab::fakevm::avf::{AvfVm, AvfVmConfig};
use lab::fakevm::client::Client;
use lab::fakevm::hostile::Verdict;
use lab::fakevm::{FakeVm, frame};
use serde_json::Value;

use super::{AVF, attach};
use crate::common::{Host, SOON, introduce};
use crate::hostile::{LIE, Neighbours, drain};

/// What the lies are about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Rings,
    Setup,
    Mail,
}

/// Lies after which the driver's letters do not arrive any more.
const OUT_OF_REACH: [&str; 3] = [
    "mailbox moves to no memory",
    "mailbox of no size",
    "mailbox larger than any",
];

/// The one that lies, and one that looks at what it sends.
struct Stage {
    host: Host,
    device: Device,
    witness: FakeVm,
    /// What the one that lies is otherwise.
    liar: AvfVmConfig,
}

impl Stage {
    fn shown(&self) -> Value {
        let daemon = &self.host.daemon;
        daemon.ctl(&["show", "liar"]).expect("the daemon answers")
    }

    /// Waits until the device needs a reset; why. None when it does not.
    fn stops(&self, within: Duration) -> Option<String> {
        let deadline = Instant::now() + within;
        loop {
            let view = self.shown();
            let driver = view["driver"].as_str().unwrap_or_default();
            if let Some(why) = driver.strip_prefix("needs reset") {
                return Some(why.trim_start_matches(": ").to_owned());
            }
            if Instant::now() >= deadline {
                return None;
            }
        }
    }

    fn judge(&mut self, verdict: Verdict) -> Result<(), String> {
        let quiet = Duration::from_millis(50);
        match verdict {
            Verdict::Stops => match self.stops(Duration::from_secs(3)).as_deref() {
                None => return Err(format!("not stopped: {}", self.shown())),
                Some("") => return Err("stopped without a reason".into()),
                Some(_) => {}
            },
            Verdict::Delivers => {
                let wanted = |got: &[u8]| frame::number_of(got) == Some(LIE);
                let came = self.witness.recv_matching(Duration::from_secs(3), wanted);
                if came.map_err(|error| error.to_string())?.is_none() {
                    return Err(format!("not delivered: {}", self.shown()));
                }
            }
            Verdict::Drops => {
                if let Some(why) = self.stops(quiet) {
                    return Err(format!("stopped, though it should only drop: {why}"));
                }
            }
            Verdict::Refuses => {
                self.stops(quiet);
            }
        }
        Ok(())
    }

    /// Frames go out and come in. What is left of a lie may fill rings at first.
    fn prove(&mut self, vm: &mut AvfVm, what: &str) -> Result<(), String> {
        let (own, other) = (vm.mac(), self.witness.mac().unwrap());
        let deadline = Instant::now() + SOON;
        let patience = Duration::from_millis(100);
        let failed = |error: lab::fakevm::Error| format!("{what}: {error}");
        let (mut went, mut came) = (false, false);
        for number in LIE + 1.. {
            if went && came {
                break;
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "{what}: went out {went}, came in {came}: {}",
                    self.shown()
                ));
            }
            let is = |got: &[u8]| frame::number_of(got) == Some(number);
            drain(&mut self.witness);
            if !went {
                let sent = frame::numbered(other, own, number, 64);
                vm.send(&sent).map_err(failed)?;
                went = self.witness.recv_matching(patience, is).unwrap().is_some();
            }
            if !came {
                let sent = frame::numbered(own, other, number, 64);
                self.witness.send(&sent).unwrap();
                came = vm.recv_matching(patience, is).map_err(failed)?.is_some();
            }
        }
        Ok(())
    }

    /// Tells a lie with a fresh client; what is wrong with what becomes of it.
    fn play(&mut self, scenario: &Scenario<Client>, about: About) -> Result<(), String> {
        let mut liar = attach(&self.host, &self.device.socket, self.liar.clone());
        self.prove(&mut liar, "before")?;
        drain(&mut self.witness);
        liar.correspondent = self.witness.mac().unwrap();
        (scenario.play)(&mut liar).map_err(|error| error.to_string())?;
        let judged = self.judge(scenario.verdict);
        judged?;
        // What was dropped has changed nothing. Queues that were started anew are out of step with their driver.
        let goes_on = about != About::Setup && scenario.verdict == Verdict::Drops;
        if goes_on {
            self.prove(&mut liar, "without a reset")?;
        }
        // Who has taken its own mailbox away cannot ask by it.
        if !OUT_OF_REACH.contains(&scenario.name) {
            let reset = liar.reset();
            reset.map_err(|error| format!("RESET_VF: {error}"))?;
            self.prove(&mut liar, "after RESET_VF")?;
        }
        let started = liar.start();
        started.map_err(|error| format!("a function level reset: {error}"))?;
        self.prove(&mut liar, "after a function level reset")
    }
}

fn play(scenarios: &[Scenario<Client>], about: About) {
    play_with(scenarios, about, "trapped", AvfVmConfig::default());
}

fn play_with(scenarios: &[Scenario<Client>], about: About, doorbells: &str, liar: AvfVmConfig) {
    let host = Host::new();
    let (mut left, mut right) = (host.vm("left"), host.vm("right"));
    let mut witness = host.vm("witness");
    let device = host.create("liar", &[&AVF[..], &["--doorbells", doorbells]].concat());
    introduce(&mut [&mut left, &mut right, &mut witness]);
    let neighbours = Neighbours::start(left, right);
    let mut stage = Stage {
        host,
        device,
        witness,
        liar,
    };
    let mut failures = Vec::new();
    for scenario in scenarios {
        if let Err(what) = stage.play(scenario, about) {
            let Scenario { name, after, .. } = scenario;
            failures.push(format!("{name} ({after}): {what}"));
        }
        neighbours.carry_on(scenario.name);
    }
    neighbours.finish();
    assert!(
        failures.is_empty(),
        "{}\n{}",
        failures.join("\n"),
        stage.host.daemon.log_tail()
    );
}

#[test]
fn rings() {
    play(&of_rings(), About::Rings);
}

#[test]
fn rings_whose_tails_are_mapped() {
    let mut rings = of_rings();
    // Of receive tails nobody is told: one that cannot be is found when the buffers before it are used up.
    rings.retain(|lie| !lie.name.starts_with("receive tail"));
    play_with(&rings, About::Rings, "mapped", AvfVmConfig::default());
}

#[test]
fn set_up() {
    play(&of_setup(), About::Setup);
}

#[test]
fn set_up_and_receive_rings_of_flexible_descriptors() {
    let flexible = AvfVmConfig {
        flex: true,
        ..AvfVmConfig::default()
    };
    play_with(&of_setup(), About::Setup, "trapped", flexible.clone());
    let mut rings = of_rings();
    rings.retain(|lie| lie.name.starts_with("receive"));
    play_with(&rings, About::Rings, "trapped", flexible);
}

#[test]
fn mailbox() {
    play(&of_mail(), About::Mail);
}
