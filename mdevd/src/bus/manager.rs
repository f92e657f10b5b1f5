//! The interface `io.mdevd1.Manager`.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use zbus::object_server::{ResponseDispatchNotifier, SignalEmitter};
use zbus::zvariant::{ObjectPath, OwnedFd};
use zbus::{Connection, interface};

use super::convert::{Dict, dict_to_json, json_dict, to_dict};
use super::error::BusError;
use super::watch::Watch;
use crate::engine::{
    CaptureRequest, Engine, EngineError, ErrorKind, ExplainRequest, VersionView, other_kind,
};
use crate::limits::{FAREWELL_DEADLINE, MAX_PAGE};
use crate::nearest;

/// One connection's face of the engine. Calls of one connection are served one after the other, so
/// a peer that does not read its replies stops its own calls only.
pub struct Manager {
    engine: Arc<dyn Engine>,
    /// One peer's watch, and which user that is.
    peer: Option<(Watch, u32)>,
}

impl Manager {
    /// A face of `engine`.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, peer: None }
    }

    /// A face of `engine` to one peer, a process of user `uid`, which can watch.
    pub fn of_peer(engine: Arc<dyn Engine>, watch: Watch, uid: u32) -> Self {
        Self {
            engine,
            peer: Some((watch, uid)),
        }
    }

    pub(super) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Whose calls zbus serves: the peer's.
    fn uid(&self) -> u32 {
        let own = || nix::unistd::Uid::effective().as_raw();
        self.peer.as_ref().map_or_else(own, |(_, uid)| *uid)
    }

    /// Runs `work` where it may block, but not for scripts.
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

/// A daemon that was asked to stop and refuses commands since: it stops when this is dropped, whoever asked and left.
pub(super) struct Stop(Arc<dyn Engine>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Stop {
    /// Once `sent` has come to pass, or a moment has.
    fn after(self, sent: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL_DEADLINE, sent).await;
            drop(self);
        });
    }

    /// Where nobody says when the answer has left.
    pub(super) fn after_a_while(self) {
        self.after(std::future::pending());
    }
}

impl Manager {
    /// Has the engine prepare to stop: the answer, and what then stops it.
    pub(super) async fn farewell(&self, options: Dict) -> Result<(Dict, Stop), BusError> {
        let DestroyOptions { force } = self::options(&options, &["force"])?;
        let stop = self.engine.clone();
        let prepared = self.ask(move |engine| Ok((engine.prepare_stop(force)?, Stop(stop))));
        let (census, stop) = prepared.await?;
        tracing::info!(force, "asked to stop: {}", census.status());
        let outcome = dict(&StopView {
            result: "stopping",
            devices: census.devices,
            connected: census.connected,
        })?;
        Ok((outcome, stop))
    }
}

impl Manager {
    /// Begins a capture for somebody: the end to read from.
    pub(super) async fn capture_for(
        &self,
        name: String,
        options: Dict,
        by: String,
    ) -> Result<OwnedFd, BusError> {
        let request: CaptureRequest = self::options(&options, &CaptureRequest::KEYS)
            .map_err(|error| error.on("capture", &name))?;
        let reader = self.ask(move |engine| engine.capture(&name, &request, &by));
        Ok(reader.await?.into())
    }
}

pub(super) fn internal(message: String) -> BusError {
    BusError {
        kind: ErrorKind::Internal,
        message,
    }
}

fn dict(value: &impl Serialize) -> Result<Dict, BusError> {
    to_dict(value).map_err(|why| internal(format!("the answer cannot be expressed: {why}")))
}

/// Reads options into `T`, whose keys are `known`.
pub(super) fn options<T: DeserializeOwned>(
    options: &Dict,
    known: &[&str],
) -> Result<T, EngineError> {
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
            return Err(other_kind(key, value, &error));
        }
    }
    serde_json::from_value(all).map_err(|error| EngineError::invalid("options", "", error))
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct DestroyOptions {
    pub(super) force: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ExportOptions {
    names: Vec<String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct TypesOptions {
    queue_pairs: Option<u64>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct ListStatsOptions {
    pairs: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct NoOptions {}

#[derive(Serialize)]
struct StopView {
    result: &'static str,
    devices: usize,
    connected: usize,
}

#[interface(name = "io.mdevd1.Manager", spawn = false)]
impl Manager {
    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"), name = "Version")]
    fn version_property(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// The interface's version: rises with every addition.
    #[zbus(property(emits_changed_signal = "const"), name = "Api")]
    fn api_property(&self) -> u64 {
        super::API
    }

    /// How many devices can have objects of their own here; 0 on the private socket.
    #[zbus(property(emits_changed_signal = "const"))]
    fn object_limit(&self) -> u64 {
        0
    }

    /// Devices that have none because there are more; the lists have them all. On the private socket none has
    /// one, and this is 0.
    #[zbus(property)]
    fn objects_left_out(&self) -> u64 {
        0
    }

    /// Makes a device, or starts it where it is defined. An empty name has one made. Options: the attributes that
    /// docs/dbus.md lists; persistent (b): define it, too, with start (s: auto, manual) and order (x), else it ends
    /// with this boot of the host; dry_run (b): only tell what would be made; job (b): answer at once with id (t) and
    /// job (o), see ShowJob.
    #[zbus(out_args("device"))]
    async fn create(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Create", name, options, self.uid()).await
    }

    /// Stores a definition without composing it; keeps a transient device that is so already. An empty name has one
    /// made. Options: those of Create without persistent; start (s: auto, manual), order (x); replace (b): in place
    /// of what is defined under that name, at once where it runs; instead_of (s): the same, in place of this definition
    /// only, the JSON text of one of Export; dry_run (b): only tell; job (b): as Create.
    #[zbus(out_args("device"))]
    async fn define(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Define", name, options, self.uid()).await
    }

    /// Forgets a definition; a device that runs goes on as a transient one. Options: job (b): as Create.
    #[zbus(out_args("outcome"))]
    async fn undefine(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Undefine", name, options, self.uid()).await
    }

    /// Composes what is defined. Options: job (b): as Create.
    #[zbus(out_args("device"))]
    async fn start(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Start", name, options, self.uid()).await
    }

    /// Retires a device and keeps its definition; a transient one is gone. Options: force (b): cut a connected
    /// client off; job (b): as Create.
    #[zbus(out_args("outcome"))]
    async fn stop(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Stop", name, options, self.uid()).await
    }

    /// Up to `limit` definitions of persistent devices with names after `after`, each as the options of Define and its
    /// name; `next` is the `after` of the next page, or empty. Options: names (as): those instead, all at once.
    #[zbus(out_args("definitions", "next"))]
    pub(super) async fn export(
        &self,
        after: String,
        limit: u32,
        options: Dict,
    ) -> Result<(Vec<Dict>, String), BusError> {
        let ExportOptions { names } = self::options(&options, &["names"])?;
        let limit = usize::try_from(limit).unwrap_or(MAX_PAGE);
        let page = self
            .ask(move |engine| engine.export(&names, &after, limit))
            .await?;
        Ok((
            page.definitions
                .iter()
                .map(dict)
                .collect::<Result<_, _>>()?,
            page.next,
        ))
    }

    /// Defines what a document says, all of it or nothing: the JSON text that `cvfctl export` prints. The answer says
    /// for each definition what became of it. Options: dry_run (b): only tell; start (b): start them afterwards;
    /// job (b): as Create.
    #[zbus(out_args("outcome"))]
    async fn import(&self, document: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Import", document, options, self.uid()).await
    }

    /// What can be made (types: by PF and personality) and under which limits (profiles). Options: queue_pairs (t):
    /// how many more devices with so many each; 1 if absent.
    #[zbus(out_args("types"))]
    pub(super) async fn list_types(&self, options: Dict) -> Result<Dict, BusError> {
        let TypesOptions { queue_pairs } = self::options(&options, &["queue_pairs"])?;
        let queue_pairs = queue_pairs.unwrap_or(1);
        dict(&self.ask(move |engine| engine.types(queue_pairs)).await?)
    }

    /// Takes a device away for good, and its definition with it. Options: force (b): cut a connected client off.
    async fn destroy(&self, name: String, options: Dict) -> Result<(), BusError> {
        let done = self.command("Destroy", name, options, self.uid()).await;
        done.map(drop)
    }

    /// The same as a job: answers at once with id (t) and job (o), see ShowJob.
    #[zbus(out_args("begun"))]
    async fn destroy_as_job(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("DestroyAsJob", name, options, self.uid())
            .await
    }

    /// Changes attributes of a device while it runs. Options: the attributes that docs/dbus.md lists (a text, `none`
    /// to take one away, or a number); dry_run (b): only tell what would change. One that is not started takes it
    /// for its next start; one that failed is tried again with it. job (b): as Create.
    #[zbus(out_args("changed"))]
    async fn set(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        self.command("Set", name, options, self.uid()).await
    }

    /// Asks the guest's driver to announce its addresses to the network.
    pub(super) async fn announce(&self, name: String, options: Dict) -> Result<(), BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        self.ask(move |engine| engine.announce(&name)).await
    }

    /// Has the daemon work rings that hardware works (data path direct) until the driver's next reset; result (s): taken,
    /// or already. Refused where the driver does not have buffers used in order.
    #[zbus(out_args("outcome"))]
    pub(super) async fn take_over(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.take_over(&name)).await?)
    }

    /// Shows what a device sends and receives: a pipe to read it from as pcapng, until that is closed, the device is
    /// gone, or what was asked for is there. Options: direction (in, out, both); snaplen: most bytes of a frame;
    /// count: frames; seconds; drops (b): only dropped ones.
    #[zbus(out_args("pcapng"))]
    async fn capture(&self, name: String, options: Dict) -> Result<OwnedFd, BusError> {
        let by = format!("uid {} at the control socket", self.uid());
        self.capture_for(name, options, by).await
    }

    /// Up to `limit` devices with names after `after`; `next` is the `after` of the next page, or empty.
    #[zbus(out_args("devices", "next"))]
    pub(super) async fn list(
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
    pub(super) async fn show(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.show(&name)).await?)
    }

    /// Counters of one device.
    #[zbus(out_args("stats"))]
    pub(super) async fn stats(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.stats(&name)).await?)
    }

    /// Counters of up to `limit` devices with names after `after`; `next` is the `after` of the next page, or
    /// empty. Options: pairs (b): by queue pair, too.
    #[zbus(out_args("stats", "next"))]
    pub(super) async fn list_stats(
        &self,
        after: String,
        limit: u32,
        options: Dict,
    ) -> Result<(Vec<Dict>, String), BusError> {
        let ListStatsOptions { pairs } = self::options(&options, &["pairs"])?;
        let limit = usize::try_from(limit).unwrap_or(MAX_PAGE);
        let page = self
            .ask(move |engine| Ok(engine.list_stats(&after, limit, pairs)))
            .await?;
        Ok((
            page.stats.iter().map(dict).collect::<Result<_, _>>()?,
            page.next,
        ))
    }

    /// The PFs and what is left of them.
    #[zbus(out_args("pfs"))]
    pub(super) async fn list_pfs(&self, options: Dict) -> Result<Vec<Dict>, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        let pfs = self.ask(|engine| Ok(engine.pfs())).await?;
        pfs.iter().map(dict).collect()
    }

    /// One PF.
    #[zbus(out_args("pf"))]
    pub(super) async fn show_pf(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.pf(&name)).await?)
    }

    /// The profiles, by name.
    #[zbus(out_args("profiles"))]
    pub(super) async fn list_profiles(&self, options: Dict) -> Result<Vec<Dict>, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        let profiles = self.ask(|engine| Ok(engine.profiles())).await?;
        profiles.iter().map(dict).collect()
    }

    /// One profile with its text.
    #[zbus(out_args("profile"))]
    pub(super) async fn show_profile(&self, name: String, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(move |engine| engine.profile(&name)).await?)
    }

    /// What would become of a guest's request, as `cvfctl policy explain` writes it, rule by rule. Options:
    /// profile; device, or mac, queue_pairs, vlan of one that might be.
    #[zbus(out_args("explanation"))]
    pub(super) async fn explain(&self, request: String, options: Dict) -> Result<Dict, BusError> {
        let about: ExplainRequest = self::options(&options, &ExplainRequest::KEYS)?;
        dict(
            &self
                .ask(move |engine| engine.explain(&request, &about))
                .await?,
        )
    }

    /// Reads the profiles' files anew and gives running devices what they say now.
    #[zbus(out_args("reloaded"))]
    pub(super) async fn reload_profiles(&self, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(|engine| Ok(engine.reload_profiles())).await?)
    }

    /// Has Event signals sent to this peer from now on; `sequence` is that of the last event before. On a
    /// message bus they are sent to whoever matches them, and this only tells the number.
    #[zbus(out_args("sequence"))]
    pub(super) async fn watch(
        &self,
        options: Dict,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        Ok(match &self.peer {
            Some((watch, _)) => watch.start(&self.engine, connection.clone()),
            None => self.engine.events().last_sequence(),
        })
    }

    /// Ends it; `stopped` is false where nothing was being sent.
    #[zbus(out_args("stopped"))]
    pub(super) async fn unwatch(&self, options: Dict) -> Result<bool, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        Ok(self.peer.as_ref().is_some_and(|(watch, _)| watch.stop()))
    }

    /// Something happened. Keys: sequence (t), time_us (t), event (s: created, destroyed, defined, undefined,
    /// started, stopped, changed, connected, disconnected, driver, capture-begun, capture-ended, denied), device
    /// (s), and what belongs to the event. `missed` comes alone, with
    /// count (t): the receiver was too slow for so many.
    #[zbus(signal)]
    async fn event(emitter: &SignalEmitter<'_>, event: Dict) -> zbus::Result<()>;

    /// Up to `limit` jobs with numbers after `after`, those included that ended within the last ten minutes; `next` is
    /// the `after` of the next page, or 0.
    #[zbus(out_args("jobs", "next"))]
    pub(super) async fn list_jobs(
        &self,
        after: u32,
        limit: u32,
        options: Dict,
    ) -> Result<(Vec<Dict>, u32), BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        let limit = usize::try_from(limit).unwrap_or(MAX_PAGE);
        let page = self.engine.jobs().list(after, limit);
        Ok((
            page.jobs.iter().map(dict).collect::<Result<_, _>>()?,
            page.next,
        ))
    }

    /// A job: a command that takes long because it waits for scripts or goes through many devices, or that was begun
    /// as one (option job). Keys: id, method, device, state (s: queued, running, done, failed, cancelled), done and
    /// total (t: steps), uid, asked_us, started_us, ended_us, error.
    #[zbus(out_args("job"))]
    pub(super) async fn show_job(&self, id: u32, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.engine.jobs().show(id)?)
    }

    /// What a job has come to: the answer of its method, or its error.
    #[zbus(out_args("answer"))]
    pub(super) async fn job_result(&self, id: u32, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        json_dict(self.engine.jobs().result(id)?).map_err(internal)
    }

    /// Has a job end with nothing done, or between two devices. Refused where it cannot go back.
    pub(super) async fn cancel_job(&self, id: u32, options: Dict) -> Result<(), BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        Ok(self.engine.jobs().cancel(id)?)
    }

    /// There is a new job. On the private socket `job` is only a name; ShowJob tells about it.
    #[zbus(signal)]
    async fn job_new(emitter: &SignalEmitter<'_>, id: u32, job: ObjectPath<'_>)
    -> zbus::Result<()>;

    /// A job has ended: done, failed or cancelled. It is shown for ten minutes more.
    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: ObjectPath<'_>,
        result: &str,
    ) -> zbus::Result<()>;

    /// Reads the daemon's configuration again. The answer names what is in force now (changed) and what waits for a
    /// restart (restart); a broken file is refused, and nothing changes.
    #[zbus(out_args("outcome"))]
    pub(super) async fn reload(&self, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&self.ask(|engine| engine.reload()).await?)
    }

    /// Stops the daemon. Refused while clients are connected. Options: force (b): stop all the same.
    #[zbus(out_args("outcome"))]
    async fn shutdown(&self, options: Dict) -> Result<ResponseDispatchNotifier<Dict>, BusError> {
        let (outcome, stop) = self.farewell(options).await?;
        let (response, sent) = ResponseDispatchNotifier::new(outcome);
        stop.after(async move {
            let _ = sent.await;
        });
        Ok(response)
    }

    /// The daemon's version, the interface's version (api), the process id, and where definitions are kept
    /// (state_dir).
    #[zbus(out_args("version"))]
    pub(super) async fn version(&self, options: Dict) -> Result<Dict, BusError> {
        let NoOptions {} = self::options(&options, &[])?;
        dict(&VersionView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: super::API,
            pid: std::process::id(),
            state_dir: self.engine.state_dir(),
        })
    }
}
