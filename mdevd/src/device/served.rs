//! One CVF and its socket, from composed to retired.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use libcvf::control::ControlRequest;
use libcvf::cvf::Cvf;
use parking_lot::Mutex;
use policies::Profile;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use vfio_user_server::{Config, Description, Ended, Observer};

use super::adapter::Adapter;
use super::errors::{change_error, socket_error};
use super::gate::DeviceGate;
use super::groups::Groups;
use super::patrol::Patrol;
use super::uplink::Followed;
use super::{capture, change, numbers, quiet};
use crate::engine::{
    Capture, Client, Definition, Device, EngineError, Events, GroupShare, Happening, Health, Link,
    LookUp, Stats,
};
use crate::limits::QUIESCE_DEADLINE;
use crate::session::{Guest, Place, Visits, listen};

/// A CVF that clients can find once it is open.
pub(super) struct ServedCvf {
    name: String,
    path: PathBuf,
    cvf: Arc<Cvf>,
    gate: Arc<DeviceGate>,
    groups: Arc<Groups>,
    /// What it is. Held while it changes: changes come one after the other.
    now: Mutex<Definition>,
    description: Arc<Description>,
    observer: Observer,
    visits: Visits,
    events: Events,
    patrol: Patrol,
    uplink: Followed,
    runtime: Handle,
    /// Devices of its PF.
    siblings: Arc<AtomicU64>,
    stage: Mutex<Stage>,
}

enum Stage {
    /// Bound where nobody looks.
    Prepared(Place),
    Open(Place, Listening),
    Retired,
}

/// The listener's task.
struct Listening {
    stop: oneshot::Sender<()>,
    /// Disconnected when the task has ended and dropped all it had.
    ended: mpsc::Receiver<()>,
}

impl ServedCvf {
    /// Takes over a composed CVF; `siblings` counts it from now on.
    pub(super) fn new(
        cvf: Arc<Cvf>,
        (definition, gate, groups): (&Definition, Arc<DeviceGate>, Arc<Groups>),
        description: Arc<Description>,
        place: Place,
        runtime: Handle,
        siblings: Arc<AtomicU64>,
        (patrol, events, uplink): (Patrol, Events, Followed),
    ) -> Self {
        siblings.fetch_add(1, Ordering::Relaxed);
        let name = cvf.spec().name.clone();
        Self {
            visits: Visits::new(&name, events.clone()),
            name,
            path: place.path().to_owned(),
            cvf,
            gate,
            groups,
            now: Mutex::new(definition.clone()),
            description,
            observer: Observer::new(),
            events,
            patrol,
            uplink,
            runtime,
            siblings,
            stage: Mutex::new(Stage::Prepared(place)),
        }
    }

    /// Shows its guest the link that its PF has now, if it is to follow that. Waits for a change that is under way.
    pub(super) fn follow(&self) {
        let now = self.now.lock();
        if now.link == Link::Auto && self.cvf.set_link(self.uplink.is_up()) {
            self.events
                .publish(Happening::changed(&self.name, &["link"]));
        }
    }
}

/// What the listener's task needs of the device.
struct Host {
    cvf: Arc<Cvf>,
    gate: Arc<DeviceGate>,
    description: Arc<Description>,
    observer: Observer,
    patrol: Patrol,
    events: Events,
}

impl Guest for Host {
    fn serve(&self, stream: UnixStream) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> {
        let (cvf, gate) = (self.cvf.clone(), self.gate.clone());
        let (description, events) = (self.description.clone(), self.events.clone());
        let patrol = self.patrol.clone();
        let mut adapter = Adapter::new(cvf, gate, description, patrol, events);
        let observer = self.observer.clone();
        Box::pin(async move {
            let config = Config::default();
            let ended =
                vfio_user_server::tokio::serve(stream, &mut adapter, &config, &observer).await;
            let late = match adapter.leaving() {
                Some(quiescing) => quiet::quiet(quiescing).await.err(),
                None => None,
            };
            match (ended, late) {
                (_, Some(late)) => Some(late.to_string()),
                (Ended::ClientClosed, None) => None,
                (other, None) => Some(other.to_string()),
            }
        })
    }
}

impl Device for ServedCvf {
    fn socket(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<(), EngineError> {
        let mut stage = self.stage.lock();
        let mut place = match std::mem::replace(&mut *stage, Stage::Retired) {
            Stage::Prepared(place) => place,
            other => {
                *stage = other;
                return Ok(());
            }
        };
        let listener = place
            .open()
            .map_err(|error| socket_error(&self.name, &error))?;
        let _runtime = self.runtime.enter();
        let listener = UnixListener::from_std(listener).map_err(|error| EngineError::Internal {
            attempted: "open",
            name: self.name.clone(),
            why: error.to_string(),
        })?;
        let host = Host {
            cvf: self.cvf.clone(),
            gate: self.gate.clone(),
            description: self.description.clone(),
            observer: self.observer.clone(),
            patrol: self.patrol.clone(),
            events: self.events.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let (alive, ended) = mpsc::channel();
        let listening = listen(
            self.cvf.spec().identity(),
            listener,
            host,
            self.visits.clone(),
            stopped,
        );
        self.runtime.spawn(async move {
            listening.await;
            drop::<mpsc::Sender<()>>(alive);
        });
        *stage = Stage::Open(place, Listening { stop, ended });
        Ok(())
    }

    fn client(&self) -> Option<Client> {
        self.visits.client()
    }

    fn health(&self) -> Health {
        numbers::health(&self.cvf, &self.observer, &self.visits)
    }

    fn joined_vlans(&self, beside: &ControlRequest) -> u16 {
        self.cvf.joined_vlans(beside)
    }

    fn share(&self) -> GroupShare {
        Groups::share_of(self.cvf.policy().group.as_ref())
    }

    fn stats(&self) -> Stats {
        numbers::stats(&self.cvf, &self.observer)
    }

    fn change(&self, to: &Definition, profile: &Arc<Profile>) -> Result<Vec<String>, EngineError> {
        let mut now = self.now.lock();
        // What it is defined with anyway it has as far as there is some: another change does not wait for that.
        let place = if now.share == to.share {
            self.groups.possible(to)?
        } else {
            self.groups.place(&to.pf, &to.share)?
        };
        let beside = (place, self.uplink.is_up());
        let changed = change::change(&self.cvf, &self.gate, (&now, to), profile, beside);
        let notes = changed.map_err(|error| change_error(&self.name, &error))?;
        to.clone_into(&mut now);
        Ok(notes)
    }

    fn repolicy(&self, look_up: &LookUp<'_>) -> Result<Vec<String>, EngineError> {
        let now = self.now.lock();
        if matches!(*self.stage.lock(), Stage::Retired) {
            // It may be somebody else's turn to have what it had.
            return Ok(Vec::new());
        }
        let Some(profile) = look_up(&now.profile) else {
            return Ok(Vec::new());
        };
        let beside = (self.groups.possible(&now)?, self.uplink.is_up());
        change::change(&self.cvf, &self.gate, (&now, &now), &profile, beside)
            .map_err(|error| change_error(&self.name, &error))
    }

    fn announce(&self) -> bool {
        self.cvf.announce()
    }

    fn take_over(&self) -> Result<bool, EngineError> {
        // One after the other: the second finds it done.
        let _now = self.now.lock();
        if self.cvf.counts() {
            return Ok(false);
        }
        let refused = |why: String| EngineError::NotReady {
            attempted: "take over",
            name: self.name.clone(),
            why,
        };
        if !self.cvf.driver_runs() {
            let driver = numbers::driver(&self.cvf.health());
            return Err(refused(format!(
                "its hardware works for no driver now ({driver}); repeat when the driver in the guest runs"
            )));
        }
        self.cvf.stand_aside().map_err(|why| {
            let then = if self.cvf.driver_runs() {
                let name = &self.name;
                format!("to have the daemon work them stop it ('cvfctl stop {name}') and set data-path=auto")
            } else {
                "it is stopped until its driver resets it".to_owned()
            };
            refused(format!("{why}; {then}"))
        })?;
        self.patrol.turned();
        Ok(true)
    }

    fn capture(&self, capture: Capture) -> Result<OwnedFd, EngineError> {
        capture::begin(&self.cvf, &self.events, &self.runtime, capture)
    }

    fn retire(&self) -> Result<(), EngineError> {
        let stage = {
            // Whoever is changing it comes to an end before.
            let _now = self.now.lock();
            std::mem::replace(&mut *self.stage.lock(), Stage::Retired)
        };
        let stalled = |why: String| EngineError::Stalled {
            name: self.name.clone(),
            why,
        };
        match stage {
            Stage::Retired => return Ok(()),
            Stage::Prepared(_) => {}
            Stage::Open(place, listening) => {
                // No new client, then no client.
                place.remove();
                let _ = listening.stop.send(());
                if listening.ended.recv_timeout(QUIESCE_DEADLINE)
                    == Err(mpsc::RecvTimeoutError::Timeout)
                {
                    let identity = self.cvf.spec().identity();
                    tracing::error!(device = identity.device, uuid = %identity.uuid(), "its session does not end");
                }
            }
        }
        self.siblings.fetch_sub(1, Ordering::Relaxed);
        let quiet = self.cvf.dismantle().wait(QUIESCE_DEADLINE);
        quiet.map_err(|error| stalled(error.to_string()))
    }
}

impl Drop for ServedCvf {
    fn drop(&mut self) {
        if let Err(error) = self.retire() {
            let identity = self.cvf.spec().identity();
            tracing::warn!(device = identity.device, uuid = %identity.uuid(), "{error}");
        }
    }
}
