//! What stands between a driver and hardware costs: frames to the outside and back by the daemon's ways, beside a function
//! that the same driver has alone.

use super::direct::{DIRECT, PLUGS};
use super::sliced::{boot_all, start_all};
use super::{Suite, Test};
use crate::bench::report::table;
use crate::bench::row::{Row, Side, Spec};
use crate::nested::inside::Exchange;
use crate::nested::limits::CROSSING;
use crate::nested::{Crossing, Driven, Outer, Physical, Run};
use crate::{artifacts, ui};
use anyhow::{Context, Result, bail};

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![Test::nested(
        "nested-direct-rate",
        "frames north and south through devices on functions, beside a driver that has its function alone",
        rate,
    )]
}

/// Every contender once a round, so that what changes in this machine meanwhile meets all of them.
const ROUNDS: u32 = 5;

/// Frames of a round: the shortest, and the longest of an ordinary Ethernet.
const SIZES: [(usize, u64); 2] = [(60, 10_000), (1514, 5_000)];

/// Frames that are on their way at once.
const WINDOW: u64 = 64;

/// What is counted.
const UNIT: &str = "frames/s each way";

/// Who drives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    /// The fake VM has the virtio-net function alone.
    Plain,
    /// The virtio-net function is the daemon's uplink, as it is for ordinary devices.
    Uplink,
    /// The virtio-net function works the device's rings.
    Direct,
    /// A pool of the igb alone, driven by libcvf's queues.
    Pool,
    /// The same while a second thread of the machine is busy with nothing, as the daemon's worker is with its work: the
    /// machine has two processors and this one two cores, on which its QEMU and the outside run, too.
    Crowded,
    /// A pool of the igb, with the daemon between its queues and the device's.
    Translated,
    /// The same with doorbells that are mapped, so that nobody sleeps.
    Polled,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Plain => "plain-vfio",
            Contender::Uplink => "uplink",
            Contender::Direct => "direct",
            Contender::Pool => "plain-pool",
            Contender::Crowded => "crowded-pool",
            Contender::Translated => "translated",
            Contender::Polled => "translated-mapped",
        }
    }

    /// The function that it uses.
    fn function(self) -> usize {
        let virtio = [Contender::Plain, Contender::Uplink, Contender::Direct];
        usize::from(!virtio.contains(&self))
    }

    /// Nothing of the daemon's has a part in it.
    fn is_peer(self) -> bool {
        matches!(
            self,
            Contender::Plain | Contender::Pool | Contender::Crowded
        )
    }

    /// Its driver polls for frames, as the one that has a pool alone does.
    fn polls(self) -> bool {
        self.function() == 1
    }

    /// What `create` is told.
    fn create(self) -> &'static [&'static str] {
        match self {
            Contender::Direct => &DIRECT,
            Contender::Pool | Contender::Crowded | Contender::Translated => &["--pf", "nic1"],
            Contender::Polled => &["--pf", "nic1", "--doorbells", "mapped"],
            Contender::Plain | Contender::Uplink => &["--pf", "nic0"],
        }
    }
}

/// Frames a second, of one contender and size, by round.
struct Series {
    contender: Contender,
    size: usize,
    samples: Vec<f64>,
}

fn rate(suite: &Suite) -> Result<()> {
    let (mut outer, mut physical) = boot_all(suite, &PLUGS)?;
    // A driver that checks its arithmetic would measure itself.
    outer.program = artifacts::released_lab()?;
    let mut contenders = vec![
        Contender::Plain,
        Contender::Uplink,
        Contender::Pool,
        Contender::Crowded,
        Contender::Translated,
        Contender::Polled,
    ];
    if knows_direct(suite, &outer)? {
        contenders.push(Contender::Direct);
    } else {
        ui::say("    this cvfctl knows no --data-path: nobody is direct");
    }
    let mut series = Vec::new();
    for contender in &contenders {
        for (size, _) in SIZES {
            series.push(Series {
                contender: *contender,
                size,
                samples: Vec::new(),
            });
        }
    }
    let mut number = 0;
    for round in 0..ROUNDS {
        round_of(suite, &outer, &mut physical, &mut series, &mut number)
            .with_context(|| format!("round {} of {ROUNDS}", round + 1))?;
    }
    ui::say(&table(&rows(&series)?));
    outer.vm.quit()
}

/// Whether devices can be asked for whose rings hardware works.
fn knows_direct(suite: &Suite, outer: &Outer) -> Result<bool> {
    let cvfctl = suite.programs()?.cvfctl.to_string_lossy().into_owned();
    let said = outer.run(&[&cvfctl, "create", "--help"])?;
    Ok(said.contains("--data-path"))
}

/// Has every contender run once.
fn round_of(
    suite: &Suite,
    outer: &Outer,
    physical: &mut [Physical],
    series: &mut [Series],
    number: &mut u32,
) -> Result<()> {
    for one in series.iter_mut().filter(|one| one.contender.is_peer()) {
        let physical = &mut physical[one.contender.function()];
        let address = physical.function.address.clone();
        let driven = match one.contender {
            Contender::Pool | Contender::Crowded => Driven::Pool(&address),
            _ => Driven::Function(&address),
        };
        let busy = (one.contender == Contender::Crowded)
            .then(|| outer.vm.start_shell("while :; do :; done", CROSSING))
            .transpose()?;
        one.run(outer, physical, driven, number)?;
        busy.map(|busy| busy.stop()).transpose()?;
    }
    let daemon = start_all(suite, outer, physical)?;
    for one in series.iter_mut().filter(|one| !one.contender.is_peer()) {
        let name = one.contender.name();
        let device = daemon.create(name, one.contender.create())?;
        let physical = &mut physical[one.contender.function()];
        one.run(outer, physical, Driven::Socket(&device.socket), number)
            .map_err(|error| daemon.explain(&format!("frames of {name}"), &error))?;
        daemon.ctl(&["destroy", name])?;
    }
    daemon.stop()
}

impl Series {
    /// One run more.
    fn run(
        &mut self,
        outer: &Outer,
        physical: &mut Physical,
        driven: Driven<'_>,
        number: &mut u32,
    ) -> Result<()> {
        let count = SIZES.iter().find(|(size, _)| *size == self.size);
        let Some((size, count)) = count.copied() else {
            bail!("no frames of {} bytes", self.size);
        };
        let run = Run {
            number: *number,
            count,
            size,
            window: WINDOW,
        };
        *number += 1;
        let exchange = Exchange {
            poll: self.contender.polls(),
            ..Exchange::new(&run)
        };
        let crossing = Crossing::of(outer, &mut physical.wire, driven, &run, &exchange)?;
        crossing.must_be_perfect(&run)?;
        self.samples.push(crossing.inside.frames_per_second);
        Ok(())
    }

    fn side(&self) -> Result<Side> {
        let side = Side::new(self.contender.name(), self.samples.clone());
        side.context("no samples")
    }
}

/// Each of the daemon's ways beside the driver that has its function alone, where there is one for that function.
fn rows(series: &[Series]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for one in series.iter().filter(|one| !one.contender.is_peer()) {
        let is_peer = |peer: &&Series| {
            peer.contender.is_peer()
                && peer.size == one.size
                && peer.contender.function() == one.contender.function()
        };
        let name = format!("north-south-{}-{}", one.contender.name(), one.size);
        let mut peers = series.iter().filter(is_peer).peekable();
        if peers.peek().is_none() {
            let spec = Spec::informative(name.clone(), UNIT);
            rows.push(Row::new(spec, one.side()?, None));
        }
        for peer in peers {
            let against = match peer.contender {
                Contender::Crowded => "-vs-crowded",
                _ => "",
            };
            let spec = Spec::informative(format!("{name}{against}"), UNIT);
            rows.push(Row::new(spec, one.side()?, Some(peer.side()?)));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_compared_with_a_driver_of_the_same_function_and_frames_of_the_same_size() {
        let series = |contender, size, sample| Series {
            contender,
            size,
            samples: vec![sample],
        };
        let all = [
            series(Contender::Plain, 60, 10.0),
            series(Contender::Plain, 1514, 5.0),
            series(Contender::Direct, 1514, 4.0),
            series(Contender::Translated, 60, 3.0),
            series(Contender::Pool, 1514, 4.0),
            series(Contender::Crowded, 1514, 2.0),
            series(Contender::Polled, 1514, 1.0),
        ];
        let rows = rows(&all).unwrap();
        let of = |row: &Row| (row.spec.name.clone(), row.ratio, row.peer.is_some());
        let expected = [
            ("north-south-direct-1514", 0.8, true),
            ("north-south-translated-60", 3.0, false),
            ("north-south-translated-mapped-1514", 0.25, true),
            ("north-south-translated-mapped-1514-vs-crowded", 0.5, true),
        ];
        let expected = expected.map(|(name, ratio, peer)| (name.to_owned(), ratio, peer));
        assert!(rows.iter().map(of).eq(expected));
    }
}
