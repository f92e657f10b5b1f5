//! `create`: a device is made whole, or nothing of it.

use std::sync::Arc;

use libcvf::control::MacAddr;
use policies::Profile;

use super::catalog::{Catalog, Names, created, not_found, store_failed, unreadable};
use super::definition::{Definition, SocketAccess};
use super::entry::{Entry, Live};
use super::error::EngineError;
use super::lifecycle::start::Wish;
use super::lifecycle::{Action, Life};
use super::overrides::Overrides;
use super::request::{CreateRequest, Draft};
use super::view::{Created, Outcome};
use crate::crash;
use crate::limits::MAX_DEVICES;

/// What a definition is made from beside what was asked for.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) uuid: uuid::Uuid,
    pub(super) sequence: u64,
    pub(super) pf: String,
    pub(super) mac: MacAddr,
    pub(super) life: Life,
    /// Where the draft names none.
    pub(super) profile: String,
    /// For what the draft does not say.
    pub(super) socket: SocketAccess,
}

impl Base {
    /// Anything: what is asked about is only what a draft says itself.
    pub(super) fn any() -> Self {
        Self {
            name: String::new(),
            uuid: uuid::Uuid::nil(),
            sequence: 0,
            pf: String::new(),
            mac: MacAddr([0; 6]),
            life: Life::default(),
            profile: String::new(),
            socket: SocketAccess::default(),
        }
    }
}

impl Draft {
    /// What it makes of something.
    pub(super) fn definition(&self, base: Base) -> Definition {
        Definition {
            vlan_tag: self.vlan_tag,
            trunk: self.trunk.clone(),
            rates: self.rates,
            share: self.share.clone(),
            overrides: Overrides::default().with(&self.overrides),
            tuning: self.tuning.clone(),
            link: self.link.unwrap_or_default(),
            profile: self.profile.clone().unwrap_or(base.profile),
            uuid: base.uuid,
            name: base.name,
            sequence: base.sequence,
            pf: base.pf,
            life: base.life,
            personality: self.personality,
            queue_pairs: self.queue_pairs,
            mac: base.mac,
            mtu: self.mtu,
            vlan: self.vlan,
            doorbells: self.doorbells,
            interrupts: self.interrupts,
            ring_format: self.ring_format,
            data_path: self.data_path,
            socket: self.access(&base.socket),
        }
    }
}

impl Catalog {
    /// Turns a draft into a definition with a name, a MAC and a place of its own, all reserved.
    pub(super) fn reserve(
        &self,
        names: &mut Names,
        name: String,
        draft: &Draft,
        life: Life,
        doing: &'static str,
    ) -> Result<Definition, EngineError> {
        if names.entries.len() >= MAX_DEVICES {
            let why = format!(
                "{MAX_DEVICES} devices are defined, and that is the limit; destroy one first"
            );
            return Err(EngineError::NoResources { name, why });
        }
        let pf = self.choose_pf(draft.pf.as_deref())?;
        let mac = match draft.mac {
            Some(mac) => match names.macs.get(&mac) {
                Some(other) => {
                    let (other, mac) = (other.clone(), mac.to_string());
                    return Err(EngineError::DuplicateMac {
                        attempted: "create",
                        name,
                        mac,
                        other,
                    });
                }
                None => mac,
            },
            None => self
                .identity
                .mac(&name, |mac| names.macs.contains_key(&mac)),
        };
        let sequence = names.next_sequence;
        let uuid = self.identity.uuid(&name);
        let base = Base {
            name,
            uuid,
            sequence,
            pf,
            mac,
            life,
            profile: self.profiles.default_name().to_owned(),
            socket: self.defaults.read().clone(),
        };
        let definition = draft.definition(base);
        if !draft.dry_run {
            names.next_sequence += 1;
            names.mark(&definition, doing);
        }
        Ok(definition)
    }

    pub(super) fn choose_pf(&self, asked: Option<&str>) -> Result<String, EngineError> {
        let mut pfs = self.backend.pfs().into_iter().map(|pf| pf.name);
        match asked {
            Some(asked) => match pfs.find(|pf| pf == asked) {
                Some(pf) => Ok(pf),
                None => {
                    let known: Vec<_> = self.backend.pfs().into_iter().map(|pf| pf.name).collect();
                    Err(not_found("PF", asked, known.iter().map(String::as_str)))
                }
            },
            None => pfs.next().ok_or_else(|| not_found("PF", "", [])),
        }
    }

    /// Composes, stores and opens a reserved definition: all or nothing.
    fn bring_up(
        &self,
        definition: Definition,
        profile: &Arc<Profile>,
    ) -> Result<Arc<Live>, EngineError> {
        let device = self.composed(&definition, &definition.share, profile)?;
        crash::point("create: composed");
        let undo = |error: EngineError| {
            if let Err(late) = device.retire() {
                tracing::warn!(device = definition.name, uuid = %definition.uuid, "{late}");
            }
            error
        };
        let stored = self.store.put(&definition);
        stored.map_err(|why| undo(store_failed("create", &definition.name, &why)))?;
        crash::point("create: stored");
        device.open().map_err(|error| {
            if let Err(why) = self.store.remove(&definition.name) {
                tracing::error!(
                    device = definition.name,
                    uuid = %definition.uuid,
                    "a refused definition stays stored: {why}"
                );
            }
            undo(error)
        })?;
        crash::point("create: open");
        Ok(Arc::new(Live { definition, device }))
    }

    /// [`Engine::create`].
    pub(super) fn make(&self, request: CreateRequest) -> Result<Created, EngineError> {
        let draft = request.check()?;
        let mut names = self.names.lock();
        let name = draft
            .name
            .clone()
            .unwrap_or_else(|| Self::generated_name(&names));
        names = self.settle(names, &name, "create")?;
        let definition = match names.entries.get(&name) {
            None => {
                let life = draft.life.of_created(self.boot)?;
                self.reserve(&mut names, name.clone(), &draft, life, "creating")?
            }
            Some(entry) => {
                let existing = entry.definition().cloned();
                let existing = existing.ok_or_else(|| unreadable(&name))?;
                if let Some((attribute, existing, asked)) = draft.difference(&existing) {
                    return Err(EngineError::AlreadyExists {
                        name,
                        attribute,
                        existing,
                        asked,
                    });
                }
                if let Entry::Live(live) = entry {
                    let live = live.clone();
                    if !(draft.life.persistent && existing.life.transient) {
                        return Ok(created(Outcome::Already, &live));
                    }
                    if draft.dry_run {
                        drop(names);
                        return self.would(&existing, Outcome::WouldDefine);
                    }
                    let life = draft.life.of_created(self.boot)?;
                    return self.promote(names, Entry::Live(live), life);
                }
                if let Entry::Defined(_) = entry {
                    let entry = entry.clone();
                    if draft.dry_run {
                        drop(names);
                        return self.would(&existing, Outcome::WouldStart);
                    }
                    names.free_mac("create", &name, existing.mac)?;
                    names.mark(&existing, "starting");
                    drop(names);
                    return self.start_marked(entry, existing, Wish::Operators);
                }
                // It failed at the start; now is another attempt.
                if draft.dry_run {
                    drop(names);
                    return self.would(&existing, Outcome::WouldCreate);
                }
                names.mark(&existing, "creating");
                drop(names);
                return self.revive(existing);
            }
        };
        drop(names);
        if draft.dry_run {
            return self.would(&definition, Outcome::WouldCreate);
        }
        crash::point("create: reserved");
        let (mac, asked) = (definition.mac, definition.clone());
        let profile = self
            .before(Action::Create, &definition)
            .and_then(|()| self.admitted_anew("create", &definition));
        let made = profile.and_then(|profile| Ok((self.bring_up(definition, &profile)?, profile)));
        match made {
            Ok((live, profile)) => {
                let answer = created(Outcome::Created, &live);
                let told = answer.happening();
                let entry = Some(Entry::Live(live.clone()));
                self.conclude_telling(&name, entry, None, told);
                self.refresh(&live, &profile);
                tracing::info!(
                    device = name,
                    uuid = answer.uuid,
                    mac = answer.mac,
                    pf = answer.pf,
                    "created"
                );
                self.after(Action::Create, &asked, true);
                Ok(answer)
            }
            Err(error) => {
                self.conclude(&name, None, Some(mac));
                self.after(Action::Create, &asked, false);
                Err(error)
            }
        }
    }

    /// What would be made, if it could be.
    fn would(&self, definition: &Definition, result: Outcome) -> Result<Created, EngineError> {
        self.admitted_anew("create", definition)?;
        self.backend.fits(definition)?;
        Ok(Created {
            attributes: CreateRequest::KEYS
                .into_iter()
                .filter(|key| !["name", "mac", "pf", "profile", "dry_run"].contains(key))
                .filter_map(|key| Some((key.to_owned(), definition.attribute(key)?)))
                .collect(),
            ..Created::of(result, definition)
        })
    }

    pub(super) fn generated_name(names: &Names) -> String {
        (names.next_sequence..)
            .map(|n| format!("cvf{n}"))
            .find(|name| !names.entries.contains_key(name))
            .unwrap_or_default()
    }
}
