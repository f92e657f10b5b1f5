//! Profiles in the catalog: who may have them, what they say, and what becomes of devices when they
//! change.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use libcvf::control::{DeviceFacts, MacAddr, QueuePolicy};
use libcvf::limits::{MAX_QUEUE_PAIRS, MAX_VLAN};
use policies::{Explanation, Given, Profile, request};
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, unreadable_for};
use super::definition::{DataPath, Definition, Word};
use super::entry::{Entry, Live};
use super::error::{EngineError, shown};
use super::judge;
use super::values::{mac, number};
use super::view::{Health, InForce};
use crate::profiles::{NoProfile, ProfileDetail, ProfileSummary, Reloaded};

/// What is to be explained: a request of a guest, under a profile or of a device that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExplainRequest {
    /// A profile; the device's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A device, whose address, queue pairs, VLANs and own permissions count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Address given at create, where no device is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Queue pairs of the slice, where no device is named; 4 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_pairs: Option<u64>,
    /// Access VLAN, where no device is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u64>,
}

impl ExplainRequest {
    /// Every option by its name on the bus.
    pub const KEYS: [&'static str; 5] = ["profile", "device", "mac", "queue_pairs", "vlan"];
}

/// An explanation, and the same as text for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// For programs.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// For people.
    pub text: String,
}

/// An address as QEMU would give one.
const EXAMPLE_MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const EXAMPLE_PAIRS: u64 = 4;
/// What is attempted on a device.
const EXPLAINING: &str = "explain a request of";

/// What the engine says where there is no such profile.
pub(super) fn no_profile(name: &str, why: &NoProfile) -> EngineError {
    EngineError::invalid("profile", name, why)
}

impl Catalog {
    /// The profile that a definition names.
    pub(super) fn profile_of(&self, definition: &Definition) -> Result<Arc<Profile>, EngineError> {
        let name = &definition.profile;
        self.profiles
            .get(name)
            .map_err(|why| no_profile(name, &why))
    }

    /// What counts for its guest and its frames; empty where its profile is not to be had. Nothing counts for frames that
    /// do not pass the daemon.
    pub(super) fn in_force(
        &self,
        definition: &Definition,
        health: Option<&Health>,
    ) -> Vec<InForce> {
        let Ok(profile) = self.profile_of(definition) else {
            return Vec::new();
        };
        let direct = definition.data_path == DataPath::Direct
            && health.is_none_or(|health| health.data_path == DataPath::Direct.word());
        let all = definition.given().in_force(&profile).into_iter();
        let all = all.filter(|one| !(direct && one.key.starts_with("spoof.")));
        all.map(|one| InForce {
            key: one.key.to_owned(),
            value: one.value,
            from: one.from.unwrap_or("profile").to_owned(),
        })
        .collect()
    }

    /// The same, where it lets the device be as it is defined.
    pub(super) fn admitted(
        &self,
        attempted: &'static str,
        definition: &Definition,
    ) -> Result<Arc<Profile>, EngineError> {
        let name = &definition.name;
        let profile = self.profile_of(definition);
        let profile = profile.map_err(|error| error.on(attempted, name))?;
        judge::admit(&profile, definition).map_err(|why| EngineError::Denied {
            attempted,
            name: definition.name.clone(),
            why: format!(
                "{why}; ask for what it allows ('cvfctl policy show {0}'), or give another profile",
                definition.profile
            ),
        })?;
        Ok(profile)
    }

    /// The same for a device that did not have that profile before. What is in force only for those that have it is
    /// not given to others.
    pub(super) fn admitted_anew(
        &self,
        attempted: &'static str,
        definition: &Definition,
    ) -> Result<Arc<Profile>, EngineError> {
        let profile = self.admitted(attempted, definition)?;
        match self.profiles.lost(&definition.profile) {
            None => Ok(profile),
            Some(file) => Err(EngineError::Denied {
                attempted,
                name: definition.name.clone(),
                why: format!(
                    "the file of profile '{}' ({file}) is gone, and the profile stays in force only for devices that \
                     have it; put the file back and 'cvfctl policy reload', or give another profile",
                    definition.profile
                ),
            }),
        }
    }

    /// The profile of a changed definition, where it lets the change be. What it did not let be before either is
    /// no reason to refuse another change: a device that must be taken off the network must not be held there by
    /// a profile that has become stricter.
    pub(super) fn admitted_change(
        &self,
        from: &Definition,
        to: &Definition,
    ) -> Result<Arc<Profile>, EngineError> {
        let profile = self.profile_of(to);
        let profile = profile.map_err(|error| error.on("change", &to.name))?;
        if from.profile == to.profile && judge::no_worse(&profile, from, to) {
            return Ok(profile);
        }
        if from.profile == to.profile {
            self.admitted("change", to)
        } else {
            self.admitted_anew("change", to)
        }
    }

    /// Gives a device that has just been listed what its profile says now, if that is not what it was
    /// made with, and what it lacks of its group: both may have been reloaded since.
    pub(super) fn refresh(&self, live: &Live, known: &Arc<Profile>) {
        if let Ok(now) = self.profile_of(&live.definition)
            && (!Arc::ptr_eq(&now, known) || live.lacks())
            && let Err(error) = live.device.repolicy(&|name| self.profiles.get(name).ok())
        {
            tracing::error!(device = live.definition.name, uuid = %live.definition.uuid, %error, "its profile, or what it is to have of its group, is not in force");
        }
    }

    fn users(&self) -> BTreeMap<String, u64> {
        let names = self.names.lock();
        let mut users = BTreeMap::new();
        for profile in names.entries.values().flat_map(Entry::profiles) {
            *users.entry(profile.to_owned()).or_default() += 1;
        }
        users
    }

    /// [`super::Engine::profiles`].
    pub(super) fn list_profiles(&self) -> Vec<ProfileSummary> {
        let users = self.users();
        let one = |(name, known): (String, Result<_, String>)| {
            let summary = match known {
                Ok(known) => ProfileSummary::of(&name, &known),
                Err(fault) => ProfileSummary::broken(&name, fault),
            };
            ProfileSummary {
                default: name == self.profiles.default_name(),
                devices: users.get(&name).copied().unwrap_or(0),
                ..summary
            }
        };
        self.profiles.all().into_iter().map(one).collect()
    }

    /// [`super::Engine::profile`].
    pub(super) fn show_profile(&self, name: &str) -> Result<ProfileDetail, EngineError> {
        let known = self.profiles.known(name).map_err(|why| match why {
            NoProfile::Unknown { hint } => EngineError::NotFound {
                attempted: format!("cannot show '{}': ", shown(name)),
                what: "profile",
                name: shown(name),
                hint,
            },
            why @ NoProfile::Broken(_) => EngineError::NotReady {
                attempted: "show",
                name: shown(name),
                why: why.to_string(),
            },
        })?;
        let mut summary = ProfileSummary::of(name, &known);
        summary.default = name == self.profiles.default_name();
        summary.devices = self.users().get(name).copied().unwrap_or(0);
        Ok(ProfileDetail {
            summary,
            text: known.text.to_string(),
            whole: known.profile.to_toml(),
        })
    }

    /// [`super::Engine::explain`].
    pub(super) fn explain_request(
        &self,
        text: &str,
        about: &ExplainRequest,
    ) -> Result<Explained, EngineError> {
        let whole = |error: EngineError| error.to("explain a guest's request");
        let asked = request::parse(text)
            .map_err(|why| whole(EngineError::invalid("request", text, why)))?;
        let (facts, given, queues, own) = match &about.device {
            Some(name) => {
                if about.mac.is_some() || about.queue_pairs.is_some() || about.vlan.is_some() {
                    let why = "its address, queue pairs and VLAN are known; leave those out";
                    return Err(whole(EngineError::invalid("device", name, why)));
                }
                let entry = self.entry(name);
                let entry = entry.map_err(|error| error.on(EXPLAINING, name))?;
                let definition = entry
                    .definition()
                    .ok_or_else(|| unreadable_for(EXPLAINING, name))?;
                let facts = DeviceFacts {
                    assigned_mac: definition.mac,
                    queue_pairs: definition.queue_pairs,
                    access_vlan: definition.vlan,
                    joined_vlans: entry
                        .live()
                        .map_or(0, |live| live.device.joined_vlans(&asked)),
                };
                (
                    facts,
                    definition.given(),
                    definition.tuning.queues(definition.queue_pairs),
                    Some(definition.profile.clone()),
                )
            }
            None => {
                let pairs = about.queue_pairs.unwrap_or(EXAMPLE_PAIRS);
                let max = MAX_QUEUE_PAIRS.into();
                let vlan = about
                    .vlan
                    .map(|vlan| number("vlan", vlan, 1, MAX_VLAN.into()));
                let facts = DeviceFacts {
                    assigned_mac: about
                        .mac
                        .as_deref()
                        .map_or(Ok(EXAMPLE_MAC), mac)
                        .map_err(whole)?,
                    queue_pairs: number("queue_pairs", pairs, 1, max).map_err(whole)?,
                    access_vlan: vlan.transpose().map_err(whole)?,
                    joined_vlans: 0,
                };
                (facts, Given::default(), QueuePolicy::default(), None)
            }
        };
        let name = about.profile.clone().or(own);
        let name = name.unwrap_or_else(|| self.profiles.default_name().to_owned());
        let profile = self
            .profiles
            .get(&name)
            .map_err(|why| whole(no_profile(&name, &why)))?;
        let explanation = policies::explain_for(&profile, &facts, &given, &queues, &asked);
        let text = explanation.to_string();
        Ok(Explained { explanation, text })
    }

    /// [`super::Engine::reload_profiles`].
    pub(super) fn renew_profiles(&self) -> Reloaded {
        // Counted when it is asked for first, which is when nobody can look a profile up: who has looked one up has
        // its device listed, or marked as being made, before.
        let users = OnceCell::new();
        let mut report = self
            .profiles
            .reload(|name| users.get_or_init(|| self.users()).contains_key(name));
        let changed: BTreeSet<_> = report
            .changed
            .iter()
            .chain(&report.added)
            .cloned()
            .collect();
        let live: Vec<Arc<Live>> = {
            let names = self.names.lock();
            let live = names.entries.values().filter_map(Entry::live);
            live.filter(|live| changed.contains(&live.definition.profile))
                .cloned()
                .collect()
        };
        for live in live {
            let definition = &live.definition;
            if let Ok(profile) = self.profile_of(definition)
                && let Err(why) = judge::admit(&profile, definition)
            {
                let name = &definition.name;
                report.notes.push(format!(
                    "'{name}' stays as it is, and could not be made so any more: {why}"
                ));
            }
            match live.device.repolicy(&|name| self.profiles.get(name).ok()) {
                Ok(notes) => report.notes.extend(notes),
                Err(error) => report.notes.push(error.to_string()),
            }
            report.devices += 1;
        }
        for fault in &report.refused {
            tracing::error!("profile refused, what was in force stays: {fault}");
        }
        tracing::info!(
            changed = ?report.changed,
            added = ?report.added,
            removed = ?report.removed,
            devices = report.devices,
            "profiles reloaded"
        );
        report
    }
}
