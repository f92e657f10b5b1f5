//! The round trip of a trapped register access, beside a server on libvfio-user.
//!
//! One client, the fake VM's, reads four bytes of configuration space over and over, one access at
//! a time, now from one server and now from the other. What a server is written in, and how it
//! waits, is its own business; the client is the same.

mod interval;
mod servers;

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use self::interval::Interval;
use self::servers::{Server, libvfio_user, mdevd};
use super::cpu::{self, Cores};
use super::family::{Family, Outcome, Run};
use super::row::{Bar, Row, Side, Spec};
use crate::fakevm::client::{Client, QEMU_CAPABILITIES};
use crate::ui;

/// Environment variable with the path of a program that serves a PCI device with libvfio-user at
/// the socket that its only argument names.
pub const PEER_VARIABLE: &str = "MDEVD_LAB_LIBVFIO_USER_SERVER";
/// How often both servers take their turn at least.
const ROUNDS: u32 = 10;
/// How long one turn is.
const TURN: Duration = Duration::from_millis(300);
/// Accesses between two looks at the clock.
const BATCH: u32 = 64;
/// `VFIO_PCI_CONFIG_REGION_INDEX`.
const CONFIG_REGION: u32 = 7;

/// Where client and server run.
#[derive(Clone, Copy)]
enum Placement {
    TwoCores,
    OneCore,
}

const PLACEMENTS: [(&str, Placement); 2] = [
    ("registers-two-cores", Placement::TwoCores),
    ("registers-one-core", Placement::OneCore),
];

/// The family.
pub struct Registers;

impl Family for Registers {
    fn prefix(&self) -> &'static str {
        "registers"
    }

    fn rows(&self) -> Vec<Spec> {
        let spec = |&(name, _): &(&str, _)| Spec::with_bar(name, "µs", Bar::AtMost(1.05));
        PLACEMENTS.iter().map(spec).collect()
    }

    fn measure(&self, run: &Run, wanted: &[Spec]) -> Result<Outcome> {
        let Some(program) = std::env::var_os(PEER_VARIABLE) else {
            ui::say(&format!(
                "registers: skipped, for want of a peer: {PEER_VARIABLE} names no libvfio-user server"
            ));
            return Ok(Outcome::default());
        };
        let servers = [mdevd()?, libvfio_user(program.as_ref())?];
        let mut outcome = Outcome {
            took_part: servers
                .iter()
                .map(|server| (server.name.to_owned(), server.what.clone()))
                .collect(),
            ..Outcome::default()
        };
        let mut clients = [connect(&servers[0])?, connect(&servers[1])?];
        for (name, placement) in PLACEMENTS {
            if let Some(spec) = wanted.iter().find(|spec| spec.name == name) {
                let row = compare(run, &servers, &mut clients, placement, spec)?;
                outcome.rows.extend(row);
            }
        }
        drop(clients);
        for server in servers {
            server.stop()?;
        }
        Ok(outcome)
    }
}

fn connect(server: &Server) -> Result<Client> {
    let mut client = Client::connect(&server.socket)?;
    client.negotiate(QEMU_CAPABILITIES)?;
    Ok(client)
}

fn compare(
    run: &Run,
    servers: &[Server; 2],
    clients: &mut [Client; 2],
    placement: Placement,
    spec: &Spec,
) -> Result<Option<Row>> {
    let Cores { driver, forwarder } = run.cores;
    let client_core = match placement {
        Placement::TwoCores => driver,
        Placement::OneCore => forwarder,
    };
    let step = ui::Step::begin(spec.name.clone());
    let _pinned = cpu::pin_this_thread(client_core)?;
    for server in servers {
        cpu::pin_process(server.pid(), forwarder)?;
    }
    let mut times = [Vec::new(), Vec::new()];
    let rounds = Run {
        repetitions: run.repetitions.max(ROUNDS),
        ..*run
    };
    rounds.turns(&[0, 1], |&which: &usize, _| {
        times[which].push(round_trip(&mut clients[which])?);
        Ok(())
    })?;
    step.done();
    let ratios: Vec<f64> = times[0].iter().zip(&times[1]).map(|(a, b)| a / b).collect();
    let [ours, theirs] = times;
    let sides = (
        Side::new(servers[0].name, ours),
        Side::new(servers[1].name, theirs),
    );
    let (Some(ours), Some(theirs)) = sides else {
        return Ok(None);
    };
    let mut row = Row::new(spec.clone(), ours, Some(theirs));
    if let Some(Interval { mean, low, high }) = Interval::of(&ratios) {
        row.details = json!({ "ratio_mean": mean, "ratio_95_percent": [low, high] });
        ui::say(&format!(
            "{}: mean ratio {mean:.3}, 95% interval {low:.3} to {high:.3}",
            spec.name
        ));
    }
    Ok(Some(row))
}

/// Microseconds of one access, over one turn.
fn round_trip(client: &mut Client) -> Result<f64> {
    let mut value = [0; 4];
    let start = Instant::now();
    let mut count = 0_u32;
    loop {
        for _ in 0..BATCH {
            client.region_read(CONFIG_REGION, 0, &mut value)?;
        }
        count += BATCH;
        let spent = start.elapsed();
        if spent >= TURN {
            return Ok(spent.as_secs_f64() * 1e6 / f64::from(count));
        }
    }
}
