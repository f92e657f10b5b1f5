//! End-to-end tests: each a named function over a prepared lab, one file a subject.
//!
//! Most share a [`Rig`]: one daemon and two guests with a device each, booted once because booting
//! is what takes the time. A rig on which a test failed is thrown away. Tests of adaptive virtual functions share a
//! `Pair` in the same way.

mod avf;
mod beside;
mod churn;
mod controls;
mod dbus;
mod direct;
mod domains;
mod guest;
pub mod hotplug;
mod idle;
mod iommu;
mod itself;
mod libvirt;
mod lifecycle;
mod lost;
mod matrix;
mod memory;
mod nested;
mod offloads;
mod policy;
mod rate;
mod refusals;
pub mod rig;
mod service;
mod sliced;
mod takeover;
pub mod traffic;

use crate::artifacts::{self, Programs};
use crate::lab::Lab;
use crate::vm::GuestKernel;
use crate::{host, ui};
use anyhow::{Context, Result, bail};
use avf::Pair;
use rig::Rig;
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// What the tests of one run share.
pub struct Suite {
    lab: Arc<Lab>,
    programs: OnceLock<Programs>,
}

impl Suite {
    /// Prepares the lab.
    ///
    /// # Errors
    /// If it cannot be prepared.
    pub fn prepare() -> Result<Self> {
        Ok(Suite {
            lab: Arc::new(Lab::prepare()?),
            programs: OnceLock::new(),
        })
    }

    /// The lab.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The lab, shared.
    #[must_use]
    pub fn shared_lab(&self) -> Arc<Lab> {
        Arc::clone(&self.lab)
    }

    /// The daemon's programs, built when first asked for.
    ///
    /// # Errors
    /// If they do not build.
    pub fn programs(&self) -> Result<&Programs> {
        if self.programs.get().is_none() {
            let _ = self.programs.set(artifacts::programs()?);
        }
        self.programs.get().context("programs were built")
    }
}

/// How a test is run.
enum Body {
    /// With machines of its own.
    Alone(fn(&Suite) -> Result<()>),
    /// On the shared rig, which it leaves as it found it.
    OnRig(fn(&Rig) -> Result<()>),
    /// The same on two guests with adaptive virtual functions and this kernel.
    OnPair(GuestKernel, fn(&Pair) -> Result<()>),
}

/// Machines that tests share, at most one of these: two cores.
#[derive(Default)]
struct Shared {
    rig: Option<Rig>,
    pair: Option<Pair>,
}

/// A named end-to-end test.
pub struct Test {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Whether it is about a machine with physical functions, and run only where that is asked for.
    pub nested: bool,
    body: Body,
}

impl Test {
    const fn alone(name: &'static str, about: &'static str, run: fn(&Suite) -> Result<()>) -> Self {
        Test {
            name,
            about,
            nested: false,
            body: Body::Alone(run),
        }
    }

    const fn nested(
        name: &'static str,
        about: &'static str,
        run: fn(&Suite) -> Result<()>,
    ) -> Self {
        Test {
            name,
            about,
            nested: true,
            body: Body::Alone(run),
        }
    }

    const fn on_rig(name: &'static str, about: &'static str, run: fn(&Rig) -> Result<()>) -> Self {
        Test {
            name,
            about,
            nested: false,
            body: Body::OnRig(run),
        }
    }

    const fn on_pair(
        name: &'static str,
        about: &'static str,
        kernel: GuestKernel,
        run: fn(&Pair) -> Result<()>,
    ) -> Self {
        Test {
            name,
            about,
            nested: false,
            body: Body::OnPair(kernel, run),
        }
    }
}

/// Why a test could not run. Counts as a failure where `CI=true`.
#[derive(Debug)]
pub struct CannotRun(pub String);

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot run here: {}", self.0)
    }
}

impl std::error::Error for CannotRun {}

/// What became of the tests.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed.
    pub failed: u32,
    /// Names of those that failed.
    pub failures: Vec<String>,
    /// Tests that could not run, with the reason.
    pub not_run: Vec<String>,
}

/// Every end-to-end test, in the order in which they run.
#[must_use]
pub fn all() -> Vec<Test> {
    let mut all = itself::tests();
    all.extend(dbus::tests());
    all.extend(traffic::tests());
    all.extend(offloads::tests());
    all.extend(controls::tests());
    all.extend(policy::tests());
    all.extend(refusals::tests());
    all.extend(hotplug::tests());
    all.extend(churn::tests());
    all.extend(idle::tests());
    all.extend(lifecycle::tests());
    all.extend(libvirt::tests());
    all.extend(service::tests());
    all.extend(memory::tests());
    all.extend(matrix::tests());
    all.extend(iommu::tests());
    all.extend(nested::tests());
    all.extend(sliced::tests());
    all.extend(lost::tests());
    all.extend(guest::tests());
    all.extend(avf::tests());
    all.extend(direct::tests());
    all.extend(takeover::tests());
    all.extend(rate::tests());
    all.extend(domains::tests());
    all
}

/// What the names of all nested tests begin with.
const NESTED: &str = "nested-";

/// The tests that one of `only` names, or all: the one of exactly that name, else those that contain it. Nested ones are among them where `nested` says so, or one of
/// `only` begins as their names do.
///
/// # Errors
/// If one of `only` names no test.
fn choose(only: &[String], nested: bool) -> Result<Vec<Test>> {
    let mut chosen = all();
    let names: Vec<&str> = chosen.iter().map(|t| t.name).collect();
    let is_meant = |t: &Test, o: &str| t.name == o || t.name.contains(o) && !names.contains(&o);
    let may = |t: &Test, o: &str| nested || !t.nested || o.starts_with(NESTED);
    for o in only {
        let mut named = chosen.iter().filter(|t| is_meant(t, o));
        if named.clone().next().is_none() {
            bail!("no end-to-end test has '{o}' in its name; see --list");
        }
        if !named.any(|t| may(t, o)) {
            bail!(
                "only tests of machines with physical functions have '{o}' in their name; they take --nested"
            );
        }
    }
    chosen.retain(|t| {
        let named = only.iter().any(|o| is_meant(t, o) && may(t, o));
        named || (only.is_empty() && may(t, ""))
    });
    Ok(chosen)
}

/// Runs the tests that one of `only` names, or all; with `nested`, those of machines with physical functions
/// are among them.
///
/// # Errors
/// If one of `only` names no test, or the lab cannot be prepared.
pub fn run(only: &[String], nested: bool) -> Result<Report> {
    let chosen = choose(only, nested)?;
    let suite = Suite {
        lab: Arc::new(Lab::prepare()?),
        programs: OnceLock::new(),
    };
    // Built now, so that no test waits for a compiler.
    suite.programs()?;
    let mut report = Report::default();
    let mut shared = Shared::default();
    for test in chosen {
        let start = Instant::now();
        ui::say(&format!("--- {}", test.name));
        let result = match test.body {
            Body::Alone(run) => {
                // What the shared machines do would be felt.
                shared = Shared::default();
                run(&suite)
            }
            Body::OnRig(run) => {
                shared.pair = None;
                on_rig(&suite, &mut shared.rig, run)
            }
            Body::OnPair(kernel, run) => {
                shared.rig = None;
                on_pair(&suite, &mut shared.pair, kernel, run)
            }
        };
        note(&mut report, test.name, &result, start);
    }
    Ok(report)
}

fn on_rig(suite: &Suite, rig: &mut Option<Rig>, run: fn(&Rig) -> Result<()>) -> Result<()> {
    let ready = match rig.take() {
        Some(ready) => ready,
        None => Rig::build(suite)?,
    };
    let result = run(&ready).map_err(|error| ready.explain(error));
    if result.is_ok() {
        *rig = Some(ready);
    }
    result
}

fn on_pair(
    suite: &Suite,
    pair: &mut Option<Pair>,
    kernel: GuestKernel,
    run: fn(&Pair) -> Result<()>,
) -> Result<()> {
    let ready = match pair.take().filter(|ready| ready.kernel == kernel) {
        Some(ready) => ready,
        None => Pair::build(suite, kernel)?,
    };
    let result = ready.run(run);
    if result.is_ok() {
        *pair = Some(ready);
    }
    result
}

fn note(report: &mut Report, name: &str, result: &Result<()>, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok(()) => {
            report.passed += 1;
            ui::say(&format!("    passed: {name} ({seconds:.1} s)"));
        }
        Err(error) if error.downcast_ref::<CannotRun>().is_some() && !host::is_ci() => {
            report.not_run.push(format!("{name}: {error}"));
            ui::say(&format!("    not run: {name}: {error}"));
        }
        Err(error) => {
            report.failed += 1;
            report.failures.push(name.to_owned());
            ui::say(&format!("    FAILED: {name} ({seconds:.1} s)\n{error:#}"));
        }
    }
}

#[cfg(test)]
mod tests;
