//! The highest rate of frames from guest to guest: `fps-*`, and what the driver alone makes of
//! it: `fps-driver-*`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::json;

use super::traffic::{self, Guests, Measured};
use super::{Size, Workload};
use crate::bench::cpu;
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::peers::{self, Contender, Peer, Shape};
use crate::bench::row::{Bar, Row, Side, Spec};
use crate::ui;

const UNIT: &str = "Mpps";
/// Frame sizes on a wire.
const SIZES: [usize; 4] = [64, 256, 1518, 9000];
const OURS: [(Peer, &str); 2] = [
    (Peer::MdevdTrapped, "trapped"),
    (Peer::MdevdMapped, "mapped"),
];
const PEERS: [(Peer, &str); 2] = [(Peer::TestpmdIo, "io"), (Peer::TestpmdMac, "mac")];

/// Bars: workload, peer, least ratio. All else informs.
const BARS: [(&str, Peer, f64); 2] = [
    ("64B-both-ways", Peer::TestpmdIo, 2.5),
    ("1518B-both-ways", Peer::TestpmdIo, 2.0),
];

/// The family.
#[derive(Debug)]
pub struct Peak;

/// A row, with what it takes to measure it.
#[derive(Clone, Debug)]
struct Wanted {
    spec: Spec,
    workload: Workload,
    ours: Peer,
    peer: Peer,
}

fn rows() -> Vec<Wanted> {
    let mut rows = Vec::new();
    for wire_len in SIZES {
        for both_ways in [false, true] {
            let size = Size::Wire(wire_len);
            let workload = Workload { size, both_ways };
            let what = workload.name();
            for (peer, against) in PEERS {
                let bar = BARS.iter().find(|(w, p, _)| *w == what && *p == peer);
                for (ours, mode) in OURS {
                    rows.push(Wanted {
                        spec: Spec {
                            name: match peer {
                                Peer::TestpmdIo => format!("fps-{what}-{mode}"),
                                _ => format!("fps-{what}-{mode}-vs-{against}"),
                            },
                            unit: UNIT,
                            bar: bar.map(|bar| Bar::AtLeast(bar.2)),
                        },
                        workload,
                        ours,
                        peer,
                    });
                }
            }
            rows.push(Wanted {
                spec: Spec::informative(format!("fps-driver-{what}"), UNIT),
                workload,
                ours: Peer::Model,
                peer: Peer::MdevdMapped,
            });
        }
    }
    rows
}

/// Everything measured, by contender and workload, a figure for every round.
type Figures = BTreeMap<(Peer, String), Vec<Measured>>;

impl Family for Peak {
    fn prefix(&self) -> &'static str {
        "fps"
    }

    fn rows(&self) -> Vec<Spec> {
        rows().into_iter().map(|wanted| wanted.spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let rows: Vec<Wanted> = rows()
            .into_iter()
            .filter(|row| wanted.contains(&row.spec))
            .collect();
        let mut ids: Vec<Peer> = rows.iter().flat_map(|row| [row.ours, row.peer]).collect();
        ids.sort_unstable();
        ids.dedup();
        let contenders = ids.into_iter().map(|id| peers::make(id, run));
        let contenders = contenders.collect::<Result<Vec<_>>>()?;
        let _pinned = cpu::pin_this_thread(run.cores.driver)?;
        let _preferred = cpu::prefer_this_thread();
        let mut figures = Figures::new();
        run.turns(&contenders, |contender, round| {
            let step = format!(
                "peak rates, {} of {}: {}",
                round + 1,
                run.repetitions,
                contender.name()
            );
            let step = ui::Step::begin(step);
            turn(contender.as_ref(), run, &rows, &mut figures)?;
            step.done();
            Ok(())
        })?;
        let took_part = contenders.iter();
        let took_part = took_part.map(|c| (c.name().to_owned(), c.describe()));
        Ok(Outcome {
            rows: rows
                .iter()
                .filter_map(|row| result(row, &figures))
                .collect(),
            plots: Vec::new(),
            took_part: took_part.collect(),
        })
    }
}

/// One turn of one contender: started for each kind of guest, all its workloads, stopped.
fn turn(
    contender: &dyn Contender,
    run: &Run,
    rows: &[Wanted],
    figures: &mut Figures,
) -> Result<()> {
    let id = contender.id();
    let mut workloads: Vec<Workload> = rows
        .iter()
        .filter(|row| row.ours == id || row.peer == id)
        .map(|row| row.workload)
        .collect();
    workloads.sort_unstable();
    workloads.dedup();
    for same in workloads.chunk_by(|a, b| a.frames() == b.frames()) {
        let shape = Shape::polling(same[0].frames(), run);
        let rig = contender.start(shape);
        let mut rig = rig.with_context(|| format!("start {}", contender.name()))?;
        for (number, workload) in same.iter().enumerate() {
            let what = workload.name();
            let measured = traffic::drive(Guests::of(&mut rig, number as u16), *workload);
            let measured =
                measured.with_context(|| format!("{what} through {}", contender.name()))?;
            figures.entry((id, what)).or_default().push(measured);
        }
        rig.stop()?;
    }
    Ok(())
}

fn result(row: &Wanted, figures: &Figures) -> Option<Row> {
    let what = row.workload.name();
    let of = |id: Peer| figures.get(&(id, what.clone()));
    let side = |id: Peer| {
        let rates = of(id)?.iter().map(Measured::mpps).collect();
        Side::new(id.name(), rates)
    };
    let lost = |id: Peer| of(id).into_iter().flatten().map(|m| m.lost).sum::<u64>();
    let mut result = Row::new(row.spec.clone(), side(row.ours)?, side(row.peer));
    let (ours_lost, peer_lost) = (lost(row.ours), lost(row.peer));
    result.details = json!({ "lost": ours_lost, "peer_lost": peer_lost });
    if ours_lost > 0 {
        result.fault = Some(format!("{ours_lost} frames lost"));
    }
    Some(result)
}
