//! Doorbells and interrupts, of guests that ask for them by event index as a kernel's driver
//! does: `events-*`.

use anyhow::{Context, Result};

use super::campaign::{self, Compared};
use super::traffic::{self, Guests};
use super::{Size, Workload};
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::peers::{Frames, OURS, Peer, Shape};
use crate::bench::row::Spec;

const UNIT: &str = "per million frames";
const WORKLOAD: Workload = Workload {
    size: Size::Wire(64),
    both_ways: true,
};
const PEERS: [(Peer, &str); 2] = [(Peer::TestpmdIo, ""), (Peer::Ovs, "-vs-ovs")];
const KEYS: [&str; 2] = ["doorbells", "interrupts"];

/// The family.
#[derive(Debug)]
pub struct Events;

fn rows() -> Vec<Compared> {
    let mut rows = Vec::new();
    for key in KEYS {
        for (peer, against) in PEERS {
            for (ours, mode) in OURS {
                let name = format!("events-{key}-{}-{mode}{against}", WORKLOAD.name());
                let (key, peer) = (key.to_owned(), Some(peer));
                rows.push(Compared {
                    spec: Spec::informative(name, UNIT),
                    key,
                    ours,
                    peer,
                });
            }
        }
    }
    rows
}

impl Family for Events {
    fn prefix(&self) -> &'static str {
        "events"
    }

    fn rows(&self) -> Vec<Spec> {
        rows().into_iter().map(|row| row.spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let rows = campaign::chosen(rows(), wanted);
        let shape = Shape {
            notified: true,
            ..Shape::polling(Frames::Plain, run)
        };
        let (figures, mut outcome) = campaign::run(run, "events", &rows, |contender, figures| {
            let mut rig = contender.start(shape).context("start")?;
            rig.first.take_interrupts();
            rig.second.take_interrupts();
            let measured = traffic::drive_armed(Guests::of(&mut rig, 0, run.cores), WORKLOAD)?;
            let millions = measured.received as f64 / 1e6;
            let interrupts = rig.first.take_interrupts() + rig.second.take_interrupts();
            let [doorbells, name] = KEYS;
            figures.add(contender.id(), doorbells, measured.kicks as f64 / millions);
            figures.add(contender.id(), name, interrupts as f64 / millions);
            rig.stop()
        })?;
        outcome.rows = rows.iter().filter_map(|row| figures.row(row)).collect();
        Ok(outcome)
    }
}
