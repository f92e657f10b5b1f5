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
    /// A command is at work on it.
    Changing(Arc<Changing>),
    /// Composed.
    Live(Arc<Live>),
    /// Defined, not started.
    Defined(Arc<Definition>),
    /// To be composed, and could not be.
    Failed(Arc<Failed>),
}

/// What stands behind a name while a command is at work on it: what did before, which goes on meanwhile, or what is being
/// made.
pub(super) struct Changing {
    /// "creating", "changing".
    pub(super) doing: &'static str,
    /// Absent where the record cannot be read, and where something is composed, which has its own.
    definition: Option<Arc<Definition>>,
    live: Option<Arc<Live>>,
    /// Nothing was there: nobody was told of it yet, and it may come to nothing.
    pub(super) new: bool,
    /// The profile that it is to have, which may be another one; it counts as used.
    pub(super) profile: Option<String>,
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
    /// What stands here while `doing` is done to it.
    pub(super) fn changing(&self, doing: &'static str) -> Self {
        let definition = match self.live() {
            None => self.definition().cloned().map(Arc::new),
            Some(_) => None,
        };
        Self::Changing(Arc::new(Changing {
            doing,
            definition,
            live: self.live().cloned(),
            new: false,
            profile: None,
        }))
    }

    /// The same while it becomes what `to` says, or is made, where there is nothing before.
    pub(super) fn becoming(before: Option<&Self>, doing: &'static str, to: &Definition) -> Self {
        let live = before.and_then(Self::live).cloned();
        let definition = match (&live, before.map(Self::definition)) {
            (Some(_), _) => None,
            (None, Some(definition)) => definition.cloned(),
            (None, None) => Some(to.clone()),
        };
        Self::Changing(Arc::new(Changing {
            doing,
            definition: definition.map(Arc::new),
            live,
            new: before.is_none(),
            profile: Some(to.profile.clone()),
        }))
    }

    pub(super) fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Live(live) => Some(&live.definition),
            Self::Changing(changing) => match &changing.live {
                Some(live) => Some(&live.definition),
                None => changing.definition.as_deref(),
            },
            Self::Defined(definition) => Some(definition),
            Self::Failed(failed) => failed.definition.as_ref(),
        }
    }

    /// The definition that is kept: not one of what is being made.
    pub(super) fn kept(&self) -> Option<&Definition> {
        match self {
            Self::Changing(changing) if changing.new => None,
            entry => entry.definition(),
        }
    }

    /// The device, where one is composed.
    pub(super) fn live(&self) -> Option<&Arc<Live>> {
        match self {
            Self::Live(live) => Some(live),
            Self::Changing(changing) => changing.live.as_ref(),
            Self::Defined(_) | Self::Failed(_) => None,
        }
    }

    /// Profiles that count as used by it.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &str> {
        let own = self.definition().map(|definition| &*definition.profile);
        let next = match self {
            Self::Changing(changing) => changing.profile.as_deref(),
            _ => None,
        };
        own.into_iter()
            .chain(next.filter(move |next| own != Some(*next)))
    }

    pub(super) fn summary(&self, name: &str) -> DeviceSummary {
        let mut summary = match self.definition() {
            Some(definition) => defined(definition),
            None => blank(name),
        };
        if let Some(live) = self.live() {
            let health = live.device.health();
            summary.driver = health.driver;
            summary.link = if health.link_up { "up" } else { "down" }.to_owned();
            summary.socket = live.device.socket().display().to_string();
        }
        match self {
            Self::Changing(_) => summary.state = State::Changing,
            Self::Defined(_) => summary.state = State::Defined,
            Self::Failed(failed) => {
                summary.state = State::Failed;
                summary.reason = Some(failed.reason.clone());
            }
            Self::Live(live) => {
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

    /// Its counters; `None` while something is composed or taken away.
    pub(super) fn stats(&self, name: &str) -> Option<Stats> {
        let stats = match (self, self.live()) {
            (_, Some(live)) => live.device.stats(),
            (Self::Changing(_), None) => return None,
            (_, None) => Stats::default(),
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
            data_path: String::new(),
            socket_owner: None,
            socket_group: None,
            socket_mode: String::new(),
            qemu: String::new(),
            sequence: 0,
            link: String::new(),
            queue_pairs_limit: None,
            rss_key: None,
            rss_table: None,
            features_withheld: None,
            group: None,
            tx_share: None,
            share_in_force: true,
            vlan_qos: None,
            vlan_protocol: None,
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
            view.data_path = definition.data_path.word().to_owned();
            view.socket_owner.clone_from(&definition.socket.owner);
            view.socket_group.clone_from(&definition.socket.group);
            view.socket_mode = format!("{:04o}", definition.socket.mode);
            view.sequence = definition.sequence;
            view.link = definition.link.word().to_owned();
            let tuning = &definition.tuning;
            view.queue_pairs_limit = tuning.queue_pairs;
            view.rss_key = tuning.rss_key.as_ref().map(ToString::to_string);
            view.rss_table = tuning.rss_table.as_ref().map(ToString::to_string);
            view.features_withheld = tuning.features.as_ref().map(ToString::to_string);
            view.group = definition.share.group.clone();
            view.tx_share = definition.share.tx_share;
            let tag = definition.vlan.map(|_| definition.vlan_tag);
            view.vlan_qos = tag.and_then(|tag| tag.qos);
            view.vlan_protocol = tag.map(|tag| tag.protocol.word().to_owned());
            view.rates = definition.rates;
            view.overrides = definition.overrides;
            view.notes = hints::notes(definition);
        }
        if let Some(live) = self.live() {
            view.qemu = hints::qemu_device(name, &view.summary.socket, None);
            view.notes.push(hints::MIGRATE_NOTE.to_owned());
            let mut health = live.device.health();
            health.memory_advice = health.memory.advice(name);
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
        persistent: false,
        start: String::new(),
        order: 0,
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
        persistent: !definition.life.transient,
        start: definition.life.start.word().to_owned(),
        order: definition.life.order,
        ..blank(&definition.name)
    }
}
