//! Who is looked at, and when nobody is woken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use libcvf::control::{ControlRequest, Denial, Gatekeeper};
use libcvf::pf::{SoftPf, SoftPfConfig};
use policies::{Given, Profile};

use super::super::policy::tests::definition;
use super::*;
use crate::engine::{Events, Happening, Heard, RateLimits};

/// A device that counts, or does not.
#[derive(Default)]
struct Fake {
    silent: AtomicBool,
    looks: AtomicU64,
}

impl Fake {
    fn silent() -> Arc<Self> {
        let fake = Self::default();
        fake.silent.store(true, Ordering::Relaxed);
        Arc::new(fake)
    }

    fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }
}

impl Subject for Fake {
    fn counts(&self) -> bool {
        !self.silent.load(Ordering::Relaxed)
    }

    fn misbehaviour(&self) -> Misbehaviour {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Misbehaviour::default()
    }
}

fn gate() -> Arc<DeviceGate> {
    let profile = Arc::new(Profile::default());
    Arc::new(DeviceGate::new(
        &profile,
        Given::default(),
        Events::default(),
    ))
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// The first look is at what was counted before it came.
const ARRIVAL: u64 = 1;

#[tokio::test(start_paused = true)]
async fn a_device_whose_rings_hardware_works_wakes_nobody() {
    let patrol = Patrol::start(&Handle::current());
    let silent = Fake::silent();
    let watch = patrol.watch_subject(silent.clone(), &gate());
    pass(100).await;
    assert_eq!(silent.looks(), ARRIVAL);
    drop(watch);
    assert_eq!(silent.looks(), ARRIVAL + 1, "a last look");
}

#[tokio::test(start_paused = true)]
async fn others_are_looked_at_beside_it() {
    let patrol = Patrol::start(&Handle::current());
    let (silent, loud) = (Fake::silent(), Arc::new(Fake::default()));
    let _quiet = patrol.watch_subject(silent.clone(), &gate());
    pass(10).await;
    let watch = patrol.watch_subject(loud.clone(), &gate());
    pass(10).await;
    let looks = loud.looks();
    assert!((9..=13).contains(&looks), "{looks}");
    assert_eq!(silent.looks(), ARRIVAL);
    drop(watch);
    let looks = loud.looks();
    pass(10).await;
    assert_eq!((loud.looks(), silent.looks()), (looks, ARRIVAL));
}

#[tokio::test(start_paused = true)]
async fn whoever_works_the_rings_now_is_looked_at_from_then_on() {
    let patrol = Patrol::start(&Handle::current());
    let fake = Arc::new(Fake::default());
    let watch = patrol.watch_subject(fake.clone(), &gate());
    pass(5).await;
    fake.silent.store(true, Ordering::Relaxed);
    watch.turned();
    let looks = fake.looks();
    pass(100).await;
    assert_eq!(fake.looks(), looks, "what was counted until then was seen");
    fake.silent.store(false, Ordering::Relaxed);
    watch.turned();
    pass(5).await;
    let more = fake.looks() - looks;
    assert!((4..=8).contains(&more), "{more}");
}

/// A denial that comes too soon after another is told a second later, also of a device that counts nothing. Its
/// record goes by the clock of the wall.
#[tokio::test]
async fn what_was_too_early_to_tell_wakes_whoever_tells_it() {
    let pf = SoftPf::start(SoftPfConfig::new("soft0")).expect("a PF");
    let events = Events::default();
    let profile = Arc::new(Profile::default());
    let gate = Arc::new(DeviceGate::new(&profile, Given::default(), events.clone()));
    let definition = definition(None, RateLimits::default());
    let cvf = Cvf::compose(pf, definition.spec(), gate.clone()).expect("composed");
    gate.conduct().about(&cvf);
    let patrol = Patrol::start(&Handle::current());
    let silent = Fake::silent();
    let _watch = patrol.watch_subject(silent.clone(), &gate);
    let denial = Denial {
        rule: "promiscuous",
        reason: "it may not".to_owned(),
    };
    let (mut heard, _) = events.listen();
    for _ in 0..2 {
        gate.denied(&ControlRequest::Promiscuous(true), &denial);
    }
    for _ in 0..2 {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.next());
        let told = next.await.expect("told");
        assert!(
            matches!(&told, Some(Heard::Event(event)) if matches!(event.what, Happening::Denied { count: 1, .. })),
            "{told:?}"
        );
    }
    assert!(!gate.conduct().has_untold());
}
