//! Every metric, once: name, kind, help, labels, and where its samples come from.
//!
//! `docs/metrics.md` lists the same; a test holds one against the other.

use super::family::{Family, Kind, daemon, device, pf};
use super::snapshot::{DeviceShot, LiveShot};
use super::text::Samples;
use crate::engine::{Counters, DirectionStats, GroupView, PairCounters, PfView, State};

const CVF: &[&str] = &["cvf"];
const QUEUE: &[&str] = &["cvf", "queue"];
const DROP: &[&str] = &["cvf", "queue", "reason"];
const PF: &[&str] = &["pf"];
const GROUP: &[&str] = &["pf", "group"];
const BITS_PER_MBIT: u64 = 1_000_000;
const UPLINK: &[&str] = &["pf", "interface"];
const UPLINK_DROP: &[&str] = &["pf", "interface", "reason"];
const STATES: [State; 5] = [
    State::Ready,
    State::Connected,
    State::Defined,
    State::Failed,
    State::Changing,
];

/// A number of a composed device.
fn live(device: &DeviceShot, samples: &mut Samples<'_>, number: fn(&LiveShot) -> u64) {
    samples.add_some(&[&device.name], device.live.as_ref().map(number));
}

/// A number of each of its queue pairs.
fn queues(device: &DeviceShot, samples: &mut Samples<'_>, number: fn(&Counters) -> u64) {
    for PairCounters { pair, counters } in device.stats.iter().flat_map(|stats| &stats.pairs) {
        samples.add(&[&device.name, pair], number(counters));
    }
}

/// What each of its queues dropped, by reason.
fn drops(device: &DeviceShot, samples: &mut Samples<'_>, side: fn(&Counters) -> &DirectionStats) {
    for PairCounters { pair, counters } in device.stats.iter().flat_map(|stats| &stats.pairs) {
        for (reason, count) in &side(counters).drops {
            samples.add(&[&device.name, pair, reason], count);
        }
    }
}

/// A number of each group on a PF. The configuration names them, so they are few.
fn groups(pf: &PfView, samples: &mut Samples<'_>, number: fn(&GroupView) -> u64) {
    for group in &pf.groups {
        samples.add(&[&pf.name, &group.name], number(group));
    }
}

/// A number of a PF's uplink, if it has one.
fn uplink(pf: &PfView, samples: &mut Samples<'_>, number: fn(&PfView) -> u64) {
    if let Some(name) = &pf.uplink.name {
        samples.add(&[&pf.name, name], number(pf));
    }
}

fn uplink_drops(pf: &PfView, samples: &mut Samples<'_>, side: fn(&PfView) -> &DirectionStats) {
    if let Some(name) = &pf.uplink.name {
        for (reason, count) in &side(pf).drops {
            samples.add(&[&pf.name, name, reason], count);
        }
    }
}

/// Every metric, in the order in which they are written.
pub static FAMILIES: &[Family] = &[
    daemon(
        "mdevd_build_info",
        Kind::Gauge,
        "Always 1; the version is the label.",
        &["version"],
        |_, samples| {
            samples.add(&[&env!("CARGO_PKG_VERSION")], 1);
        },
    ),
    daemon(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the daemon was started, in seconds since the epoch.",
        &[],
        |all, samples| {
            samples.add(&[], all.started);
        },
    ),
    daemon(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time of the daemon, workers included.",
        &[],
        |all, samples| {
            samples.add_some(&[], all.process.cpu_seconds);
        },
    ),
    daemon(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of the daemon that is present, shared guest memory included.",
        &[],
        |all, samples| {
            samples.add_some(&[], all.process.resident_bytes);
        },
    ),
    daemon(
        "process_open_fds",
        Kind::Gauge,
        "Open files of the daemon.",
        &[],
        |all, samples| {
            samples.add_some(&[], all.process.open_files);
        },
    ),
    daemon(
        "process_max_fds",
        Kind::Gauge,
        "Most files that the daemon can have open.",
        &[],
        |all, samples| {
            samples.add_some(&[], all.process.max_files);
        },
    ),
    daemon(
        "mdevd_scrapes_refused_total",
        Kind::Counter,
        "Scrapes refused because there were too many at a time.",
        &[],
        |all, samples| {
            samples.add(&[], all.refused_scrapes);
        },
    ),
    daemon(
        "mdevd_cvfs",
        Kind::Gauge,
        "Devices by state.",
        &["state"],
        |all, samples| {
            for state in STATES {
                samples.add(&[&state.word()], all.count(state));
            }
        },
    ),
    pf(
        "mdevd_pf_info",
        Kind::Gauge,
        "Always 1; what kind of PF it is.",
        &["pf", "kind"],
        |pf, samples| {
            samples.add(&[&pf.name, &pf.kind], 1);
        },
    ),
    pf(
        "mdevd_pf_cvfs",
        Kind::Gauge,
        "Devices cut from the PF.",
        PF,
        |pf, samples| {
            samples.add(&[&pf.name], pf.devices);
        },
    ),
    pf(
        "mdevd_pf_resources",
        Kind::Gauge,
        "How many of a resource the PF has.",
        &["pf", "resource"],
        |pf, samples| {
            for resource in &pf.resources {
                samples.add(&[&pf.name, &resource.kind], resource.total);
            }
        },
    ),
    pf(
        "mdevd_pf_resources_free",
        Kind::Gauge,
        "How many of them are not part of a device.",
        &["pf", "resource"],
        |pf, samples| {
            for resource in &pf.resources {
                samples.add(&[&pf.name, &resource.kind], resource.free);
            }
        },
    ),
    pf(
        "mdevd_group_transmit_limit_bits_per_second",
        Kind::Gauge,
        "What the devices of the group may send together on the PF.",
        GROUP,
        |pf, samples| {
            groups(pf, samples, |group| group.tx_mbit * BITS_PER_MBIT);
        },
    ),
    pf(
        "mdevd_group_guaranteed_bits_per_second",
        Kind::Gauge,
        "What of it is guaranteed to single devices.",
        GROUP,
        |pf, samples| {
            groups(pf, samples, |group| group.guaranteed_mbit * BITS_PER_MBIT);
        },
    ),
    pf(
        "mdevd_group_cvfs",
        Kind::Gauge,
        "Devices of the group on the PF.",
        GROUP,
        |pf, samples| {
            groups(pf, samples, |group| group.devices);
        },
    ),
    pf(
        "mdevd_pf_worker_busy_ratio",
        Kind::Gauge,
        "What share of its time a worker had something to do lately, 0 to 1.",
        &["pf", "worker"],
        |pf, samples| {
            for (worker, load) in pf.worker_loads.iter().enumerate() {
                samples.add(&[&pf.name, &worker], *load as f64 / 1000.0);
            }
        },
    ),
    pf(
        "mdevd_uplink_up",
        Kind::Gauge,
        "1 if frames can pass the uplink.",
        UPLINK,
        |pf, samples| {
            uplink(pf, samples, |pf| pf.uplink.up.into());
        },
    ),
    pf(
        "mdevd_uplink_receive_packets_total",
        Kind::Counter,
        "Frames that came in through the uplink.",
        UPLINK,
        |pf, samples| {
            uplink(pf, samples, |pf| pf.uplink.rx.frames);
        },
    ),
    pf(
        "mdevd_uplink_receive_bytes_total",
        Kind::Counter,
        "Bytes of them.",
        UPLINK,
        |pf, samples| {
            uplink(pf, samples, |pf| pf.uplink.rx.bytes);
        },
    ),
    pf(
        "mdevd_uplink_receive_dropped_packets_total",
        Kind::Counter,
        "Frames from the uplink that were dropped, by reason.",
        UPLINK_DROP,
        |pf, samples| {
            uplink_drops(pf, samples, |pf| &pf.uplink.rx);
        },
    ),
    pf(
        "mdevd_uplink_transmit_packets_total",
        Kind::Counter,
        "Frames that went out through the uplink.",
        UPLINK,
        |pf, samples| {
            uplink(pf, samples, |pf| pf.uplink.tx.frames);
        },
    ),
    pf(
        "mdevd_uplink_transmit_bytes_total",
        Kind::Counter,
        "Bytes of them.",
        UPLINK,
        |pf, samples| {
            uplink(pf, samples, |pf| pf.uplink.tx.bytes);
        },
    ),
    pf(
        "mdevd_uplink_transmit_dropped_packets_total",
        Kind::Counter,
        "Frames to the uplink that were dropped, by reason.",
        UPLINK_DROP,
        |pf, samples| {
            uplink_drops(pf, samples, |pf| &pf.uplink.tx);
        },
    ),
    device(
        "mdevd_cvf_info",
        Kind::Gauge,
        "Always 1; what the device is.",
        &["cvf", "uuid", "pf", "personality", "mac"],
        |device, samples| {
            samples.add(
                &[
                    &device.name,
                    &device.uuid,
                    &device.pf,
                    &device.personality,
                    &device.mac,
                ],
                1,
            );
        },
    ),
    device(
        "mdevd_cvf_group",
        Kind::Gauge,
        "Always 1 for a device in a group; the group is the label.",
        &["cvf", "group"],
        |device, samples| {
            if let Some(group) = &device.group {
                samples.add(&[&device.name, group], 1);
            }
        },
    ),
    device(
        "mdevd_cvf_state",
        Kind::Gauge,
        "1 for the state that the device is in, 0 for the others.",
        &["cvf", "state"],
        |device, samples| {
            for state in STATES {
                samples.add(
                    &[&device.name, &state.word()],
                    u8::from(device.state == state),
                );
            }
        },
    ),
    device(
        "mdevd_cvf_driver_running",
        Kind::Gauge,
        "1 if the guest's driver runs.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.running.into());
        },
    ),
    device(
        "mdevd_cvf_needs_reset",
        Kind::Gauge,
        "1 if the device was stopped for what its guest or client did.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.needs_reset.into());
        },
    ),
    device(
        "mdevd_cvf_link_up",
        Kind::Gauge,
        "1 if the guest is shown a link.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.link_up.into());
        },
    ),
    device(
        "mdevd_cvf_polled",
        Kind::Gauge,
        "1 if a worker polls for the device and keeps a processor busy.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.polled.into());
        },
    ),
    device(
        "mdevd_cvf_active_queue_pairs",
        Kind::Gauge,
        "Queue pairs that the guest's driver uses.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.active_pairs.into());
        },
    ),
    device(
        "mdevd_cvf_mapped_bytes",
        Kind::Gauge,
        "Guest memory that the device can reach.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.mapped_bytes);
        },
    ),
    device(
        "mdevd_cvf_clients_total",
        Kind::Counter,
        "Clients served.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.clients);
        },
    ),
    device(
        "mdevd_cvf_clients_turned_away_total",
        Kind::Counter,
        "Clients turned away because one was there.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.turned_away);
        },
    ),
    device(
        "mdevd_cvf_refusals_total",
        Kind::Counter,
        "Requests of guest or client that were refused.",
        CVF,
        |device, samples| {
            live(device, samples, |live| live.refusals);
        },
    ),
    device(
        "mdevd_cvf_client_messages_total",
        Kind::Counter,
        "Messages of clients: register accesses, trapped doorbells, maps.",
        CVF,
        |device, samples| {
            samples.add_some(
                &[&device.name],
                device.stats.as_ref().map(|stats| stats.messages),
            );
        },
    ),
    device(
        "mdevd_cvf_receive_packets_total",
        Kind::Counter,
        "Frames that the guest received.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.rx.frames);
        },
    ),
    device(
        "mdevd_cvf_receive_bytes_total",
        Kind::Counter,
        "Bytes of them, without virtio headers.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.rx.bytes);
        },
    ),
    device(
        "mdevd_cvf_receive_large_packets_total",
        Kind::Counter,
        "Large-send frames among them that came uncut.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.rx.large_frames);
        },
    ),
    device(
        "mdevd_cvf_receive_multicast_packets_total",
        Kind::Counter,
        "Multicast frames among them.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.rx.multicast);
        },
    ),
    device(
        "mdevd_cvf_receive_broadcast_packets_total",
        Kind::Counter,
        "Broadcast frames among them.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.rx.broadcast);
        },
    ),
    device(
        "mdevd_cvf_receive_dropped_packets_total",
        Kind::Counter,
        "Frames to the guest that were dropped, by reason.",
        DROP,
        |device, samples| {
            drops(device, samples, |counters| &counters.rx);
        },
    ),
    device(
        "mdevd_cvf_transmit_packets_total",
        Kind::Counter,
        "Frames that the guest sent.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.tx.frames);
        },
    ),
    device(
        "mdevd_cvf_transmit_bytes_total",
        Kind::Counter,
        "Bytes of them, without virtio headers.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.tx.bytes);
        },
    ),
    device(
        "mdevd_cvf_transmit_large_packets_total",
        Kind::Counter,
        "Large-send frames among them.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.tx.large_frames);
        },
    ),
    device(
        "mdevd_cvf_transmit_multicast_packets_total",
        Kind::Counter,
        "Multicast frames among them.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.tx.multicast);
        },
    ),
    device(
        "mdevd_cvf_transmit_broadcast_packets_total",
        Kind::Counter,
        "Broadcast frames among them.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.tx.broadcast);
        },
    ),
    device(
        "mdevd_cvf_transmit_dropped_packets_total",
        Kind::Counter,
        "Frames of the guest that were dropped, by reason.",
        DROP,
        |device, samples| {
            drops(device, samples, |counters| &counters.tx);
        },
    ),
    device(
        "mdevd_cvf_doorbells_total",
        Kind::Counter,
        "Doorbells of the guest that reached the data plane.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.doorbells);
        },
    ),
    device(
        "mdevd_cvf_interrupts_total",
        Kind::Counter,
        "Interrupts sent to the guest.",
        QUEUE,
        |device, samples| {
            queues(device, samples, |counters| counters.interrupts);
        },
    ),
];
