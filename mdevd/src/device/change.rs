//! A device made what its definition says now.

use std::sync::Arc;

use libcvf::cvf::{ChangeError, Cvf, GroupRate, PortPolicy};
use policies::Profile;

use super::gate::DeviceGate;
use super::policy::port_policy;
use crate::engine::{Definition, Personality};

/// Goes from one definition to another under a profile; `carrier` is that of its PF. Says what the guest loses by it or has to do.
///
/// # Errors
/// What refused; the device is as it was.
pub(super) fn change(
    cvf: &Cvf,
    gate: &DeviceGate,
    (from, to): (&Definition, &Definition),
    profile: &Arc<Profile>,
    (group, carrier): (Option<GroupRate>, bool),
) -> Result<Vec<String>, ChangeError> {
    let before = cvf.policy();
    let told = is_told(cvf);
    let policy = PortPolicy {
        group,
        ..port_policy(to, profile)
    };
    // Never in more VLANs than before or afterwards: a trunk is held to its own before it becomes one, and as
    // long as it is one.
    let moved = match to.vlan {
        None => cvf
            .set_policy(policy)
            .map_err(ChangeError::from)
            .and_then(|()| relocate(cvf, to)),
        Some(_) => relocate(cvf, to).and_then(|()| Ok(cvf.set_policy(policy)?)),
    };
    if let Err(error) = moved {
        let back = relocate(cvf, from).and_then(|()| Ok(cvf.set_policy(before)?));
        if let Err(also) = back {
            tracing::error!(
                device = to.name,
                uuid = %to.uuid,
                "a refused change is in force in part: {also}"
            );
        }
        return Err(error);
    }
    cvf.set_link(to.link.shown(carrier));
    gate.replace(profile, to.given());
    let mut notes = match to.personality {
        Personality::VirtioNet => notes(cvf, from, to),
        Personality::Avf => Vec::new(),
    };
    let lost = cvf.reconsider();
    if to.personality == Personality::Avf && told && !is_told(cvf) {
        notes.push(after_reset(from, to));
    }
    notes.extend(lost.into_iter().map(|denial| {
        let (name, reason) = (&to.name, denial.reason);
        format!("the guest of '{name}' lost what it had been allowed: {reason}")
    }));
    Ok(notes)
}

/// A driver knows what it may use, and would have to be told of something else.
fn is_told(cvf: &Cvf) -> bool {
    !cvf.health().feature_names.is_empty()
}

/// What a change led to that an adaptive virtual function was reset for.
fn after_reset(from: &Definition, to: &Definition) -> String {
    let reset = "the device has reset its function; the driver in the guest comes back by itself";
    let now = pairs(to);
    if now < pairs(from) {
        format!(
            "{reset}, with the queue pairs that it knows of, and frames come to {now} of them; it is told of no more than \
             those when it starts anew"
        )
    } else {
        reset.to_owned()
    }
}

/// Queue pairs that the guest may use.
fn pairs(definition: &Definition) -> u16 {
    let limit = definition.tuning.queue_pairs;
    limit.unwrap_or(definition.queue_pairs)
}

/// Address, VLAN and MTU. Each says whether it is so already.
fn relocate(cvf: &Cvf, to: &Definition) -> Result<(), ChangeError> {
    cvf.set_vlan(to.vlan, to.vlan_tag.into())?;
    cvf.set_mac(to.mac)?;
    cvf.set_mtu(to.mtu)?;
    Ok(())
}

/// What a running driver has to do with a change.
fn notes(cvf: &Cvf, from: &Definition, to: &Definition) -> Vec<String> {
    let mut notes = Vec::new();
    if cvf.health().driver != "running" {
        return notes;
    }
    if from.mac != to.mac {
        notes.push(format!(
            "the driver in the guest goes on with address {} until it starts anew (restart the VM, or \
             unload and load its driver); what it sends with it may be dropped",
            from.mac
        ));
    }
    let pending = cvf.health().pending_features;
    if from.tuning != to.tuning && !pending.is_empty() {
        notes.push(format!(
            "the driver in the guest keeps {} until it starts anew",
            pending.join(" ")
        ));
    }
    if pairs(from) != pairs(to) {
        notes.push(format!(
            "the driver in the guest is told of {} queue pairs when it starts anew; until then it may ask for as \
             many of those that it knows of",
            pairs(to)
        ));
    }
    let (given, seen) = cvf.mtu();
    if given != seen {
        notes.push(format!(
            "the driver in the guest goes on with MTU {seen} until it starts anew"
        ));
    }
    notes
}
