//! libcvf's counters and states as the engine shows them.

use libcvf::cvf::{
    Cvf, CvfStats, DmaFaults as CvfDmaFaults, HardwarePath, Health as CvfHealth,
    Memory as CvfMemory, QueueStats, SteeringState,
};
use libcvf::ledger;
use libcvf::pf::{Capabilities, PhysicalFunction};
use vfio_user_server::Observer;

use crate::engine::{
    Counters, DirectionStats, DmaFaults, GroupView, Hardware, Health, Memory, MostView,
    PairCounters, PfView, Refusal, Resource, Stats, Steering, UplinkView,
};
use crate::session::Visits;

fn direction(queue: &QueueStats) -> DirectionStats {
    DirectionStats {
        frames: queue.frames,
        bytes: queue.bytes,
        large_frames: queue.large,
        multicast: queue.multicast,
        broadcast: queue.broadcast,
        drops: queue
            .drops
            .iter()
            .map(|&(reason, count)| (reason.to_owned(), count))
            .collect(),
    }
}

fn counters(rx: &QueueStats, tx: &QueueStats) -> Counters {
    Counters {
        rx: direction(rx),
        tx: direction(tx),
        doorbells: rx.kicks + tx.kicks,
        interrupts: rx.interrupts + tx.interrupts,
    }
}

/// A device's counters, without its name.
pub(super) fn stats(cvf: &Cvf, observer: &Observer) -> Stats {
    let stats: CvfStats = cvf.stats();
    let pairs = stats.receive_queues.iter().zip(&stats.transmit_queues);
    let pair = |(pair, (rx, tx))| PairCounters {
        pair,
        counters: counters(rx, tx),
    };
    Stats {
        name: String::new(),
        sequence: 0,
        messages: observer.counters().requests.iter().map(|(_, n)| n).sum(),
        uncounted: !cvf.counts(),
        total: counters(&stats.receive, &stats.transmit),
        pairs: (0..).zip(pairs).map(pair).collect(),
    }
}

/// What the guest's driver does, and why the device was stopped under it.
pub(super) fn driver(health: &CvfHealth) -> String {
    match &health.reason {
        Some(reason) => format!("{}: {reason}", health.driver),
        None => health.driver.to_owned(),
    }
}

/// A device's health, from data plane, protocol and socket.
pub(super) fn health(cvf: &Cvf, observer: &Observer, visits: &Visits) -> Health {
    let health = cvf.health();
    let memory = match health.memory {
        CvfMemory::Unknown => Memory::Unknown,
        CvfMemory::Shared => Memory::Shared,
        CvfMemory::WithoutFd => Memory::WithoutFd,
        CvfMemory::NotShared => Memory::NotShared,
    };
    Health {
        client: visits.client(),
        driver: driver(&health),
        features: health
            .feature_names
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
        features_pending: health
            .pending_features
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
        memory,
        memory_advice: None,
        last_refusal: refusal(health.last_refusal, observer),
        maps: health.maps as u64,
        mapped_bytes: health.mapped_bytes,
        active_pairs: health.active_pairs,
        steering: steering(health.steering),
        mac: health.mac.to_string(),
        link_up: health.link_up,
        worker_polls: health.worker_polls,
        hardware: health.hardware.as_ref().map(hardware),
        data_path: health.data_path.to_owned(),
        data_path_reason: health.data_path_reason,
        unenforced: health
            .unenforced
            .iter()
            .map(|&what| what.to_owned())
            .collect(),
        dma_faults: health.dma_faults.map(faults),
        captures: cvf.taps() as u64,
        clients_served: visits.served(),
        clients_refused: visits.refused(),
        last_disconnect: visits.last(),
    }
}

fn steering(state: SteeringState) -> Steering {
    let names = state.types.names();
    Steering {
        key_by: state.key_by.as_str().to_owned(),
        table_by: state.table_by.as_str().to_owned(),
        rss: state.rss,
        hash_types: names.iter().map(|&name| name.to_owned()).collect(),
        table: state.table,
        unclassified: state.unclassified,
    }
}

/// What the device refused, and what the protocol refused before the device saw it.
fn refusal(device: Option<libcvf::cvf::Refusal>, observer: &Observer) -> Option<Refusal> {
    let messages = observer.counters().refused;
    let message = observer
        .last_refusal()
        // The device's own sentence says more.
        .filter(|last| device.is_none() || !last.reason.starts_with("the device refused"))
        .map(|last| {
            format!(
                "message {} refused with {:?}: {}",
                last.command, last.errno, last.reason
            )
        });
    let parts: Vec<String> = device
        .iter()
        .map(|device| device.what.clone())
        .chain(message)
        .collect();
    let count = messages.max(device.map_or(0, |device| device.count));
    (!parts.is_empty()).then(|| Refusal {
        what: parts.join("; "),
        count,
    })
}

fn most_each(capabilities: &Capabilities) -> Vec<MostView> {
    let Capabilities {
        most_pairs,
        filters,
        most_mtu: _,
        direct: _,
    } = *capabilities;
    let most = [
        (ledger::Resource::QueuePairs, most_pairs.map(u64::from)),
        (ledger::Resource::Filters, filters.map(u64::from)),
    ];
    let view = |(kind, count): (ledger::Resource, Option<u64>)| {
        Some(MostView {
            kind: kind.name().to_owned(),
            count: count?,
        })
    };
    most.into_iter().filter_map(view).collect()
}

fn hardware(path: &HardwarePath) -> Hardware {
    let mode = if path.reached > 0 {
        "translated"
    } else {
        "copied"
    };
    Hardware {
        mode: mode.to_owned(),
        reached_bytes: path.reached,
        why: path.unreached.clone(),
        tx_copied_bytes: path.copied_out,
        rx_copied_bytes: path.copied_in,
    }
}

fn faults(faults: CvfDmaFaults) -> DmaFaults {
    DmaFaults {
        count: faults.count,
        last: faults.last,
        unavailable: faults.unavailable,
    }
}

/// A PF with its capacity.
pub(super) fn pf(pf: &dyn PhysicalFunction, devices: u64, groups: Vec<GroupView>) -> PfView {
    let uplink = pf.uplink().map_or_else(
        || UplinkView {
            kind: "none".to_owned(),
            ..UplinkView::default()
        },
        |uplink| UplinkView {
            kind: uplink.kind.to_owned(),
            name: Some(uplink.name.clone()),
            bridge: uplink.bridge.clone(),
            up: uplink.carrier,
            rx: direction(&uplink.receive),
            tx: direction(&uplink.transmit),
        },
    );
    let capabilities = pf.capabilities();
    PfView {
        name: pf.name().to_owned(),
        kind: pf.kind().to_owned(),
        workers: pf.workers().into(),
        worker_loads: pf.fabric().loads().into_iter().map(u64::from).collect(),
        uplink,
        devices,
        resources: pf
            .inventory()
            .iter()
            .map(|(resource, total, free)| Resource {
                kind: resource.name().to_owned(),
                total: total.into(),
                free: free.into(),
            })
            .collect(),
        most_each: most_each(&capabilities),
        most_mtu: capabilities.most_mtu.map(u64::from),
        exclusive: pf.ledger().whole_of().map(|owner| owner.to_string()),
        groups,
        lost: pf.lost(),
    }
}
