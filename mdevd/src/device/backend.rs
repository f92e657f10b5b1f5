//! PFs, and devices composed from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use libcvf::control::Gatekeeper;
use libcvf::cvf::{Cvf, CvfSpec};
use libcvf::pf::{PfError, PhysicalFunction, SoftPf, SoftPfConfig, TapConfig, UplinkConfig};
use tokio::runtime::Handle;

use super::errors::{compose_error, socket_error};
use super::served::ServedCvf;
use super::{adapter, numbers};
use crate::config::{PfConfig, Uplink};
use crate::engine::{
    Backend, Definition, Device, Doorbells, EngineError, Interrupts, PfView, RingFormat,
};
use crate::session::{Access, Place};

/// A PF cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Its own reason.
    #[error("cannot start a PF: {0}")]
    Pf(#[from] PfError),
}

/// Soft PFs and the directory of their devices' sockets.
pub struct RealBackend {
    dir: PathBuf,
    pfs: Vec<Pf>,
    runtime: Handle,
    gate: Arc<dyn Gatekeeper>,
}

struct Pf {
    function: Arc<dyn PhysicalFunction>,
    devices: Arc<AtomicU64>,
}

impl RealBackend {
    /// Starts the PFs. Sockets appear in `dir` and are served on `runtime`.
    ///
    /// # Errors
    /// The first PF that cannot be started; none is left running.
    pub fn start(dir: &Path, pfs: &[PfConfig], runtime: Handle) -> Result<Self, BackendError> {
        let start = |config: &PfConfig| -> Result<Pf, BackendError> {
            let function: Arc<dyn PhysicalFunction> = SoftPf::start(soft(config))?;
            Ok(Pf {
                function,
                devices: Arc::default(),
            })
        };
        Ok(Self {
            dir: dir.to_owned(),
            pfs: pfs.iter().map(start).collect::<Result<_, _>>()?,
            runtime,
            gate: Arc::new(policies::DefaultGatekeeper),
        })
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

fn spec(definition: &Definition) -> CvfSpec {
    CvfSpec {
        name: definition.name.clone(),
        uuid: *definition.uuid.as_bytes(),
        mac: definition.mac,
        mtu: definition.mtu,
        vlan: definition.vlan,
        queue_pairs: definition.queue_pairs,
        doorbells: match definition.doorbells {
            Doorbells::Trapped => libcvf::cvf::Doorbells::Trapped,
            Doorbells::Mapped => libcvf::cvf::Doorbells::Mapped,
        },
        interrupts: match definition.interrupts {
            Interrupts::Msix => libcvf::cvf::Interrupts::Msix,
            Interrupts::Intx => libcvf::cvf::Interrupts::Intx,
        },
        ring_formats: match definition.ring_format {
            RingFormat::Split => libcvf::cvf::RingFormats::Split,
            RingFormat::Packed => libcvf::cvf::RingFormats::Packed,
            RingFormat::Any => libcvf::cvf::RingFormats::Any,
        },
        policy: libcvf::cvf::PortPolicy::default(),
    }
}

impl Backend for RealBackend {
    fn pfs(&self) -> Vec<PfView> {
        let view = |pf: &Pf| numbers::pf(&*pf.function, pf.devices.load(Ordering::Relaxed));
        self.pfs.iter().map(view).collect()
    }

    fn compose(&self, definition: &Definition) -> Result<Arc<dyn Device>, EngineError> {
        let name = &definition.name;
        let pf = self
            .pfs
            .iter()
            .find(|pf| pf.function.name() == definition.pf);
        let pf = pf.ok_or_else(|| EngineError::NoResources {
            name: name.clone(),
            why: format!(
                "PF '{}' is not configured; configure it and restart",
                definition.pf
            ),
        })?;
        let path = self.dir.join(format!("{name}.sock"));
        let place = Access::resolve(&definition.socket)
            .and_then(|access| Place::prepare(&path, access))
            .map_err(|error| socket_error(name, &error))?;
        let cvf = Cvf::compose(pf.function.clone(), spec(definition), self.gate.clone())
            .map_err(|error| compose_error(name, &error))?;
        let description = adapter::describe(&cvf).map_err(|error| EngineError::Internal {
            attempted: "create",
            name: name.clone(),
            why: error.to_string(),
        })?;
        let (runtime, devices) = (self.runtime.clone(), pf.devices.clone());
        Ok(Arc::new(ServedCvf::new(
            cvf,
            Arc::new(description),
            place,
            runtime,
            devices,
        )))
    }
}
