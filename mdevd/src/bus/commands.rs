//! Commands that may take long: checked first, then done while the caller waits, or as a job.

use futures_lite::future::poll_once;
use serde::Serialize;
use serde_json::Value as Json;
use zbus::zvariant::{ObjectPath, OwnedValue};

use super::convert::{Dict, json_dict};
use super::error::BusError;
use super::manager::{DestroyOptions, Manager, NoOptions, internal, options};
use super::turns::TURNS;
use crate::engine::jobs::About;
use crate::engine::{CreateRequest, DefineRequest, Engine, EngineError, ImportOptions, SetRequest};
use crate::names::check_length;

/// Below it are the jobs: `/io/mdevd1/job/7`.
pub const JOBS_PATH: &str = "/io/mdevd1/job";

type Work = Box<dyn FnOnce(&dyn Engine) -> Result<Json, EngineError> + Send>;

/// A command whose arguments are good.
pub(super) struct Plan {
    about: About,
    /// As refusals say it.
    attempted: &'static str,
    work: Work,
    /// It was asked for as a job.
    job: bool,
}

/// A job's path on the system bus.
pub(super) fn job_path(id: u32) -> String {
    format!("{JOBS_PATH}/{id}")
}

fn json(answer: &impl Serialize, method: &'static str) -> Result<Json, EngineError> {
    serde_json::to_value(answer).map_err(|error| EngineError::Daemon {
        attempted: method,
        kind: crate::engine::ErrorKind::Internal,
        why: format!("the answer cannot be expressed: {error}"),
    })
}

fn work<T: Serialize>(
    method: &'static str,
    command: impl FnOnce(&dyn Engine) -> Result<T, EngineError> + Send + 'static,
) -> Work {
    Box::new(move |engine| json(&command(engine)?, method))
}

/// Takes `job` out of the options.
fn as_job(options: &mut Dict) -> Result<bool, EngineError> {
    let Some(value) = options.remove("job") else {
        return Ok(false);
    };
    bool::try_from(&value)
        .map_err(|_| EngineError::invalid("job", "", "it is true or false, a truth value (b)"))
}

/// What `method` is to do with `argument`, the device or document, and `options`.
///
/// # Errors
/// An option cannot be.
pub(super) fn plan(
    method: &str,
    argument: String,
    mut options: Dict,
    uid: u32,
) -> Result<Plan, EngineError> {
    let job = as_job(&mut options)? || method == "DestroyAsJob";
    let name = argument.clone();
    let (method, attempted, work) = match method {
        "Create" => {
            let known = CreateRequest::KEYS.into_iter();
            let known: Vec<_> = known.filter(|key| *key != "name").chain(["job"]).collect();
            let name = Some(name).filter(|name| !name.is_empty());
            let mut request: CreateRequest =
                self::options(&options, &known).map_err(|error| error.creating(name.as_deref()))?;
            request.name = name;
            let make = |engine: &dyn Engine| engine.create(request);
            ("Create", "create", work("create", make))
        }
        "Define" => {
            let known: Vec<_> = CreateRequest::KEYS
                .into_iter()
                .filter(|key| !["name", "persistent"].contains(key))
                .chain(["replace", "instead_of", "job"])
                .collect();
            let mut request: DefineRequest =
                self::options(&options, &known).map_err(|error| error.on("define", &name))?;
            request.device.name = Some(name).filter(|name| !name.is_empty());
            let define = |engine: &dyn Engine| engine.define(request);
            ("Define", "define", work("define", define))
        }
        "Undefine" => {
            let NoOptions {} = self::options(&options, &["job"])?;
            let undefine = move |engine: &dyn Engine| engine.undefine(&name);
            ("Undefine", "undefine", work("undefine", undefine))
        }
        "Start" => {
            let NoOptions {} = self::options(&options, &["job"])?;
            let start = move |engine: &dyn Engine| engine.start(&name);
            ("Start", "start", work("start", start))
        }
        "Stop" => {
            let DestroyOptions { force } = self::options(&options, &["force", "job"])?;
            let stop = move |engine: &dyn Engine| engine.stop_device(&name, force);
            ("Stop", "stop", work("stop", stop))
        }
        "Set" => {
            let known: Vec<_> = SetRequest::KEYS
                .into_iter()
                .chain(["dry_run", "job"])
                .collect();
            let request: SetRequest =
                self::options(&options, &known).map_err(|error| error.on("change", &name))?;
            let set = move |engine: &dyn Engine| engine.set(&name, request);
            ("Set", "change", work("change", set))
        }
        "Import" => {
            let how: ImportOptions = self::options(&options, &["dry_run", "start", "job"])?;
            let import = move |engine: &dyn Engine| engine.import(&name, how);
            ("Import", "import", work("import", import))
        }
        "Destroy" if job => {
            let why = "Destroy has no answer that could name a job; call DestroyAsJob";
            return Err(EngineError::invalid("job", "true", why).on("destroy", &name));
        }
        "Destroy" | "DestroyAsJob" => {
            let DestroyOptions { force } = self::options(&options, &["force"])?;
            let destroy = move |engine: &dyn Engine| {
                engine.destroy(&name, force)?;
                Ok(serde_json::json!({}))
            };
            ("Destroy", "destroy", work("destroy", destroy))
        }
        other => {
            let why = "it cannot be a job";
            return Err(EngineError::invalid("method", other, why));
        }
    };
    let device = if method == "Import" {
        String::new()
    } else {
        // A job shows what it is about.
        check_length(&argument).map_err(|why| {
            EngineError::invalid("name", &argument, why.to_string()).on(attempted, &argument)
        })?;
        argument
    };
    let about = About {
        method,
        device,
        uid,
    };
    Ok(Plan {
        about,
        attempted,
        work,
        job,
    })
}

impl Manager {
    /// Does a command that may take long for user `uid`: its answer, or that of its job's beginning.
    pub(super) async fn command(
        &self,
        method: &str,
        argument: String,
        options: Dict,
        uid: u32,
    ) -> Result<Dict, BusError> {
        let plan = plan(method, argument, options, uid)?;
        if plan.job {
            return Ok(self.begin(plan).await?);
        }
        let Plan {
            about,
            attempted,
            work,
            ..
        } = plan;
        let engine = self.engine().clone();
        // None of its own where its name is made later, or it is about several.
        let device = Some(about.device.as_str()).filter(|name| !name.is_empty());
        let turn = TURNS.take(&engine, attempted, device).await?;
        let ticket = engine.jobs().attend(about);
        let command = move || {
            let done = ticket.run(|| work(&*engine));
            drop(turn);
            done
        };
        let done = tokio::task::spawn_blocking(command).await;
        let answer =
            done.map_err(|error| internal(format!("the command did not end well: {error}")))??;
        json_dict(answer).map_err(internal)
    }

    /// Has a job go its way, whatever becomes of its caller: after those that were begun before on the same device,
    /// and when it has a place among all.
    async fn begin(&self, plan: Plan) -> Result<Dict, EngineError> {
        let engine = self.engine().clone();
        let device = Some(plan.about.device.clone()).filter(|name| !name.is_empty());
        let ticket = engine.jobs().ask(plan.about)?;
        let id = ticket.id().unwrap_or_default();
        let mut way = Box::pin(async move {
            let line = TURNS.line(&engine, device.as_deref());
            let Some(line) = ticket.unless_cut(line).await else {
                return;
            };
            let Some(turn) = ticket.turn().await else {
                return;
            };
            // Last, so that a job that waits for its place keeps nobody from the device.
            let device = TURNS.device(&engine, device.as_deref());
            let Some(device) = ticket.unless_cut(device).await else {
                return;
            };
            let work = plan.work;
            // What comes of it is the job's to say.
            let _ = tokio::task::spawn_blocking(move || ticket.run(|| work(&*engine))).await;
            drop((device, turn, line));
        });
        // It takes its place in the queues here, so that jobs have the order in which they were asked for.
        if poll_once(&mut way).await.is_none() {
            tokio::spawn(way);
        }
        let mut begun = Dict::from([("id".to_owned(), u64::from(id).into())]);
        if let Ok(path) = ObjectPath::try_from(job_path(id)) {
            begun.insert("job".to_owned(), OwnedValue::from(path));
        }
        Ok(begun)
    }
}
