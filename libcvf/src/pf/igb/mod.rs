//! An 82576 (igb) as PF, over VFIO: its pools (VMDq) become slices.
//!
//! Owns the function while it lives: register set-up, the tables that say what goes to which pool, each pool's queues
//! and vector. Frames between devices never come here. Has met QEMU's model of the function, and no silicon.

mod family;
mod fill;
mod filters;
mod line;
mod nic;
mod regs;
mod send;

pub use filters::{AddressesFull, PoolFilter};

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use self::family::{Family, Virtual};
use self::fill::Fill;
use self::filters::Tables;
use self::line::{Line, PoolEvents};
use self::nic::Nic;
use self::regs::POOLS;
use self::send::Send;
use super::carrier::{CarrierWatcher, LinkState};
use super::dma::{DmaBlock, Window};
use super::error::{check_known, check_workers};
use super::loss::Sentry;
use super::vfio::{Container, Function, HostTree, PciAddress, VectorEvents, VfioError};
use super::{Capabilities, PfError, PhysicalFunction, Station, UplinkState};
use crate::dataplane::{
    Endpoint, Fabric, FillLane, HardwareFill, HardwareSend, LaneParts, Port, QueueCounters,
    QueueStats, SendLane, Slots, Uplink,
};
use crate::ledger::{Ledger, Request, Slice};
use crate::offload::FrameMeta;
use crate::ring::Payload;
use crate::switch::{PortConfig, PortId};

/// Identifiers of the functions that this drives: the 82576, copper.
pub const IDS: [(u16, u16); 1] = [(0x8086, 0x10c9)];

/// Descriptors of a transmit queue: a burst of the largest frames fits into half of it.
const SEND_RING: u32 = 2048;
/// Descriptors of a receive queue.
const FILL_RING: u32 = 1024;
/// Bytes of a slot: a frame of the usual MTU, and what a receive buffer may be (a multiple of 1024).
const SLOT: u32 = 2048;
/// Bytes of a frame in front of what an MTU counts: addresses, a tag, a type.
const LINK: u32 = 18;
/// What one device gets: a pool, an eighth of the addresses, and frames that fit into a slot.
const EACH: Capabilities = Capabilities {
    direct: false,
    most_pairs: Some(1),
    filters: Some(filters::SHARE as u32),
    most_mtu: Some((SLOT - LINK) as u16),
};

/// Bytes of memory that a device on it pins: its queues and their buffers.
pub const PINNED: u64 = (SEND_RING + FILL_RING) as u64 * (SLOT as u64 + regs::DESCRIPTOR as u64);

/// Devices that it can be cut into.
pub const DEVICES: u16 = POOLS;

/// An 82576 as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgbPfConfig {
    /// Name.
    pub name: String,
    /// Where it is.
    pub address: PciAddress,
    /// Worker threads.
    pub workers: u16,
}

/// The queues of a pool, each with buffers of ours.
pub struct PoolQueues {
    /// Out.
    pub send: (Box<dyn HardwareSend>, Slots),
    /// In.
    pub fill: (Box<dyn HardwareFill>, Slots),
}

/// What is at the switch for all that is outside. Devices have lanes of their own, so that nothing is sent through
/// this itself.
#[derive(Default)]
struct Outside {
    transmit: QueueCounters,
}

impl Uplink for Outside {
    fn send(&self, _: &FrameMeta, _: &[u8], _: Payload<'_>) {
        self.transmit.drop(crate::dataplane::Drop::Uplink);
    }

    fn counters(&self) -> &QueueCounters {
        &self.transmit
    }
}

/// Who has a pool.
#[derive(Default)]
struct Pools {
    /// By pool: hardware gives it no frame of a VLAN that is not its own.
    exact: [Arc<AtomicBool>; POOLS as usize],
    filters: [Option<PoolFilter>; POOLS as usize],
    tables: Tables,
}

/// An 82576 in use. When it is dropped, the function is reset.
pub struct IgbPf {
    config: IgbPfConfig,
    ledger: Arc<Ledger>,
    outside: Arc<Outside>,
    outside_port: PortId,
    link: Arc<LinkState>,
    pools: Mutex<Pools>,
    // In this order: the thread that hears interrupts ends first, the function is closed last.
    events: PoolEvents,
    sentry: Arc<Sentry>,
    fabric: Arc<Fabric>,
    nic: Arc<Nic>,
    /// By pool, where they are on.
    virtuals: Vec<Virtual>,
    function: Arc<Function>,
}

impl IgbPf {
    /// Opens the function and sets it up.
    ///
    /// # Errors
    /// [`PfError`]; nothing is left behind then.
    pub fn start(config: IgbPfConfig, tree: &HostTree) -> Result<Arc<Self>, PfError> {
        let name = || config.name.clone();
        check_workers(&config.name, config.workers)?;
        let vfio = |source| PfError::Vfio {
            name: name(),
            source: Box::new(source),
        };
        check_known(&config.name, (tree, config.address), ("igb", &IDS))?;
        let (function, virtuals) = family::open(tree, config.address).map_err(vfio)?;
        if function.vectors() < regs::VECTORS {
            return Err(vfio(VfioError::Lacks {
                address: config.address,
                what: format!(
                    "it has {} interrupt vectors, and {} are needed",
                    function.vectors(),
                    regs::VECTORS
                ),
            }));
        }
        let registers = Box::new(function.bar(0).map_err(vfio)?);
        let nic = Nic::new(registers, &config.name).with_virtuals(!virtuals.is_empty());
        let nic = Arc::new(nic);
        nic.set_up();
        let thread = |source| PfError::Thread {
            name: name(),
            source,
        };
        let vectors = VectorEvents::ours(regs::VECTORS).map_err(|errno| thread(errno.into()))?;
        if virtuals.is_empty() {
            function.set_vectors(&vectors).map_err(vfio)?;
        } else {
            let others = vectors.only(regs::VECTORS - 1);
            function.set_vectors(&others).map_err(vfio)?;
        }
        for (pool, one) in (0..).zip(&virtuals) {
            let vectors = vectors.only(pool);
            one.function.set_vectors(&vectors).map_err(vfio)?;
            one.nic.set_up_virtual();
        }
        // A cause from before has been told to nobody, and would keep the next from being told.
        nic.heard();
        let fabric = Fabric::start(&config.name, config.workers).map_err(thread)?;
        let outside = Arc::new(Outside::default());
        let endpoint = Endpoint::Uplink(Arc::clone(&outside) as _);
        let outside_port = fabric
            .attach(endpoint, PortConfig::uplink())
            .map_err(|source| PfError::Switch {
                name: name(),
                source,
            })?;
        let link = Arc::new(LinkState::new(&config.name, nic.link()));
        let family = Family::of(&function, &virtuals);
        let sentry = Sentry::new(&config.name, Arc::new(family) as _, &link, &fabric);
        let hardware = (Arc::clone(&nic), Arc::clone(&link));
        let events = PoolEvents::start(&config.name, &vectors, hardware, &fabric, &sentry)
            .map_err(thread)?;
        let totals = Request {
            queue_pairs: POOLS.into(),
            rss_domains: POOLS.into(),
            // Vectors and pages that guests see are the daemon's own: they are as many as eight devices can have.
            vectors: 4 * u32::from(POOLS),
            doorbell_pages: 3 * u32::from(POOLS),
            filters: regs::RAR_ENTRIES as u32,
        };
        Ok(Arc::new(Self {
            ledger: Ledger::new(&config.name, &totals),
            config,
            outside,
            outside_port,
            link,
            pools: Mutex::default(),
            events,
            sentry,
            fabric,
            nic,
            virtuals,
            function,
        }))
    }

    /// The IOMMU domain of a pool.
    fn container(&self, pool: u32) -> &Arc<Container> {
        let own = self.virtuals.get(pool as usize);
        own.map_or(&self.function, |one| &one.function).container()
    }

    /// The interrupt of a pool.
    fn line(&self, pool: u32) -> Line {
        match self.virtuals.get(pool as usize) {
            Some(one) => Line::new(Arc::clone(&one.nic), 0),
            None => Line::new(Arc::clone(&self.nic), pool),
        }
    }

    fn queues(&self, pool: u32) -> Result<PoolQueues, String> {
        let place = |count: u32| -> Result<(DmaBlock, Slots), String> {
            let ring = count as usize * regs::DESCRIPTOR;
            let block = DmaBlock::new(self.container(pool), ring + (count * SLOT) as usize);
            let block = block.map_err(|error| error.to_string())?;
            let iova = block.iova() + ring as u64;
            let slots = Slots::new(Arc::clone(block.memory()), ring, iova, (count, SLOT));
            Ok((block, slots))
        };
        let (send, send_slots) = place(SEND_RING)?;
        let (fill, fill_slots) = place(FILL_RING)?;
        let send = Send::new(Arc::clone(&self.nic), pool, send, SEND_RING);
        let fill = Fill::new(Arc::clone(&self.nic), pool, fill, (FILL_RING, SLOT));
        Ok(PoolQueues {
            send: (Box::new(send), send_slots),
            fill: (Box::new(fill), fill_slots),
        })
    }

    /// The queues of a slice for whoever works them without a device, in place of [`PhysicalFunction::equip`] and
    /// [`PhysicalFunction::seat`]: its pool takes part from now on, until [`PhysicalFunction::leave`].
    ///
    /// # Errors
    /// Why there are none, in words for the operator.
    pub fn bare(&self, slice: &Slice) -> Result<PoolQueues, String> {
        let pool = Self::pool(slice).ok_or("the slice has no queue pair of the function's")?;
        let queues = self.queues(pool)?;
        let _alone = self.pools.lock();
        self.nic.enable_pool(pool, true);
        Ok(queues)
    }

    /// The pool of a slice: its queue pair's number.
    fn pool(slice: &Slice) -> Option<u32> {
        slice
            .queue_pairs()
            .first()
            .map(u32::from)
            .filter(|pool| *pool < POOLS.into())
    }

    /// Puts filters in force.
    fn refilter(&self, pool: u32, filter: Option<PoolFilter>) -> Result<(), AddressesFull> {
        let mut pools = self.pools.lock();
        let mut next = pools.filters.clone();
        next[pool as usize % usize::from(POOLS)] = filter;
        let tables = Tables::of(&next, &pools.tables)?;
        if tables.vlans_overflow != pools.tables.vlans_overflow {
            self.nic.filter_vlans(!tables.vlans_overflow);
        }
        tables.put(&pools.tables, |register, value| {
            self.nic.write(register, value);
        });
        for (filter, exact) in next.iter().zip(&pools.exact) {
            // Without the hardware's filter a device gets tagged frames of every VLAN.
            let all = filter.as_ref().is_some_and(|filter| filter.vlans.is_none());
            exact.store(all || !tables.vlans_overflow, Ordering::Relaxed);
        }
        (pools.filters, pools.tables) = (next, tables);
        Ok(())
    }
}

impl PhysicalFunction for IgbPf {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn kind(&self) -> &'static str {
        "igb"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn fabric(&self) -> &Arc<Fabric> {
        &self.fabric
    }

    fn capabilities(&self) -> Capabilities {
        EACH
    }

    fn lost(&self) -> Option<String> {
        self.sentry.lost()
    }

    fn uplink(&self) -> Option<UplinkState> {
        Some(UplinkState {
            kind: "igb",
            name: self.config.address.to_string(),
            bridge: None,
            carrier: self.link.is_up(),
            receive: self.events.received(),
            transmit: QueueStats::of(self.outside.counters()),
        })
    }

    fn has_carrier(&self) -> bool {
        self.link.is_up()
    }

    fn watch_carrier(&self, watcher: CarrierWatcher) {
        self.link.watch(watcher);
    }

    fn workers(&self) -> u16 {
        self.config.workers
    }

    fn equip(&self, slice: &Slice) -> Result<Vec<LaneParts>, String> {
        if let Some(why) = self.lost() {
            return Err(why);
        }
        let pool = Self::pool(slice).ok_or("the slice has no queue pair of the function's")?;
        let PoolQueues { send, fill } = self.queues(pool)?;
        Ok(vec![LaneParts {
            send: SendLane::new(send.0, send.1),
            fill: FillLane::new(fill.0, fill.1),
            line: Arc::new(self.line(pool)),
            outside: self.outside_port,
            reaching: Some(Arc::new(Window::new(
                Arc::clone(self.container(pool)),
                pool,
            ))),
            exact: Arc::clone(&self.pools.lock().exact[pool as usize % usize::from(POOLS)]),
        }])
    }

    fn seat(&self, slice: &Slice, port: &Arc<Port>) {
        if let Some(pool) = Self::pool(slice) {
            self.events.seat(pool, Arc::downgrade(port));
            let _alone = self.pools.lock();
            self.nic.enable_pool(pool, true);
        }
    }

    fn leave(&self, slice: &Slice) {
        if let Some(pool) = Self::pool(slice) {
            let alone = self.pools.lock();
            self.nic.enable_pool(pool, false);
            drop(alone);
            self.events.seat(pool, Weak::new());
            // There is always room for less.
            let _ = self.refilter(pool, None);
        }
    }

    fn tune(&self, slice: &Slice, station: &Station) -> Result<(), String> {
        let pool = Self::pool(slice).ok_or("the slice has no queue pair of the function's")?;
        let filter = PoolFilter {
            macs: station.unicast.clone(),
            vlans: station.vlans.clone(),
            untagged: station.untagged,
            multicast: station.multicast,
            broadcast: station.broadcast,
            longest: station.longest.min(SLOT) as u16,
        };
        self.refilter(pool, Some(filter))
            .map_err(|error| error.to_string())
    }
}

impl Drop for IgbPf {
    fn drop(&mut self) {
        self.nic.reset();
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
