//! A PF in software: queues, vectors and doorbells are counted, not made of silicon.

use std::sync::Arc;

use super::error::{PfError, check_workers};
use super::tap::{Tap, TapConfig, TapReader};
use super::{CarrierWatcher, PhysicalFunction, UplinkState};
use crate::dataplane::{Endpoint, Fabric};
use crate::ledger::{Ledger, Request};
use crate::limits::{MAX_FILTER_MACS, MAX_PF_QUEUE_PAIRS};
use crate::switch::PortConfig;

/// The way out of a soft PF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UplinkConfig {
    /// None: its devices reach each other only.
    #[default]
    None,
    /// A TAP interface.
    Tap(TapConfig),
}

/// A soft PF as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftPfConfig {
    /// Name.
    pub name: String,
    /// Queue pairs to slice; the other resources follow unless given.
    pub queue_pairs: u32,
    /// RSS domains, one per device.
    pub rss_domains: Option<u32>,
    /// Interrupt vectors.
    pub vectors: Option<u32>,
    /// Doorbell pages.
    pub doorbell_pages: Option<u32>,
    /// Filter entries.
    pub filters: Option<u32>,
    /// Worker threads.
    pub workers: u16,
    /// The way out.
    pub uplink: UplinkConfig,
}

impl SoftPfConfig {
    /// 64 queue pairs, one worker, no way out.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue_pairs: 64,
            rss_domains: None,
            vectors: None,
            doorbell_pages: None,
            filters: None,
            workers: 1,
            uplink: UplinkConfig::None,
        }
    }

    /// What its ledger has.
    pub(super) fn totals(&self) -> Request {
        let pairs = self.queue_pairs;
        Request {
            queue_pairs: pairs,
            rss_domains: self.rss_domains.unwrap_or(pairs),
            // Two vectors a pair, two more for each device: enough for devices of one pair.
            vectors: self.vectors.unwrap_or(4 * pairs),
            doorbell_pages: self.doorbell_pages.unwrap_or(3 * pairs),
            filters: self.filters.unwrap_or(MAX_FILTER_MACS as u32 * pairs),
        }
    }
}

/// A running soft PF. Its threads end when it is dropped.
pub struct SoftPf {
    config: SoftPfConfig,
    ledger: Arc<Ledger>,
    uplink: Option<Arc<Tap>>,
    // In this order: the reader ends before the fabric goes.
    _reader: Option<TapReader>,
    fabric: Arc<Fabric>,
}

impl SoftPf {
    /// Starts workers and the way out.
    ///
    /// # Errors
    /// [`PfError`]; nothing is left behind then.
    pub fn start(config: SoftPfConfig) -> Result<Arc<Self>, PfError> {
        let name = || config.name.clone();
        if !(1..=MAX_PF_QUEUE_PAIRS).contains(&config.queue_pairs) {
            return Err(PfError::QueuePairs {
                name: name(),
                count: config.queue_pairs,
            });
        }
        check_workers(&config.name, config.workers)?;
        let thread = |source| PfError::Thread {
            name: name(),
            source,
        };
        let fabric = Fabric::start(&config.name, config.workers).map_err(thread)?;
        let (mut uplink, mut reader) = (None, None);
        if let UplinkConfig::Tap(tap) = &config.uplink {
            let tap = Tap::open(tap).map_err(|source| PfError::Tap {
                name: name(),
                source,
            })?;
            let tap = Arc::new(tap);
            let endpoint = Endpoint::Uplink(Arc::clone(&tap) as _);
            let port = fabric
                .attach(endpoint, PortConfig::uplink())
                .map_err(|source| PfError::Switch {
                    name: name(),
                    source,
                })?;
            let started = TapReader::start(Arc::clone(&tap), port, Arc::downgrade(&fabric));
            reader = Some(started.map_err(thread)?);
            uplink = Some(tap);
        }
        let ledger = Ledger::new(&config.name, &config.totals());
        Ok(Arc::new(Self {
            config,
            ledger,
            uplink,
            _reader: reader,
            fabric,
        }))
    }
}

impl PhysicalFunction for SoftPf {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn kind(&self) -> &'static str {
        "soft"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }

    fn uplink(&self) -> Option<UplinkState> {
        self.uplink.as_ref().map(|tap| tap.state())
    }

    fn has_carrier(&self) -> bool {
        self.uplink.as_ref().is_none_or(|tap| tap.carrier().is_up())
    }

    fn watch_carrier(&self, watcher: CarrierWatcher) {
        if let Some(tap) = &self.uplink {
            tap.carrier().watch(watcher);
        }
    }

    fn workers(&self) -> u16 {
        self.config.workers
    }
}
