//! The highest rate of frames from guest to guest, `fps-*`, and what the driver alone makes of
//! it, `fps-driver-*`.

use anyhow::{Context, Result};
use serde_json::json;

use super::campaign::{self, Compared, Figures};
use super::traffic::{self, Guests};
use super::{Size, Workload};
use crate::bench::family::{Family, Outcome, Run};
use crate::bench::peers::{Contender, OURS, Peer, Shape};
use crate::bench::plot::{Group, Kind, Plot};
use crate::bench::row::{Bar, Row, Spec};

const UNIT: &str = "Mpps";
/// Frame sizes on a wire.
const SIZES: [usize; 4] = [64, 256, 1518, 9000];
/// Peers, with what is appended to the row's name.
const PEERS: [(Peer, &str); 3] = [
    (Peer::TestpmdIo, ""),
    (Peer::TestpmdMac, "-vs-mac"),
    (Peer::Ovs, "-vs-ovs"),
];
/// Whom packed rings are compared with: packed rings are not offered unasked before they are at least
/// as good as split ones.
const PACKED: [(Peer, &str); 2] = [(Peer::TestpmdPacked, ""), (Peer::MdevdTrapped, "-vs-split")];
/// Guests with adaptive virtual functions, and between which of virtio the same frames pass.
const AVF: [(Peer, &str, Peer); 4] = [
    (Peer::AvfAvfTrapped, "avf-avf-trapped", Peer::MdevdTrapped),
    (Peer::AvfAvfMapped, "avf-avf-mapped", Peer::MdevdMapped),
    (
        Peer::AvfVirtioTrapped,
        "avf-virtio-trapped",
        Peer::MdevdTrapped,
    ),
    (
        Peer::AvfVirtioMapped,
        "avf-virtio-mapped",
        Peer::MdevdMapped,
    ),
];
/// What they are compared by, and the least ratio.
const AVF_WORK: [&str; 2] = ["64B-both-ways", "1518B-both-ways"];
const AVF_BAR: f64 = 0.9;
/// Bars: workload, peer, least ratio. All else informs.
const BARS: [(&str, Peer, f64); 3] = [
    ("64B-both-ways", Peer::TestpmdIo, 2.5),
    ("1518B-both-ways", Peer::TestpmdIo, 2.0),
    ("64B-both-ways", Peer::Ovs, 4.0),
];

/// The family.
#[derive(Debug)]
pub struct Peak;

fn workloads() -> impl Iterator<Item = Workload> {
    let sizes = SIZES.into_iter().map(Size::Wire);
    sizes.flat_map(|size| [false, true].map(|both_ways| Workload { size, both_ways }))
}

fn rows() -> Vec<Compared> {
    let mut rows = Vec::new();
    for key in workloads().map(Workload::name) {
        for (peer, against) in PEERS {
            let bar = BARS.iter().find(|(w, p, _)| *w == key && *p == peer);
            for (ours, mode) in OURS {
                let spec = Spec {
                    name: format!("fps-{key}-{mode}{against}"),
                    unit: UNIT,
                    bar: bar.map(|bar| Bar::AtLeast(bar.2)),
                };
                let (key, peer) = (key.clone(), Some(peer));
                rows.push(Compared {
                    spec,
                    key,
                    ours,
                    peer,
                });
            }
        }
        for (peer, against) in PACKED {
            rows.push(Compared {
                spec: Spec::informative(format!("fps-{key}-packed{against}"), UNIT),
                key: key.clone(),
                ours: Peer::MdevdPacked,
                peer: Some(peer),
            });
        }
        for (ours, which, peer) in AVF.iter().filter(|_| AVF_WORK.contains(&key.as_str())) {
            let name = format!("fps-{key}-{which}");
            rows.push(Compared {
                spec: Spec::with_bar(name, UNIT, Bar::AtLeast(AVF_BAR)),
                key: key.clone(),
                ours: *ours,
                peer: Some(*peer),
            });
        }
        rows.push(Compared {
            spec: Spec::informative(format!("fps-driver-{key}"), UNIT),
            key,
            ours: Peer::Model,
            peer: Some(Peer::MdevdMapped),
        });
    }
    rows
}

impl Family for Peak {
    fn prefix(&self) -> &'static str {
        "fps"
    }

    fn rows(&self) -> Vec<Spec> {
        rows().into_iter().map(|row| row.spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let rows = campaign::chosen(rows(), wanted);
        let (figures, mut outcome) =
            campaign::run(run, "peak rates", &rows, |contender, figures| {
                turn(contender, run, &rows, figures)
            })?;
        let each = rows.iter().filter_map(|row| result(row, &figures));
        outcome.rows = each.collect();
        outcome.plots = [false, true]
            .into_iter()
            .filter_map(|both_ways| plot(&figures, both_ways))
            .collect();
        Ok(outcome)
    }
}

/// One turn of one contender: started for each kind of guest, all its workloads, stopped.
fn turn(
    contender: &dyn Contender,
    run: &Run,
    rows: &[Compared],
    figures: &mut Figures,
) -> Result<()> {
    let id = contender.id();
    let takes_part = |workload: &Workload| {
        let key = workload.name();
        let names = |row: &&Compared| row.ours == id || row.peer == Some(id);
        rows.iter().filter(names).any(|row| row.key == key)
    };
    let workloads: Vec<Workload> = workloads().filter(takes_part).collect();
    for same in workloads.chunk_by(|a, b| a.frames() == b.frames()) {
        let rig = contender.start(Shape::polling(same[0].frames(), run));
        let mut rig = rig.context("start")?;
        for (number, workload) in same.iter().enumerate() {
            let what = workload.name();
            let measured =
                traffic::drive(Guests::of(&mut rig, number as u16, run.cores), *workload);
            let measured = measured.with_context(|| what.clone())?;
            figures.add(id, format!("{what}-lost"), measured.lost as f64);
            figures.add_watched(id, what, measured.mpps(), measured.disturbed);
        }
        rig.stop()?;
    }
    Ok(())
}

fn result(row: &Compared, figures: &Figures) -> Option<Row> {
    let mut result = figures.row(row)?;
    let lost = |who: Peer| figures.sum(who, &format!("{}-lost", row.key));
    let disturbed = |who: Peer| figures.disturbed(who, &row.key);
    let ours = lost(row.ours);
    result.details = json!({
        "ns_per_frame": 1e3 / result.ours.spread.median,
        "lost": ours,
        "peer_lost": row.peer.map(lost),
        "rounds_disturbed": disturbed(row.ours),
        "peer_rounds_disturbed": row.peer.map(disturbed),
    });
    if ours > 0.0 {
        result.fault = Some(format!("{ours} frames lost"));
    }
    Some(result)
}

fn plot(figures: &Figures, both_ways: bool) -> Option<Plot> {
    let everybody = OURS.iter().map(|(id, _)| *id);
    let everybody: Vec<Peer> = everybody.chain(PEERS.iter().map(|(id, _)| *id)).collect();
    let group = |workload: Workload| {
        let key = workload.name();
        let bar = |who: &Peer| Some((who.name().to_owned(), figures.side(*who, &key)?.spread));
        let bars: Vec<_> = everybody.iter().filter_map(bar).collect();
        let Size::Wire(bytes) = workload.size else {
            return None;
        };
        let label = format!("{bytes} B");
        (!bars.is_empty()).then_some(Group { label, bars })
    };
    let chosen = workloads().filter(|workload| workload.both_ways == both_ways);
    let groups: Vec<Group> = chosen.filter_map(group).collect();
    let ways = if both_ways { "both ways" } else { "one way" };
    (!groups.is_empty()).then(|| Plot {
        file: format!("fps-{}", ways.replace(' ', "-")),
        title: format!("Frames between two guests, {ways}, one core forwards"),
        y: "million frames per second".into(),
        kind: Kind::Bars(groups),
    })
}
