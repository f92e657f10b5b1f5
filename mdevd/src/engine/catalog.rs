//! The engine: names, identities, idempotence, order, persistence.
//!
//! One lock guards the names and is never held over composing, storing or retiring: a command
//! marks its name as changing, works without the lock, and settles the name. So a slow device
//! delays only those who want that device.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use libcvf::control::MacAddr;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use super::backend::Backend;
use super::capture::{CaptureRequest, Places};
use super::definition::{DataPath, Definition, Personality, SocketAccess, Word};
use super::entry::{Entry, Failed, Live};
use super::error::{EngineError, shown};
use super::events::{Events, Happening};
use super::jobs::{JobLimits, Jobs};
use super::lifecycle::{
    BootId, DefineRequest, Ended, Exported, Hooks, ImportOptions, Imported, Types,
};
use super::policy::{ExplainRequest, Explained};
use super::request::CreateRequest;
use super::sample::Sample;
use super::service::{Census, Reloaded, Service};
use super::set::{Changed, SetRequest};
use super::takeover::TakenOver;
use super::view::{Created, DeviceView, Outcome, Page, PfView, Stats, StatsPage};
use super::{Engine, hints};
use crate::limits::{CHANGE_DEADLINE, MAX_COMPARED, MAX_PAGE, MAX_PAGE_PAIRS};
use crate::names::{HostId, Identity};
use crate::nearest;
use crate::profiles::{ProfileDetail, ProfileSummary, Profiles, Reloaded as ProfilesReloaded};
use crate::store::Store;

/// The devices of a daemon.
pub struct Catalog {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) store: Arc<dyn Store>,
    pub(super) profiles: Arc<Profiles>,
    pub(super) boot: BootId,
    pub(super) hooks: Option<Arc<dyn Hooks>>,
    pub(super) identity: Identity,
    pub(super) defaults: RwLock<SocketAccess>,
    pub(super) service: OnceLock<Arc<dyn Service>>,
    pub(super) names: Mutex<Names>,
    settled: Condvar,
    captures: Places,
    pub(super) jobs: Jobs,
}

#[derive(Default)]
pub(super) struct Names {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) macs: HashMap<MacAddr, String>,
    pub(super) next_sequence: u64,
    /// What the daemon is about to start: place in the order, and name, by sequence.
    pub(super) due: BTreeMap<u64, (i32, String)>,
    pub(super) stopping: bool,
}

impl Catalog {
    /// An empty catalog; [`Catalog::restore`] fills it from the store.
    pub fn new(
        backend: Arc<dyn Backend>,
        store: Arc<dyn Store>,
        profiles: Arc<Profiles>,
        defaults: SocketAccess,
    ) -> Self {
        let id = store.id();
        Self {
            identity: Identity::new(HostId::of_machine_or(id), id),
            backend,
            store,
            profiles,
            defaults: RwLock::new(defaults),
            service: OnceLock::new(),
            names: Mutex::default(),
            settled: Condvar::new(),
            captures: Places::default(),
            jobs: Jobs::default(),
            boot: BootId::of_kernel(),
            hooks: None,
        }
    }

    /// The same in this boot of the host instead of the one that the kernel tells.
    #[must_use]
    pub fn at_boot(self, boot: BootId) -> Self {
        Self { boot, ..self }
    }

    /// The same with somebody who is asked before commands, and told afterwards.
    #[must_use]
    pub fn with_hooks(self, hooks: Arc<dyn Hooks>) -> Self {
        Self {
            hooks: Some(hooks),
            ..self
        }
    }

    /// The same with other limits for jobs.
    #[must_use]
    pub fn with_job_limits(self, limits: JobLimits) -> Self {
        Self {
            jobs: Jobs::with(limits),
            ..self
        }
    }

    /// Who may connect to devices made from now on that do not say so themselves.
    pub fn set_socket_defaults(&self, defaults: SocketAccess) {
        *self.defaults.write() = defaults;
    }

    /// Refuses commands from here on, and has those go back that can: what waits for scripts, and what is queued.
    pub fn wind_up(&self) {
        self.names.lock().stopping = true;
        self.jobs.close();
    }

    /// Retires every device without forgetting its definition. Refuses commands from here on.
    pub fn shut_down(&self) {
        self.wind_up();
        let live: Vec<_> = {
            let names = self.names.lock();
            let live = names.entries.values().filter_map(Entry::live);
            live.cloned().collect()
        };
        for live in live {
            if let Err(error) = live.device.retire() {
                let Definition { name, uuid, .. } = &live.definition;
                tracing::warn!(device = name, %uuid, "{error}");
            }
        }
    }

    /// Waits until nobody is changing `name`; then the caller may.
    pub(super) fn settle<'a>(
        &self,
        mut names: MutexGuard<'a, Names>,
        name: &str,
        attempted: &'static str,
    ) -> Result<MutexGuard<'a, Names>, EngineError> {
        let deadline = Instant::now() + CHANGE_DEADLINE;
        loop {
            let named = || name.to_owned();
            if names.stopping {
                return Err(EngineError::Stopping {
                    attempted,
                    name: named(),
                });
            }
            let Some(Entry::Changing(changing)) = names.entries.get(name) else {
                return Ok(names);
            };
            let doing = changing.doing;
            if self.settled.wait_until(&mut names, deadline).timed_out() {
                return Err(EngineError::Changing {
                    attempted,
                    name: named(),
                    doing,
                });
            }
        }
    }

    /// Lists the reserved name as `entry`, or not at all, and frees `mac` in the latter case.
    pub(super) fn conclude(&self, name: &str, entry: Option<Entry>, mac: Option<MacAddr>) {
        self.conclude_telling(name, entry, mac, None);
    }

    /// The same, and tells it before anybody else can do something to that name.
    pub(super) fn conclude_telling(
        &self,
        name: &str,
        entry: Option<Entry>,
        mac: Option<MacAddr>,
        what: impl Into<Option<Happening>>,
    ) {
        let mut names = self.names.lock();
        match entry {
            Some(entry) => {
                names.entries.insert(name.to_owned(), entry);
            }
            None => {
                names.entries.remove(name);
                if let Some(mac) = mac.filter(|mac| names.macs.get(mac).is_some_and(|n| n == name))
                {
                    names.macs.remove(&mac);
                }
            }
        }
        if let Some(what) = what.into() {
            self.events().publish(what);
        }
        drop(names);
        self.settled.notify_all();
    }

    /// The device of that name, composed, for a command that leaves its definition alone.
    pub(super) fn live(
        &self,
        name: &str,
        attempted: &'static str,
    ) -> Result<Arc<Live>, EngineError> {
        let named = || name.to_owned();
        let entry = self.entry(name);
        match entry.map_err(|error| error.on(attempted, name))? {
            Entry::Live(live) => Ok(live),
            Entry::Changing(changing) => Err(EngineError::Changing {
                attempted,
                name: named(),
                doing: changing.doing,
            }),
            Entry::Failed(failed) => Err(EngineError::NotReady {
                attempted,
                name: named(),
                why: format!("it is not composed: {}", failed.reason),
            }),
            Entry::Defined(_) => Err(EngineError::NotReady {
                attempted,
                name: named(),
                why: format!("it is not started; start it first ('cvfctl start {name}')"),
            }),
        }
    }

    /// Up to `limit` entries with names after `after`, and the `after` of the next page.
    fn page(&self, after: &str, limit: usize) -> (Vec<(String, Entry)>, String) {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = if after.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Excluded(after)
        };
        let mut entries: Vec<_> = {
            let names = self.names.lock();
            let range = names.entries.range::<str, _>((after, Bound::Unbounded));
            range
                .take(limit + 1)
                .map(|(name, entry)| (name.clone(), entry.clone()))
                .collect()
        };
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries
            .last()
            .filter(|_| more)
            .map_or_else(String::new, |(name, _)| name.clone());
        (entries, next)
    }

    pub(super) fn entry(&self, name: &str) -> Result<Entry, EngineError> {
        let near = {
            let names = self.names.lock();
            match names.entries.get(name) {
                Some(entry) => return Ok(entry.clone()),
                None => names.near(name),
            }
        };
        // Compared without the lock: everybody may ask for what is not there.
        Err(not_found("device", name, near.iter().map(String::as_str)))
    }
}

impl Names {
    /// Nobody else does anything to a device until it is concluded; meanwhile its profile counts as used, and its address as
    /// its own if it is nobody's. What is there goes on meanwhile.
    pub(super) fn mark(&mut self, definition: &Definition, doing: &'static str) {
        let name = &definition.name;
        self.macs
            .entry(definition.mac)
            .or_insert_with(|| name.clone());
        let changing = Entry::becoming(self.entries.get(name), doing, definition);
        self.entries.insert(name.clone(), changing);
    }

    pub(super) fn no_device(&self, name: &str) -> EngineError {
        let near = self.near(name);
        not_found("device", name, near.iter().map(String::as_str))
    }

    /// Names that may have been meant: all, or where there are too many those beside it in their order.
    fn near(&self, name: &str) -> Vec<String> {
        if self.entries.len() <= MAX_COMPARED {
            return self.entries.keys().cloned().collect();
        }
        let half = MAX_COMPARED / 2;
        let before = self
            .entries
            .range::<str, _>((Bound::Unbounded, Bound::Excluded(name)));
        let after = self
            .entries
            .range::<str, _>((Bound::Included(name), Bound::Unbounded));
        let both = before.rev().take(half).chain(after.take(half));
        both.map(|(name, _)| name.clone()).collect()
    }
}

impl Engine for Catalog {
    fn create(&self, request: CreateRequest) -> Result<Created, EngineError> {
        let name = request.name.clone();
        self.make(request)
            .map_err(|error| error.creating(name.as_deref()))
    }

    fn destroy(&self, name: &str, force: bool) -> Result<(), EngineError> {
        self.destroy_one(name, force)
    }

    fn define(&self, request: DefineRequest) -> Result<Created, EngineError> {
        let name = request.device.name.clone();
        self.define_device(request).map_err(|error| match &name {
            Some(name) => error.on("define", name),
            None => error,
        })
    }

    fn undefine(&self, name: &str) -> Result<Ended, EngineError> {
        self.undefine_device(name)
    }

    fn start(&self, name: &str) -> Result<Created, EngineError> {
        self.start_device(name)
    }

    fn stop_device(&self, name: &str, force: bool) -> Result<Ended, EngineError> {
        self.stop_one(name, force)
    }

    fn export(&self, names: &[String], after: &str, limit: usize) -> Result<Exported, EngineError> {
        self.exported(names, after, limit)
    }

    fn import(&self, document: &str, options: ImportOptions) -> Result<Imported, EngineError> {
        self.import_all(document, options)
    }

    fn types(&self, queue_pairs: u64) -> Result<Types, EngineError> {
        self.what_fits(queue_pairs)
    }

    fn set(&self, name: &str, request: SetRequest) -> Result<Changed, EngineError> {
        self.alter(name, request)
    }

    fn announce(&self, name: &str) -> Result<(), EngineError> {
        let live = self.live(name, "announce")?;
        if live.device.announce() {
            tracing::info!(device = name, uuid = %live.definition.uuid, "its driver was asked to announce itself");
            return Ok(());
        }
        let why = match live.definition.personality {
            Personality::VirtioNet => {
                "no driver runs in the guest that agreed to announce itself (GUEST_ANNOUNCE and STATUS among the features of \
                 'cvfctl show'); start the VM, or send from the guest itself"
            }
            Personality::Avf => {
                "a driver of personality 'avf' has no way to be asked; send from the guest itself"
            }
        };
        Err(EngineError::NotReady {
            attempted: "announce",
            name: name.to_owned(),
            why: why.to_owned(),
        })
    }

    fn take_over(&self, name: &str) -> Result<TakenOver, EngineError> {
        self.take_rings_over(name)
    }

    fn capture(
        &self,
        name: &str,
        request: &CaptureRequest,
        by: &str,
    ) -> Result<OwnedFd, EngineError> {
        let live = self.live(name, "capture")?;
        let direct = live.definition.data_path == DataPath::Direct;
        if direct && live.device.health().data_path == DataPath::Direct.word() {
            return Err(EngineError::NotReady {
                attempted: "capture",
                name: name.to_owned(),
                why: format!(
                    "hardware works its rings (data path 'direct'), and none of its frames passes the daemon; have the daemon \
                     work them meanwhile ('cvfctl takeover {name}'), or look at its frames inside its VM or on the wire"
                ),
            });
        }
        let capture = request.check(by, self.captures.take(name)?);
        let capture = capture.map_err(|error| error.on("capture", name))?;
        live.device.capture(capture)
    }

    fn list(&self, after: &str, limit: usize) -> Page {
        let (entries, next) = self.page(after, limit);
        Page {
            devices: entries
                .iter()
                .map(|(name, entry)| entry.summary(name))
                .collect(),
            next,
        }
    }

    fn show(&self, name: &str) -> Result<DeviceView, EngineError> {
        let entry = self.entry(name).map_err(|error| error.on("show", name))?;
        let mut view = entry.view(name);
        if let Some(definition) = entry.definition() {
            view.in_force = self.in_force(definition, view.health.as_ref());
            if let Some(note) = entry.live().and_then(|live| self.group_note(live)) {
                view.share_in_force = false;
                view.notes.insert(0, note);
            }
        }
        Ok(view)
    }

    fn stats(&self, name: &str) -> Result<Stats, EngineError> {
        let entry = self
            .entry(name)
            .map_err(|error| error.on("show counters of", name))?;
        match (entry.stats(name), entry) {
            (None, Entry::Changing(changing)) => Err(EngineError::Changing {
                attempted: "show counters of",
                name: name.to_owned(),
                doing: changing.doing,
            }),
            (stats, _) => Ok(stats.unwrap_or_default()),
        }
    }

    fn list_stats(&self, after: &str, limit: usize, pairs: bool) -> StatsPage {
        let (entries, mut next) = self.page(after, limit);
        let mut stats = Vec::with_capacity(entries.len());
        let mut rows = 0;
        for (name, entry) in &entries {
            let Some(mut one) = entry.stats(name) else {
                continue;
            };
            if !pairs {
                one.pairs.clear();
            }
            rows += one.pairs.len();
            if rows > MAX_PAGE_PAIRS {
                next = stats.last().map_or(next, |last: &Stats| last.name.clone());
                break;
            }
            stats.push(one);
        }
        StatsPage { stats, next }
    }

    fn pfs(&self) -> Vec<PfView> {
        self.backend.pfs()
    }

    fn profiles(&self) -> Vec<ProfileSummary> {
        self.list_profiles()
    }

    fn profile(&self, name: &str) -> Result<ProfileDetail, EngineError> {
        self.show_profile(name)
    }

    fn explain(&self, text: &str, about: &ExplainRequest) -> Result<Explained, EngineError> {
        self.explain_request(text, about)
    }

    fn reload_profiles(&self) -> ProfilesReloaded {
        self.renew_profiles()
    }

    fn pf(&self, name: &str) -> Result<PfView, EngineError> {
        let pfs = self.backend.pfs();
        let known: Vec<_> = pfs.iter().map(|pf| pf.name.clone()).collect();
        let found = pfs.into_iter().find(|pf| pf.name == name);
        found
            .ok_or_else(|| not_found("PF", name, known.iter().map(String::as_str)).on("show", name))
    }

    fn state_dir(&self) -> Option<String> {
        self.store.dir().map(|dir| dir.display().to_string())
    }

    fn events(&self) -> &Events {
        self.backend.events()
    }

    fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    fn samples(&self, after: &str, limit: usize) -> Vec<Sample> {
        self.sampled(after, limit)
    }

    fn census(&self, patience: Duration) -> Option<Census> {
        self.count(patience)
    }

    fn reload(&self) -> Result<Reloaded, EngineError> {
        self.read_again()
    }

    fn prepare_stop(&self, force: bool) -> Result<Census, EngineError> {
        self.close(force)
    }

    fn stop(&self) {
        if let Some(service) = self.service.get() {
            service.stop();
        }
    }
}

pub(super) fn failed(definition: Option<Definition>, reason: String) -> Entry {
    Entry::Failed(Arc::new(Failed { definition, reason }))
}

pub(super) fn created(result: Outcome, live: &Live) -> Created {
    let socket = live.device.socket().display().to_string();
    Created {
        qemu: hints::qemu_device(&live.definition.name, &socket, None),
        socket,
        ..Created::of(result, &live.definition)
    }
}

pub(super) fn not_found<'a>(
    what: &'static str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> EngineError {
    // The name may be anything that a client sent.
    let name = shown(name);
    EngineError::NotFound {
        attempted: String::new(),
        what,
        hint: nearest::hint(&name, known),
        name,
    }
}

pub(super) fn store_failed(
    attempted: &'static str,
    name: &str,
    why: &crate::store::StoreError,
) -> EngineError {
    EngineError::StoreFailed {
        attempted,
        name: name.to_owned(),
        why: why.to_string(),
    }
}

/// Nothing but taking it away can be done to what cannot be read.
pub(super) fn unreadable_for(attempted: &'static str, name: &str) -> EngineError {
    EngineError::NotReady {
        attempted,
        name: name.to_owned(),
        why: "its stored record cannot be read; destroy it and make it again".to_owned(),
    }
}

pub(super) fn unreadable(name: &str) -> EngineError {
    EngineError::AlreadyExists {
        name: name.to_owned(),
        attribute: "record".to_owned(),
        existing: "unreadable".to_owned(),
        asked: "a new one".to_owned(),
    }
}
