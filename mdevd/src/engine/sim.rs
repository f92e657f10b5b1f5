//! A backend without a data plane: for tests of everything above it.
//!
//! Faithful about what runs out, what is refused and what is left behind: it counts resources as the
//! soft PF does and puts real sockets at real paths. Nobody answers at them; [`SimBackend::connect`]
//! stands for a client.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libcvf::control::ControlRequest;
use libcvf::cvf::ComposeError;
use libcvf::pf::Capabilities;
use parking_lot::Mutex;
use policies::Profile;

use super::attributes::GroupShare;
use super::backend::{Backend, Device, LookUp};
use super::capture::Capture;
use super::definition::{DataPath, Definition};
use super::error::EngineError;
use super::events::{Events, Happening};
use super::view::{
    Client, Counters, Health, Memory, PairCounters, PfView, Resource, Stats, UplinkView,
};
use crate::device::{compose_error, socket_error, suits};
use crate::pcapng::{self, Interface, Statistics};
use crate::session::{Access, Place};

/// PFs by name and queue pairs, sockets in a directory.
#[derive(Debug)]
pub struct SimBackend {
    dir: PathBuf,
    shared: Arc<Mutex<Shared>>,
    events: Events,
}

#[derive(Debug, Default)]
struct Shared {
    pfs: Vec<SimPf>,
    clients: BTreeMap<String, Client>,
    refuses_changes: bool,
    /// Drivers do not have buffers used in order.
    out_of_order: bool,
    /// Devices whose rings were taken over from hardware.
    aside: BTreeSet<String>,
    each: Capabilities,
}

#[derive(Debug)]
struct SimPf {
    name: String,
    pairs: u64,
    used: u64,
    owners: Vec<String>,
    /// Its one owner has it as a whole.
    whole: bool,
}

impl Shared {
    /// The PF of a definition, if it has enough left.
    fn pf(&mut self, definition: &Definition) -> Result<&mut SimPf, EngineError> {
        let name = definition.name.clone();
        let Some(pf) = self.pfs.iter_mut().find(|pf| pf.name == definition.pf) else {
            let why = format!(
                "PF '{}' is not configured; configure it and restart",
                definition.pf
            );
            return Err(EngineError::NoResources { name, why });
        };
        let pf_name = || pf.name.clone();
        let alone = match (pf.owners.first(), pf.whole, definition.data_path) {
            (Some(owner), true, _) => Err(ComposeError::Exclusive {
                pf: pf_name(),
                owner: owner.clone(),
            }),
            (Some(first), false, DataPath::Direct) => Err(ComposeError::NotAlone {
                pf: pf_name(),
                owners: pf.owners.len(),
                first: first.clone(),
            }),
            _ => Ok(()),
        };
        alone.map_err(|error| compose_error(&name, &error))?;
        let (asked, free) = (u64::from(definition.queue_pairs), pf.pairs - pf.used);
        if asked > free {
            let why = format!(
                "PF {} has {free} of {} queue pairs free, {asked} were asked for: destroy a device, ask for less, or use \
                 another PF",
                pf.name, pf.pairs
            );
            return Err(EngineError::NoResources { name, why });
        }
        Ok(pf)
    }
}

impl SimBackend {
    /// PFs with that many queue pairs each; sockets appear in `dir`.
    pub fn new(dir: &Path, pfs: &[(&str, u64)]) -> Self {
        let pf = |&(name, pairs): &(&str, u64)| SimPf {
            name: name.to_owned(),
            pairs,
            used: 0,
            owners: Vec::new(),
            whole: false,
        };
        let shared = Shared {
            pfs: pfs.iter().map(pf).collect(),
            ..Shared::default()
        };
        Self {
            dir: dir.to_owned(),
            shared: Arc::new(Mutex::new(shared)),
            events: Events::default(),
        }
    }

    /// A client appears at a device.
    pub fn connect(&self, name: &str, client: Client) {
        self.shared.lock().clients.insert(name.to_owned(), client);
        let device = name.to_owned();
        self.events.publish(Happening::Connected { device, client });
    }

    /// From now on no device takes a change, or all do again.
    pub fn refuse_changes(&self, refuse: bool) {
        self.shared.lock().refuses_changes = refuse;
    }

    /// From now on no driver has buffers used in order, or all do again.
    pub fn use_out_of_order(&self, out_of_order: bool) {
        self.shared.lock().out_of_order = out_of_order;
    }

    /// What its PFs give one device from now on.
    pub fn give_each(&self, each: Capabilities) {
        self.shared.lock().each = each;
    }

    /// It leaves.
    pub fn disconnect(&self, name: &str) {
        let mut shared = self.shared.lock();
        shared.clients.remove(name);
        shared.aside.remove(name);
        drop(shared);
        self.events.publish(Happening::Disconnected {
            device: name.to_owned(),
            reason: None,
        });
    }
}

impl Backend for SimBackend {
    fn pfs(&self) -> Vec<PfView> {
        let view = |pf: &SimPf| PfView {
            name: pf.name.clone(),
            kind: "sim".to_owned(),
            workers: 0,
            worker_loads: Vec::new(),
            uplink: UplinkView {
                kind: "none".to_owned(),
                ..UplinkView::default()
            },
            devices: pf.owners.len() as u64,
            resources: vec![Resource {
                kind: "queue-pairs".to_owned(),
                total: pf.pairs,
                free: pf.pairs - pf.used,
            }],
            most_each: Vec::new(),
            most_mtu: None,
            exclusive: pf.owners.first().filter(|_| pf.whole).cloned(),
            groups: Vec::new(),
            lost: None,
        };
        self.shared.lock().pfs.iter().map(view).collect()
    }

    fn compose(
        &self,
        definition: &Definition,
        _share: &GroupShare,
        profile: &Arc<Profile>,
    ) -> Result<Arc<dyn Device>, EngineError> {
        let name = definition.name.clone();
        let path = self.dir.join(format!("{name}.sock"));
        let place = Access::resolve(&definition.socket)
            .and_then(|access| Place::prepare(&path, access))
            .map_err(|error| socket_error(&name, &error))?;
        self.suits(definition)?;
        let mut shared = self.shared.lock();
        let pf = shared.pf(definition)?;
        let asked = u64::from(definition.queue_pairs);
        pf.used += asked;
        pf.owners.push(name);
        pf.whole = definition.data_path == DataPath::Direct;
        Ok(Arc::new(SimDevice {
            definition: definition.clone(),
            path,
            shared: self.shared.clone(),
            live: Mutex::new(Some((place, None))),
            now: Mutex::new((definition.clone(), profile.clone())),
        }))
    }

    fn fits(&self, definition: &Definition) -> Result<(), EngineError> {
        self.suits(definition)?;
        self.shared.lock().pf(definition).map(drop)
    }

    fn suits(&self, definition: &Definition) -> Result<(), EngineError> {
        suits(definition, &definition.pf, &self.shared.lock().each)
    }

    fn events(&self) -> &Events {
        &self.events
    }
}

struct SimDevice {
    definition: Definition,
    path: PathBuf,
    shared: Arc<Mutex<Shared>>,
    live: Mutex<Option<(Place, Option<UnixListener>)>>,
    /// What it is, and under which profile.
    now: Mutex<(Definition, Arc<Profile>)>,
}

impl Device for SimDevice {
    fn socket(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<(), EngineError> {
        if let Some((place, listener)) = self.live.lock().as_mut() {
            let opened = place.open();
            *listener = Some(opened.map_err(|error| socket_error(&self.definition.name, &error))?);
        }
        Ok(())
    }

    fn client(&self) -> Option<Client> {
        self.shared
            .lock()
            .clients
            .get(&self.definition.name)
            .copied()
    }

    /// Nobody drives it.
    fn joined_vlans(&self, _: &ControlRequest) -> u16 {
        0
    }

    fn health(&self) -> Health {
        let client = self.client();
        let aside = self.shared.lock().aside.contains(&self.definition.name);
        let now = self.now.lock();
        Health {
            driver: if client.is_some() {
                "running"
            } else {
                "no driver"
            }
            .to_owned(),
            memory: if client.is_some() {
                Memory::Shared
            } else {
                Memory::Unknown
            },
            client,
            mac: now.0.mac.to_string(),
            link_up: now.0.link.shown(true),
            data_path: match self.definition.data_path {
                DataPath::Direct if !aside => "direct",
                DataPath::Auto | DataPath::Direct => "copied",
            }
            .to_owned(),
            data_path_reason: "nothing passes here".to_owned(),
            ..Health::default()
        }
    }

    fn share(&self) -> GroupShare {
        self.now.lock().0.share.clone()
    }

    fn stats(&self) -> Stats {
        let pair = |pair| PairCounters {
            pair,
            counters: Counters::default(),
        };
        Stats {
            pairs: (0..self.definition.queue_pairs).map(pair).collect(),
            ..Stats::default()
        }
    }

    fn change(&self, to: &Definition, profile: &Arc<Profile>) -> Result<Vec<String>, EngineError> {
        if self.shared.lock().refuses_changes {
            return Err(EngineError::NotReady {
                attempted: "change",
                name: to.name.clone(),
                why: "it was told to refuse".to_owned(),
            });
        }
        *self.now.lock() = (to.clone(), profile.clone());
        Ok(Vec::new())
    }

    fn repolicy(&self, look_up: &LookUp<'_>) -> Result<Vec<String>, EngineError> {
        let mut now = self.now.lock();
        if let Some(profile) = look_up(&now.0.profile) {
            now.1 = profile;
        }
        Ok(Vec::new())
    }

    fn announce(&self) -> bool {
        self.client().is_some()
    }

    fn take_over(&self) -> Result<bool, EngineError> {
        let mut shared = self.shared.lock();
        let name = &self.definition.name;
        let why = if !shared.clients.contains_key(name) {
            "no driver runs"
        } else if shared.out_of_order {
            "its driver does not have buffers used in order"
        } else {
            return Ok(shared.aside.insert(name.clone()));
        };
        Err(EngineError::NotReady {
            attempted: "take over",
            name: name.clone(),
            why: why.to_owned(),
        })
    }

    /// Nothing passes: an empty capture.
    fn capture(&self, capture: Capture) -> Result<OwnedFd, EngineError> {
        let internal = |error: std::io::Error| EngineError::Internal {
            attempted: "capture",
            name: self.definition.name.clone(),
            why: error.to_string(),
        };
        let mut bytes = Vec::new();
        pcapng::section(&mut bytes);
        let interface = Interface {
            name: &self.definition.name,
            mac: self.definition.mac.0,
            snaplen: capture.wanted.snaplen as u32,
        };
        pcapng::interface(&mut bytes, &interface);
        pcapng::statistics(&mut bytes, &Statistics::default());
        let (reader, mut writer) = std::io::pipe().map_err(internal)?;
        writer.write_all(&bytes).map_err(internal)?;
        Ok(reader.into())
    }

    fn retire(&self) -> Result<(), EngineError> {
        if self.live.lock().take().is_some() {
            let mut shared = self.shared.lock();
            shared.clients.remove(&self.definition.name);
            shared.aside.remove(&self.definition.name);
            if let Some(pf) = shared
                .pfs
                .iter_mut()
                .find(|pf| pf.name == self.definition.pf)
            {
                pf.used -= u64::from(self.definition.queue_pairs);
                pf.owners.retain(|owner| *owner != self.definition.name);
                pf.whole = false;
            }
        }
        Ok(())
    }
}

impl Drop for SimDevice {
    fn drop(&mut self) {
        let _ = self.retire();
    }
}
