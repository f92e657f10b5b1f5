//! PFs, and devices composed from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use libcvf::cvf::{Cvf, CvfSpec, PortPolicy};
use libcvf::ledger::CutError;
use libcvf::pf::igb::{IgbPf, IgbPfConfig};
use libcvf::pf::vfio::{HostTree, PciAddress};
use libcvf::pf::virtio::{self, VirtioPf, VirtioPfConfig};
use libcvf::pf::{PfError, PhysicalFunction, SoftPf, SoftPfConfig, TapConfig, UplinkConfig};
use policies::Profile;
use tokio::runtime::Handle;

use super::errors::{compose_error, socket_error, suits};
use super::gate::DeviceGate;
use super::groups::Groups;
use super::patrol::Patrol;
use super::policy::port_policy;
use super::served::ServedCvf;
use super::uplink::Followed;
use super::{adapter, numbers};
use crate::config::{Driver, PfConfig, Uplink};
use crate::engine::{Backend, Definition, Device, EngineError, Events, GroupShare, PfView};
use crate::session::{Access, Place};

/// A PF cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Its own reason.
    #[error("cannot start a PF: {0}")]
    Pf(#[from] PfError),
}

/// PFs and the directory of their devices' sockets.
pub struct RealBackend {
    dir: PathBuf,
    pfs: Vec<Pf>,
    groups: Arc<Groups>,
    runtime: Handle,
    events: Events,
    patrol: Patrol,
}

struct Pf {
    function: Arc<dyn PhysicalFunction>,
    devices: Arc<AtomicU64>,
    uplink: Followed,
}

impl RealBackend {
    /// Starts the PFs. Sockets appear in `dir` and are served on `runtime`.
    ///
    /// # Errors
    /// The first PF that cannot be started; none is left running.
    pub fn start(
        dir: &Path,
        pfs: &[PfConfig],
        groups: Arc<Groups>,
        runtime: Handle,
    ) -> Result<Self, BackendError> {
        let start = |config: &PfConfig| -> Result<Pf, BackendError> {
            let function = open(config, &HostTree::default())?;
            Ok(Pf {
                uplink: Followed::start(function.clone(), &runtime),
                function,
                devices: Arc::default(),
            })
        };
        Ok(Self {
            dir: dir.to_owned(),
            pfs: pfs.iter().map(start).collect::<Result<_, _>>()?,
            patrol: Patrol::start(&runtime),
            runtime,
            groups,
            events: Events::default(),
        })
    }
}

impl RealBackend {
    fn pf(&self, definition: &Definition) -> Result<&Pf, EngineError> {
        let wanted = |pf: &&Pf| pf.function.name() == definition.pf;
        let why = || {
            format!(
                "PF '{}' is not configured; configure it and restart",
                definition.pf
            )
        };
        self.pfs
            .iter()
            .find(wanted)
            .ok_or_else(|| EngineError::NoResources {
                name: definition.name.clone(),
                why: why(),
            })
    }
}

/// Starts a PF of whatever kind on a host.
fn open(config: &PfConfig, tree: &HostTree) -> Result<Arc<dyn PhysicalFunction>, PfError> {
    let Some(hardware) = &config.hardware else {
        return Ok(SoftPf::start(soft(config))?);
    };
    // Each looks itself whether it knows the function.
    match hardware
        .driver
        .unwrap_or_else(|| knows(tree, hardware.address))
    {
        Driver::VirtioNet => {
            let config = VirtioPfConfig {
                name: config.name.clone(),
                address: hardware.address,
                queue_pairs: config.queue_pairs,
                workers: config.workers,
            };
            Ok(VirtioPf::start(config, tree)?)
        }
        Driver::Igb => {
            let config = IgbPfConfig {
                name: config.name.clone(),
                address: hardware.address,
                workers: config.workers,
            };
            Ok(IgbPf::start(config, tree)?)
        }
    }
}

/// The driver that knows a function; of one that nobody knows, any says so.
fn knows(tree: &HostTree, address: PciAddress) -> Driver {
    match tree.look(address) {
        Ok(function) if virtio::IDS.contains(&function.id) => Driver::VirtioNet,
        _ => Driver::Igb,
    }
}

fn soft(config: &PfConfig) -> SoftPfConfig {
    SoftPfConfig {
        name: config.name.clone(),
        queue_pairs: config.queue_pairs,
        rss_domains: config.rss_domains,
        vectors: config.vectors,
        doorbell_pages: config.doorbell_pages,
        filters: config.filters,
        workers: config.workers,
        uplink: match &config.uplink {
            Uplink::None => UplinkConfig::None,
            Uplink::Tap { name, bridge } => {
                let (name, bridge) = (name.clone(), bridge.clone());
                UplinkConfig::Tap(TapConfig {
                    name,
                    bridge,
                    mtu: None,
                })
            }
        },
    }
}

impl Backend for RealBackend {
    fn pfs(&self) -> Vec<PfView> {
        let view = |pf: &Pf| {
            let devices = pf.devices.load(Ordering::Relaxed);
            numbers::pf(&*pf.function, devices, self.groups.view(pf.function.name()))
        };
        self.pfs.iter().map(view).collect()
    }

    fn compose(
        &self,
        definition: &Definition,
        share: &GroupShare,
        profile: &Arc<Profile>,
    ) -> Result<Arc<dyn Device>, EngineError> {
        let name = &definition.name;
        let pf = self.pf(definition)?;
        let path = self.dir.join(format!("{name}.sock"));
        let place = Access::resolve(&definition.socket)
            .and_then(|access| Place::prepare(&path, access))
            .map_err(|error| socket_error(name, &error))?;
        let gate = Arc::new(DeviceGate::new(
            profile,
            definition.given(),
            self.events.clone(),
        ));
        let spec = CvfSpec {
            policy: PortPolicy {
                group: self.groups.place(&definition.pf, share)?,
                ..port_policy(definition, profile)
            },
            ..definition.spec()
        };
        let cvf = Cvf::compose(pf.function.clone(), spec, gate.clone())
            .map_err(|error| compose_error(name, &error))?;
        gate.conduct().about(&cvf);
        cvf.set_link(definition.link.shown(pf.uplink.is_up()));
        let description = adapter::describe(&cvf).map_err(|error| EngineError::Internal {
            attempted: "create",
            name: name.clone(),
            why: error.to_string(),
        })?;
        let (runtime, devices) = (self.runtime.clone(), pf.devices.clone());
        let served = Arc::new(ServedCvf::new(
            cvf,
            (definition, gate, self.groups.clone()),
            Arc::new(description),
            place,
            runtime,
            devices,
            (self.patrol.clone(), self.events.clone(), pf.uplink.clone()),
        ));
        pf.uplink.add(&served);
        Ok(served)
    }

    fn fits(&self, definition: &Definition) -> Result<(), EngineError> {
        self.suits(definition)?;
        let (name, pf) = (&definition.name, self.pf(definition)?);
        let refuse = |error: CutError| compose_error(name, &error.into());
        // Cut and given back at once: what is there may be another's a moment later anyway.
        let request = definition.spec().request(&pf.function.capabilities());
        let slice = pf.function.ledger().cut(name, &request).map_err(refuse)?;
        slice.release();
        self.groups.fits(definition)
    }

    fn suits(&self, definition: &Definition) -> Result<(), EngineError> {
        // One that is not configured is told where the device is started.
        self.pf(definition).map_or(Ok(()), |pf| {
            suits(definition, &definition.pf, &pf.function.capabilities())
        })
    }

    fn takes(&self, definition: &Definition) -> Result<(), EngineError> {
        self.groups.fits(definition)
    }

    fn events(&self) -> &Events {
        &self.events
    }
}

#[cfg(test)]
mod tests;
