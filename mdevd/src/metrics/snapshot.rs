//! All that a scrape tells, as it was at one moment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::process::ProcessShot;
use crate::engine::{Engine, PfView, Sample, State, Stats};
use crate::limits::MAX_PAGE;

/// One device.
#[derive(Clone, Debug)]
pub struct DeviceShot {
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// PF.
    pub pf: String,
    /// Personality.
    pub personality: String,
    /// MAC address as defined.
    pub mac: String,
    /// The group that it shares a rate with.
    pub group: Option<String>,
    /// State.
    pub state: State,
    /// How it fares, where it is composed.
    pub live: Option<LiveShot>,
    /// Its counters, where it is composed.
    pub stats: Option<Stats>,
}

/// How a composed device fares, in numbers.
#[derive(Clone, Copy, Debug)]
pub struct LiveShot {
    /// The guest's driver runs.
    pub running: bool,
    /// The device was stopped for what its guest or client did.
    pub needs_reset: bool,
    /// The link is shown as up.
    pub link_up: bool,
    /// A worker polls for it.
    pub polled: bool,
    /// Queue pairs the driver uses.
    pub active_pairs: u16,
    /// Bytes of guest memory that are mapped.
    pub mapped_bytes: u64,
    /// Clients served so far.
    pub clients: u64,
    /// Clients turned away.
    pub turned_away: u64,
    /// Requests of guest or client that were refused.
    pub refusals: u64,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the daemon was started, in seconds since the epoch.
    pub started: f64,
    /// Scrapes that were refused because there were too many at a time.
    pub refused_scrapes: u64,
    /// The process.
    pub process: ProcessShot,
    /// The PFs.
    pub pfs: Vec<PfView>,
    /// The devices, in the order of names.
    pub devices: Vec<DeviceShot>,
}

impl Snapshot {
    /// Asks `engine`, page by page. May take some milliseconds per thousand devices.
    pub fn take(engine: &dyn Engine, started: SystemTime, refused_scrapes: u64) -> Self {
        let mut devices: Vec<DeviceShot> = Vec::new();
        loop {
            let after = devices.last().map_or("", |last| last.name.as_str());
            let page = engine.samples(after, MAX_PAGE);
            let last = page.len() < MAX_PAGE;
            devices.extend(page.into_iter().map(DeviceShot::of));
            if last {
                break;
            }
        }
        Self {
            started: started
                .duration_since(UNIX_EPOCH)
                .unwrap_or(Duration::ZERO)
                .as_secs_f64(),
            refused_scrapes,
            process: ProcessShot::take(),
            pfs: engine.pfs(),
            devices,
        }
    }

    /// Devices in `state`.
    pub fn count(&self, state: State) -> usize {
        self.devices
            .iter()
            .filter(|device| device.state == state)
            .count()
    }
}

impl DeviceShot {
    fn of(sample: Sample) -> Self {
        let summary = sample.summary;
        Self {
            group: sample.group,
            name: summary.name,
            uuid: summary.uuid,
            pf: summary.pf,
            personality: summary.personality,
            mac: summary.mac,
            state: summary.state,
            live: sample.health.map(|health| LiveShot {
                running: health.driver == "running",
                needs_reset: health.driver.starts_with("needs reset"),
                link_up: health.link_up,
                polled: health.worker_polls,
                active_pairs: health.active_pairs,
                mapped_bytes: health.mapped_bytes,
                clients: health.clients_served,
                turned_away: health.clients_refused,
                refusals: health.last_refusal.map_or(0, |refusal| refusal.count),
            }),
            stats: sample.stats,
        }
    }
}
