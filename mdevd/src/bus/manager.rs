//! The interface `io.mdevd1.Manager`.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use zbus::interface;
use zbus::object_server::ResponseDispatchNotifier;

use super::convert::{Dict, dict_to_json, to_dict};
use super::error::BusError;
use crate::engine::{CreateRequest, Engine, EngineError, ErrorKind, SetRequest, VersionView};
use crate::limits::{FAREWELL_DEADLINE, MAX_PAGE};
use crate::nearest;

/// One connection's face of the engine. Calls of one connection are served one after the other, so
/// a peer that does not read its replies stops its own calls only.
pub struct Manager {
    engine: Arc<dyn Engine>,
}

impl Manager {
    /// A face of `engine`.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    /// Runs `work` where it may block.
    async fn ask<T, F>(&self, work: F) -> Result<T, BusError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Engine) -> Result<T, EngineError> + Send + 'static,
    {
        let engine = self.engine.clone();
        match tokio::task::spawn_blocking(move || work(&*engine)).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(internal(format!("the command did not end well: {error}"))),
        }
    }
}

fn internal(message: String) -> BusError {
    BusError {
        kind: ErrorKind::Internal,
        message,
    }
}

fn dict(value: &impl Serialize) -> Result<Dict, BusError> {
    to_dict(value).map_err(|why| internal(format!("the answer cannot be expressed: {why}")))
}

/// Reads options into `T`, whose keys are `known`.
fn options<T: DeserializeOwned>(options: &Dict, known: &[&str]) -> Result<T, EngineError> {
    if let Some(unknown) = options.keys().find(|key| !known.contains(&key.as_str())) {
        let hint = nearest::hint(unknown, known.iter().copied());
        let why = format!("there is no such option{hint}");
        return Err(EngineError::invalid("option", unknown, why));
    }
    // One by one, so that a complaint can name the option.
    let all = dict_to_json(options);
    for (key, value) in all.as_object().into_iter().flatten() {
        let one = Json::Object([(key.clone(), value.clone())].into_iter().collect());
        if let Err(error) = serde_json::from_value::<T>(one) {
            return Err(EngineError::invalid(key, value, error));
        }
    }
    serde_json::from_value(all).map_err(|error| EngineError::invalid("options", "", error))
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct DestroyOptions {
    force: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct NoOptions {}

#[derive(Serialize)]
struct StopView {
    result: &'static str,
    devices: usize,
    connected: usize,
}

#[interface(name = "io.mdevd1.Manager", spawn = false)]
impl Manager {
    /// Makes a device. An empty name has one made. Options: pf, personality, queue_pairs, mac, mtu, vlan,
    /// doorbells, interrupts, ring_format, socket_owner, socket_group, socket_mode.
    #[zbus(out_args("device"))]
    async fn create(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let known: Vec<_> = CreateRequest::KEYS
            .into_iter()
            .filter(|key| *key != "name")
            .collect();
        let name = Some(name).filter(|name| !name.is_empty());
        let mut request: CreateRequest =
            self::options(&options, &known).map_err(|error| error.creating(name.as_deref()))?;
        request.name = name;
        dict(&self.ask(move |engine| engine.create(request)).await?)
    }

    /// Takes a device away for good. Options: force (b): cut a connected client off.
    async fn destroy(&self, name: String, options: Dict) -> Result<(), BusError> {
        let DestroyOptions { force } = self::options(&options, &["force"])?;
        self.ask(move |engine| engine.destroy(&name, force)).await
    }

    /// Changes attributes of a device while it runs. Options: link: up or down.
    #[zbus(out_args("changed"))]
    async fn set(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let request: SetRequest = self::options(&options, &SetRequest::KEYS)
            .map_err(|error| error.on("change", &name))?;
        dict(&self.ask(move |engine| engine.set(&name, request)).await?)
    }

    /// Asks the guest's driver to announce its addresses to the network.
    async fn announce(&self, name: String, options: Dict) -> Result<(), BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        self.ask(move |engine| engine.announce(&name)).await
    }

    /// Up to `limit` devices with names after `after`; `next` is the `after` of the next page, or empty.
    #[zbus(out_args("devices", "next"))]
    async fn list(
        &self,
        after: String,
        limit: u32,
        options: Dict,
    ) -> Result<(Vec<Dict>, String), BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        let limit = usize::try_from(limit).unwrap_or(MAX_PAGE);
        let page = self
            .ask(move |engine| Ok(engine.list(&after, limit)))
            .await?;
        Ok((
            page.devices.iter().map(dict).collect::<Result<_, _>>()?,
            page.next,
        ))
    }

    /// Everything about one device.
    #[zbus(out_args("device"))]
    async fn show(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.show(&name)).await?)
    }

    /// Counters of one device.
    #[zbus(out_args("stats"))]
    async fn stats(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.stats(&name)).await?)
    }

    /// The PFs and what is left of them.
    #[zbus(out_args("pfs"))]
    async fn list_pfs(&self, options: Dict) -> Result<Vec<Dict>, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        let pfs = self.ask(|engine| Ok(engine.pfs())).await?;
        pfs.iter().map(dict).collect()
    }

    /// One PF.
    #[zbus(out_args("pf"))]
    async fn show_pf(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.pf(&name)).await?)
    }

    /// Reads the daemon's configuration again. The answer names what is in force now (changed) and what waits for a
    /// restart (restart); a broken file is refused, and nothing changes.
    #[zbus(out_args("outcome"))]
    async fn reload(&self, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(|engine| engine.reload()).await?)
    }

    /// Stops the daemon. Refused while clients are connected. Options: force (b): stop all the same.
    #[zbus(out_args("outcome"))]
    async fn shutdown(&self, options: Dict) -> Result<ResponseDispatchNotifier<Dict>, BusError> {
        let DestroyOptions { force } = self::options(&options, &["force"])?;
        let census = self.ask(move |engine| engine.prepare_stop(force)).await?;
        tracing::info!(force, "asked to stop: {}", census.status());
        let outcome = dict(&StopView {
            result: "stopping",
            devices: census.devices,
            connected: census.connected,
        })?;
        let (response, sent) = ResponseDispatchNotifier::new(outcome);
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL_DEADLINE, sent).await;
            engine.stop();
        });
        Ok(response)
    }

    /// The daemon's version, the interface's version (api) and the process id.
    #[zbus(out_args("version"))]
    async fn version(&self, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&VersionView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: super::API,
            pid: std::process::id(),
        })
    }
}
