//! One name in the catalog and how it is shown.

use std::sync::Arc;

use super::backend::Device;
use super::definition::{Definition, Word};
use super::hints;
use super::view::{DeviceSummary, DeviceView, State};

/// What stands behind a name.
#[derive(Clone)]
pub(super) enum Entry {
    /// A command is at work on it: "creating" or "destroying".
    Changing(&'static str),
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

impl Entry {
    pub(super) fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Changing(_) => None,
            Self::Live(live) => Some(&live.definition),
            Self::Failed(failed) => failed.definition.as_ref(),
        }
    }

    pub(super) fn summary(&self, name: &str) -> DeviceSummary {
        let mut summary = match self.definition() {
            Some(definition) => defined(definition),
            None => blank(name),
        };
        match self {
            Self::Changing(_) => summary.state = State::Changing,
            Self::Failed(failed) => {
                summary.state = State::Failed;
                summary.reason = Some(failed.reason.clone());
            }
            Self::Live(live) => {
                summary.driver = live.device.health().driver;
                summary.socket = live.device.socket().display().to_string();
                summary.state = live.state();
            }
        }
        summary
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
        } else {
            State::Ready
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
        socket: String::new(),
        driver: String::new(),
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
        ..blank(&definition.name)
    }
}
