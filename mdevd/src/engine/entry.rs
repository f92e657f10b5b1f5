//! One name in the catalog and how it is shown.

use std::sync::Arc;

use super::attributes::RateLimits;
use super::backend::Device;
use super::definition::{Definition, Word};
use super::hints;
use super::overrides::Overrides;
use super::view::{DeviceSummary, DeviceView, State, Stats};

/// What stands behind a name.
#[derive(Clone)]
pub(super) enum Entry {
    /// A command is at work on it: "creating", "changing" or "destroying", in the latter cases on this.
    Changing(&'static str, Option<Arc<Live>>),
    /// Composed.
    Live(Arc<Live>),
    /// Defined, not composed.
    Failed(Arc<Failed>),
}

/// A device that is there.
pub(super) struct Live {
    pub(super) definition: Definition,
    pub(super) device: Arc<dyn Device>,
}

/// A device that could not be rebuilt.
pub(super) struct Failed {
    /// `None`: the record itself could not be read.
    pub(super) definition: Option<Definition>,
    pub(super) reason: String,
}

impl Failed {
    /// The same once more.
    pub(super) fn again(&self) -> Self {
        Self {
            definition: self.definition.clone(),
            reason: self.reason.clone(),
        }
    }
}

impl Entry {
    pub(super) fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Changing(_, None) => None,
            Self::Changing(_, Some(live)) | Self::Live(live) => Some(&live.definition),
            Self::Failed(failed) => failed.definition.as_ref(),
        }
    }

    /// The device, where one is composed.
    pub(super) const fn live(&self) -> Option<&Arc<Live>> {
        match self {
            Self::Live(live) | Self::Changing(_, Some(live)) => Some(live),
            _ => None,
        }
    }

    pub(super) fn summary(&self, name: &str) -> DeviceSummary {
        let mut summary = match self.definition() {
            Some(definition) => defined(definition),
            None => blank(name),
        };
        match self {
            Self::Changing(..) => summary.state = State::Changing,
            Self::Failed(failed) => {
                summary.state = State::Failed;
                summary.reason = Some(failed.reason.clone());
            }
            Self::Live(live) => {
                let health = live.device.health();
                summary.driver = health.driver;
                summary.link = if health.link_up { "up" } else { "down" }.to_owned();
                summary.socket = live.device.socket().display().to_string();
                summary.state = live.state();
                if summary.state == State::Failed {
                    summary.reason = Some(format!(
                        "its socket {} was removed by somebody, so no VM can connect; destroy it and create \
                         it again",
                        summary.socket
                    ));
                }
            }
        }
        summary
    }

    /// Its counters; `None` while it changes.
    pub(super) fn stats(&self, name: &str) -> Option<Stats> {
        let stats = match self {
            Self::Changing(_, None) => return None,
            Self::Live(live) | Self::Changing(_, Some(live)) => live.device.stats(),
            Self::Failed(_) => Stats::default(),
        };
        Some(Stats {
            name: name.to_owned(),
            sequence: self
                .definition()
                .map_or(0, |definition| definition.sequence),
            ..stats
        })
    }

    pub(super) fn view(&self, name: &str) -> DeviceView {
        let mut view = DeviceView {
            summary: self.summary(name),
            doorbells: String::new(),
            interrupts: String::new(),
            ring_format: String::new(),
            socket_owner: None,
            socket_group: None,
            socket_mode: String::new(),
            qemu: String::new(),
            sequence: 0,
            link: String::new(),
            rates: RateLimits::default(),
            overrides: Overrides::default(),
            in_force: Vec::new(),
            health: None,
            notes: Vec::new(),
        };
        if let Some(definition) = self.definition() {
            view.doorbells = definition.doorbells.word().to_owned();
            view.interrupts = definition.interrupts.word().to_owned();
            view.ring_format = definition.ring_format.word().to_owned();
            view.socket_owner.clone_from(&definition.socket.owner);
            view.socket_group.clone_from(&definition.socket.group);
            view.socket_mode = format!("{:04o}", definition.socket.mode);
            view.sequence = definition.sequence;
            view.link = definition.link.word().to_owned();
            view.rates = definition.rates;
            view.overrides = definition.overrides;
            view.notes = hints::notes(definition);
        }
        if let Self::Live(live) = self {
            view.qemu = hints::qemu_device(name, &view.summary.socket, None);
            view.notes.push(hints::MIGRATE_NOTE.to_owned());
            let mut health = live.device.health();
            health.memory_advice = health.memory.advice().map(str::to_owned);
            view.health = Some(health);
        }
        view
    }
}

impl Live {
    pub(super) fn state(&self) -> State {
        if self.device.client().is_some() {
            State::Connected
        } else if self.device.reachable() {
            State::Ready
        } else {
            State::Failed
        }
    }
}

fn blank(name: &str) -> DeviceSummary {
    DeviceSummary {
        name: name.to_owned(),
        state: State::Changing,
        uuid: String::new(),
        pf: String::new(),
        personality: String::new(),
        queue_pairs: 0,
        mac: String::new(),
        mtu: 0,
        vlan: None,
        trunk: None,
        profile: String::new(),
        socket: String::new(),
        driver: String::new(),
        link: String::new(),
        reason: None,
    }
}

pub(super) fn defined(definition: &Definition) -> DeviceSummary {
    DeviceSummary {
        uuid: definition.uuid.to_string(),
        pf: definition.pf.clone(),
        personality: definition.personality.word().to_owned(),
        queue_pairs: definition.queue_pairs,
        mac: definition.mac.to_string(),
        mtu: definition.mtu,
        vlan: definition.vlan,
        trunk: definition.trunk.as_ref().map(ToString::to_string),
        profile: definition.profile.clone(),
        ..blank(&definition.name)
    }
}
