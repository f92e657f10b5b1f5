//! The matrix of offload settings, MTUs, ring sizes, ring formats and protocols between two stock guests:
//! content, order, checksums and segmentation, as the kernels at both ends see them.
//!
//! Cases are chosen so that all pairs of values meet. `MDEVD_LAB_MATRIX` chooses others: `triples`, `all`, or
//! the names of cases, separated by spaces.

mod case;
mod cover;
mod ground;
mod load;

use super::{Suite, Test};
use crate::traffic::planned;
use crate::ui;
use anyhow::{Result, bail, ensure};
use case::{Case, LEVELS};
use ground::{Ground, Told};

/// Which cases.
const VARIABLE: &str = "MDEVD_LAB_MATRIX";

/// Failed cases after which the others are not tried.
const ENOUGH: usize = 10;

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::alone(
        "offload-matrix",
        "content, order, checksums and cuts under pairs of all settings",
        matrix,
    )]
}

/// What all cases together must have shown, lest they show nothing.
#[derive(Default)]
struct Sum {
    finished: u64,
    partial: u64,
    fragments: u64,
    /// Packets above their MTU: large sends delivered whole, or joined.
    large: u64,
    retransmitted: u64,
}

fn matrix(suite: &Suite) -> Result<()> {
    let chosen = std::env::var(VARIABLE).unwrap_or_default();
    let cases = cases(&chosen)?;
    let ground = Ground::build(suite)?;
    let mut sum = Sum::default();
    let mut failures = Vec::new();
    for (nth, case) in cases.iter().enumerate() {
        let result = ground.run(case, nth);
        match result.and_then(|told| judge(case, &told, &mut sum)) {
            Ok(line) => ui::say(&format!("    {:3}/{} {case}: {line}", nth + 1, cases.len())),
            Err(error) => {
                let text = format!(
                    "{case}: {error:#}\n      again: {VARIABLE}='{case}' cargo lab test --only offload-matrix"
                );
                ui::say(&format!("    {:3}/{} FAILED {text}", nth + 1, cases.len()));
                failures.push(text);
                if failures.len() >= ENOUGH {
                    break;
                }
            }
        }
    }
    ui::say(&format!(
        "    {} cases; packets with finished checksums {}, unfinished {}, fragments {}; cases with packets \
         above the MTU {}; segments sent again {}",
        cases.len(),
        sum.finished,
        sum.partial,
        sum.fragments,
        sum.large,
        sum.retransmitted
    ));
    if !failures.is_empty() {
        bail!("{} cases failed:\n{}", failures.len(), failures.join("\n"));
    }
    if chosen.is_empty() {
        ensure!(
            sum.finished > 0 && sum.partial > 0 && sum.fragments > 0 && sum.large > 0,
            "a kind of packet was never seen"
        );
    }
    Ok(())
}

/// The cases that somebody asked for, or those of all pairs.
fn cases(chosen: &str) -> Result<Vec<Case>> {
    let rows = match chosen {
        "" => cover::rows(&LEVELS, 2),
        "triples" => cover::rows(&LEVELS, 3),
        "all" => cover::product(&LEVELS),
        names => return names.split_whitespace().map(Case::named).collect(),
    };
    rows.iter().map(|row| Case::of(row)).collect()
}

/// Fails unless everything went as it must; else a line about the case.
fn judge(case: &Case, told: &Told, sum: &mut Sum) -> Result<String> {
    let Told { flow, dropped } = told;
    let planned::Told {
        sender, receiver, ..
    } = flow;
    let mut wrong = flow.wrong();
    let seen = &receiver.seen;
    if case.xdp() && seen.partial + seen.believed > 0 {
        wrong.push("receiver: checksums were left to a driver that switched that off".into());
    }
    ensure!(
        wrong.is_empty(),
        "{}\n      the daemon dropped {dropped:?}\n      sender {sender:?}\n      receiver {receiver:?}",
        wrong.join("; ")
    );
    let again = sender.risen.get("Tcp.RetransSegs").copied().unwrap_or(0);
    sum.finished += seen.finished;
    sum.partial += seen.partial;
    sum.fragments += seen.fragments;
    sum.large += u64::from(seen.longest > case.mtu().into());
    sum.retransmitted += again;
    Ok(format!(
        "{} messages, {} KiB, {:.1} s; packets {} finished, {} unfinished, {} fragments, longest {}; {again} sent \
         again, dropped {}",
        receiver.messages,
        receiver.bytes >> 10,
        receiver.seconds,
        seen.finished,
        seen.partial,
        seen.fragments,
        seen.longest,
        dropped.values().sum::<u64>()
    ))
}
