//! Devices, PFs and jobs as properties.

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Value};

use super::super::convert::Dict;
use crate::engine::{DeviceView, JobView, PfView};

/// A value that holds no file descriptor can always be owned.
fn own(value: impl Into<Value<'static>>) -> OwnedValue {
    let value: Value<'static> = value.into();
    value
        .try_into_owned()
        .unwrap_or_else(|_| OwnedValue::from(false))
}

fn dict<const N: usize>(properties: [(&str, Value<'static>); N]) -> Dict {
    properties
        .into_iter()
        .map(|(name, value)| (name.to_owned(), own(value)))
        .collect()
}

/// Properties of `io.mdevd1.Device`. What is absent is empty or 0.
pub(super) fn of_device(view: DeviceView) -> Dict {
    let device = view.summary;
    let decision = |key| view.overrides.word(key).unwrap_or_default();
    let [spoof_check, trust, promiscuous, multicast] =
        ["spoof_check", "trust", "promiscuous", "multicast"].map(decision);
    let link_up = view.health.as_ref().is_some_and(|health| health.link_up);
    dict([
        ("Name", device.name.into()),
        ("Uuid", device.uuid.into()),
        ("State", device.state.word().into()),
        ("Reason", device.reason.unwrap_or_default().into()),
        ("Pf", device.pf.into()),
        ("Personality", device.personality.into()),
        ("QueuePairs", device.queue_pairs.into()),
        ("Mac", device.mac.into()),
        ("Mtu", device.mtu.into()),
        ("Vlan", device.vlan.unwrap_or(0).into()),
        ("Socket", device.socket.into()),
        ("Driver", device.driver.into()),
        ("LinkUp", link_up.into()),
        ("Persistent", device.persistent.into()),
        ("Start", device.start.into()),
        ("Order", device.order.into()),
        ("SpoofCheck", spoof_check.into()),
        ("Trust", trust.into()),
        ("Promiscuous", promiscuous.into()),
        ("Multicast", multicast.into()),
        ("DataPath", view.data_path.into()),
        ("Group", view.group.unwrap_or_default().into()),
        ("TxShare", view.tx_share.unwrap_or(0).into()),
    ])
}

/// Properties of `io.mdevd1.Pf`.
pub(super) fn of_pf(pf: PfView) -> Dict {
    let resources: HashMap<String, (u64, u64)> = pf
        .resources
        .into_iter()
        .map(|resource| (resource.kind, (resource.total, resource.free)))
        .collect();
    let groups: HashMap<String, (u64, u64, u64)> = pf
        .groups
        .into_iter()
        .map(|group| {
            let numbers = (group.tx_mbit, group.guaranteed_mbit, group.devices);
            (group.name, numbers)
        })
        .collect();
    dict([
        ("Name", pf.name.into()),
        ("Kind", pf.kind.into()),
        ("Workers", pf.workers.into()),
        ("UplinkKind", pf.uplink.kind.into()),
        ("UplinkName", pf.uplink.name.unwrap_or_default().into()),
        ("UplinkUp", pf.uplink.up.into()),
        ("Devices", pf.devices.into()),
        ("Resources", resources.into()),
        ("Groups", groups.into()),
        ("Exclusive", pf.exclusive.unwrap_or_default().into()),
    ])
}

/// Properties of `io.mdevd1.Job`. What is absent is empty or 0.
pub(super) fn of_job(job: &JobView) -> Dict {
    let error = job.error.clone();
    let (name, message) = error.map_or_else(Default::default, |error| (error.name, error.message));
    dict([
        ("Id", job.id.into()),
        ("Method", job.method.clone().into()),
        ("Device", job.device.clone().into()),
        ("State", job.state.word().into()),
        ("Progress", Value::from((job.done, job.total))),
        ("Uid", job.uid.into()),
        ("AskedAt", job.asked_us.into()),
        ("StartedAt", job.started_us.unwrap_or(0).into()),
        ("EndedAt", job.ended_us.unwrap_or(0).into()),
        ("Error", name.into()),
        ("Message", message.into()),
    ])
}

/// Properties of `io.mdevd1.Manager`.
pub(super) fn of_manager(limit: usize, left_out: usize) -> Dict {
    dict([
        ("Version", env!("CARGO_PKG_VERSION").into()),
        ("Api", super::super::API.into()),
        ("ObjectLimit", (limit as u64).into()),
        ("ObjectsLeftOut", (left_out as u64).into()),
    ])
}
