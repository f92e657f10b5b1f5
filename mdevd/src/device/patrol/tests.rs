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
async fn nobody_is_looked_at_before_something_was_counted() {
    let patrol = Patrol::start(&Handle::current());
    let (silent, loud) = (Fake::silent(), Arc::new(Fake::default()));
    let watches = [silent.clone(), loud.clone()].map(|fake| patrol.watch_subject(fake, &gate()));
    pass(100).await;
    assert_eq!([silent.looks(), loud.looks()], [ARRIVAL; 2]);
    let alarm = patrol.0.wake.alarm.clone();
    for round in 1..=3 {
        alarm.raise();
        pass(10).await;
        assert_eq!(loud.looks(), ARRIVAL + round, "once for an alarm");
    }
    let looks = [silent.looks(), loud.looks()].map(|looks| looks + 1);
    drop(watches);
    assert_eq!([silent.looks(), loud.looks()], looks, "a last look");
    alarm.raise();
    pass(10).await;
    assert_eq!([silent.looks(), loud.looks()], looks, "nobody is there");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_heard_within_a_second_and_only_while_somebody_counts() {
    let patrol = Patrol::start(&Handle::current());
    let fake = Fake::silent();
    let watch = patrol.watch_subject(fake.clone(), &gate());
    let alarm = patrol.0.wake.alarm.clone();
    pass(5).await;
    // Nobody could have raised it.
    alarm.raise();
    pass(100).await;
    assert_eq!(
        fake.looks(),
        ARRIVAL,
        "whose rings hardware works wakes nobody"
    );
    fake.silent.store(false, Ordering::Relaxed);
    watch.turned();
    pass(2).await;
    assert_eq!(
        fake.looks(),
        ARRIVAL + 2,
        "what was counted until then, and the alarm"
    );
    alarm.raise();
    pass(2).await;
    assert_eq!(fake.looks(), ARRIVAL + 3);
    fake.silent.store(true, Ordering::Relaxed);
    patrol.turned();
    pass(2).await;
    alarm.raise();
    pass(100).await;
    assert_eq!(fake.looks(), ARRIVAL + 3);
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
