//! The daemon from start to stop.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::bus::system::{AdminGroup, JoinError, SystemBus};
use crate::bus::{BusSocket, ServeError};
use crate::callouts::Callouts;
use crate::config::{self, Args, BUS_SOCKET, Config, DEVICE_DIR};
use crate::device::{BackendError, GroupRates, Groups, RealBackend};
use crate::engine::{BootId, Catalog, Due, Engine};
use crate::limits::{FILES_PER_DEVICE, PULSE_PATIENCE, READY_PATIENCE, WIND_UP_DEADLINE};
use crate::logs::LogControl;
use crate::metrics::{MetricsError, MetricsServer};
use crate::profiles::{NoProfile, Profiles};
use crate::service::{
    self, ActivationError, Around, CalloutSettings, LogLevel, ProfileFiles, Reloader,
    SocketDefaults, Watchdog,
};
use crate::session::Place;
use crate::store::{DirLock, LockError, RedbStore, StoreError};

/// The daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A directory cannot be made.
    #[error("cannot make the {what} directory {}: {error}; give one that can be made or written", path.display())]
    Directory {
        /// "state" or "runtime".
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// Another daemon uses the runtime directory, or it is not writable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`BackendError`].
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// See [`ServeError`].
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Devices would have no profile.
    #[error("the default profile '{name}' cannot be: {}", start_anyway(why))]
    DefaultProfile {
        /// Its name.
        name: String,
        /// Why not.
        why: NoProfile,
    },
    /// The system bus was to be joined at any rate.
    #[error("{0}; it is wanted at any rate (system-bus = \"on\")")]
    SystemBus(#[from] JoinError),
    /// See [`ActivationError`].
    #[error("cannot take over the control socket: {0}")]
    Activation(#[from] ActivationError),
    /// See [`MetricsError`].
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Signals cannot be received, or a thread not be started.
    #[error("the system refused what the daemon needs: {0}")]
    System(#[from] io::Error),
}

/// Why there is no such profile, and what to do while no daemon runs.
fn start_anyway(why: &NoProfile) -> String {
    let else_ = "name another one (default-profile, --default-profile)";
    match why {
        NoProfile::Unknown { hint } => {
            format!(
                "there is no profile of that name{hint}; put its file into the profile directory, or {else_}"
            )
        }
        NoProfile::Broken(fault) => format!(
            "its file cannot be used: {fault}; mend it ('cvfctl policy check FILE' judges it without the daemon), or \
             {else_}, and start again"
        ),
    }
}

/// A running daemon, before it serves.
struct Daemon {
    catalog: Arc<Catalog>,
    callouts: Arc<Callouts>,
    bus: Control,
    groups: Arc<Groups>,
    _runtime_lock: DirLock,
}

/// The control socket before it is served.
enum Control {
    /// Ours.
    Made(Place),
    /// The service manager's.
    Handed(UnixListener),
}

/// Runs until SIGTERM, SIGINT or a client's wish; then takes everything away again.
///
/// `args` are what `config` was made of, for a reload; `logs` changes what is logged.
///
/// # Errors
/// [`DaemonError`]: it did not start.
pub async fn run(config: Config, args: Args, logs: LogControl) -> Result<(), DaemonError> {
    // Before anything else, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    raise_descriptor_limit();
    let runtime = Handle::current();
    let (wanted, group) = (config.system_bus, config.bus_admin_group.clone());
    let in_force = config.clone();
    let boot = args.boot_id.unwrap_or_else(BootId::of_kernel);
    let daemon = blocking(move || start(&config, boot, runtime)).await??;
    let (catalog, callouts) = (daemon.catalog, daemon.callouts);
    let group = blocking(move || group.and_then(admin_group)).await?;
    let system = SystemBus::new(catalog.clone(), group);
    let joined = match wanted {
        config::SystemBus::On => Some(system.join().await?),
        config::SystemBus::Auto | config::SystemBus::Off => None,
    };
    let on_system_bus = async {
        match wanted {
            config::SystemBus::Off => std::future::pending().await,
            config::SystemBus::Auto | config::SystemBus::On => system.stay(joined).await,
        }
    };
    let metrics = MetricsServer::open(&in_force.metrics)?;
    let stop = Arc::new(Notify::new());
    let reloader = reloader(
        args,
        in_force,
        logs,
        (&catalog, daemon.groups, callouts.clone()),
    );
    catalog.attach(Arc::new(Around::new(reloader, stop.clone(), &catalog)));
    let bus = match daemon.bus {
        Control::Made(place) => BusSocket::open(place)?,
        Control::Handed(listener) => BusSocket::adopt(listener)?,
    };
    let _watchdog = watchdog(&catalog)?;
    tracing::info!(socket = %bus.path().display(), "ready");
    tokio::spawn(get_ready(catalog.clone()));
    let scrapes = async {
        match &metrics {
            Some(metrics) => {
                tracing::info!(address = metrics.address(), "metrics are offered");
                metrics.serve(catalog.clone()).await;
            }
            None => std::future::pending().await,
        }
    };
    let reloads = async {
        while hang_up.recv().await.is_some() {
            let catalog = catalog.clone();
            // What came of it was logged.
            let _ = blocking(move || catalog.reload()).await;
        }
    };
    let ending = async {
        tokio::select! {
            () = stop.notified() => tracing::info!("stopping: a client asked for it"),
            _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
            _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
        }
        service::stopping();
        wind_up(&catalog, &system).await;
    };
    tokio::select! {
        () = on_system_bus => {}
        () = bus.serve(catalog.clone()) => {}
        () = scrapes => {}
        () = reloads => {}
        () = ending => {}
    }
    drop(bus);
    blocking(move || catalog.shut_down()).await?;
    // Threads that wait for scripts need the runtime, which goes next.
    if tokio::time::timeout(WIND_UP_DEADLINE, callouts.close())
        .await
        .is_err()
    {
        tracing::warn!("callouts do not end; they are not waited for");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Starts what is to run and does not yet, while commands are served. The service manager is told that the daemon is ready
/// when that is done, so that VMs that come after it find their devices; not much later where scripts are slow.
async fn get_ready(catalog: Arc<Catalog>) {
    let its = catalog.clone();
    let mut started = tokio::spawn(blocking(move || its.start_due()));
    let status = || catalog.census(PULSE_PATIENCE).unwrap_or_default().status();
    let in_time = tokio::time::timeout(READY_PATIENCE, &mut started).await;
    service::ready(&status());
    let due = match in_time {
        Ok(due) => due,
        Err(_) => {
            tracing::warn!("ready while devices wait to be started ('cvfctl jobs' shows for what)");
            started.await
        }
    };
    match due {
        Ok(Ok(due)) if due == Due::default() => {}
        Ok(Ok(Due { started, failed })) => {
            tracing::info!(started, failed, "devices started");
            service::faring(&status());
        }
        Ok(Err(error)) => tracing::error!("devices were not started: {error}"),
        Err(error) => tracing::error!("devices were not started: {error}"),
    }
}

/// Commands that can go back do, while those who wait for them can still be told.
async fn wind_up(catalog: &Arc<Catalog>, system: &SystemBus) {
    let (jobs, its) = (catalog.jobs().clone(), catalog.clone());
    let told = async {
        // What came of it is told by the jobs.
        let _ = blocking(move || its.wind_up()).await;
        jobs.settled().await;
        system.told().await;
    };
    if tokio::time::timeout(WIND_UP_DEADLINE, told).await.is_err() {
        tracing::warn!("commands are at work that cannot go back; they are not waited for");
    }
}

/// The configured group, which was there when the configuration was read.
fn admin_group(name: String) -> Option<AdminGroup> {
    match crate::session::group(&name) {
        Ok(gid) => Some(AdminGroup {
            name,
            gid: gid.as_raw(),
        }),
        Err(why) => {
            tracing::warn!("nobody but root manages devices over the system bus: {why}");
            None
        }
    }
}

/// What takes a new configuration without a restart. Further parts belong into this list.
fn reloader(
    args: Args,
    in_force: Config,
    logs: LogControl,
    (catalog, groups, callouts): (&Arc<Catalog>, Arc<Groups>, Arc<Callouts>),
) -> Reloader {
    let parts: Vec<Arc<dyn service::Part>> = vec![
        Arc::new(LogLevel(logs)),
        Arc::new(SocketDefaults(Arc::downgrade(catalog))),
        Arc::new(ProfileFiles(Arc::downgrade(catalog))),
        Arc::new(GroupRates(groups, Arc::downgrade(catalog))),
        Arc::new(CalloutSettings(callouts)),
    ];
    Reloader::new(args, in_force, parts)
}

/// Where the service manager wants to hear that all is well.
fn watchdog(catalog: &Arc<Catalog>) -> io::Result<Option<Watchdog>> {
    let Some(interval) = service::interval() else {
        return Ok(None);
    };
    let catalog = catalog.clone();
    let pulse = move |patience| Some(catalog.census(patience)?.status());
    Watchdog::start(interval, Handle::current(), pulse).map(Some)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
}

fn start(config: &Config, boot: BootId, runtime: Handle) -> Result<Daemon, DaemonError> {
    make_dir("state", &config.state_dir, 0o700)?;
    // Clients of other users, a VM's for example, must be able to reach their sockets.
    make_dir("runtime", &config.runtime_dir, 0o755)?;
    let lock = DirLock::acquire(&config.runtime_dir, "runtime")?;
    let store = RedbStore::open(&config.state_dir)?;
    let bus = match service::control_socket()? {
        Some(listener) => Control::Handed(listener),
        None => Control::Made(BusSocket::prepare(&config.runtime_dir.join(BUS_SOCKET))?),
    };
    let devices = config.runtime_dir.join(DEVICE_DIR);
    make_dir("runtime", &devices, 0o755)?;
    let groups = Groups::new(config.rate_groups.clone());
    let callout_runtime = runtime.clone();
    let backend = RealBackend::start(&devices, &config.pfs, groups.clone(), runtime)?;
    for pf in &config.pfs {
        tracing::info!("PF {pf}");
    }
    let profiles = Profiles::new(config.profile_dir.as_deref(), &config.default_profile);
    if let Err(why) = profiles.get(profiles.default_name()) {
        let name = profiles.default_name().to_owned();
        return Err(DaemonError::DefaultProfile { name, why });
    }
    let address = config.runtime_dir.join(BUS_SOCKET);
    let callouts = Callouts::start(config.callouts.clone(), &address, callout_runtime)?;
    let callouts = Arc::new(callouts);
    let catalog = Catalog::new(
        Arc::new(backend),
        Arc::new(store),
        Arc::new(profiles),
        config.sockets.clone(),
    )
    .at_boot(boot)
    .with_hooks(callouts.clone());
    let restored = catalog.restore()?;
    if restored != crate::engine::Restored::default() {
        tracing::info!(
            ready = restored.ready,
            failed = restored.failed,
            due = restored.due,
            defined = restored.defined,
            dropped = restored.dropped,
            "devices restored"
        );
    }
    Ok(Daemon {
        catalog: Arc::new(catalog),
        callouts,
        bus,
        groups,
        _runtime_lock: lock,
    })
}

/// Makes a directory and its parents; the last gets `mode`, whatever the umask. One that exists stays.
fn make_dir(what: &'static str, path: &Path, mode: u32) -> Result<(), DaemonError> {
    let refuse = |error| DaemonError::Directory {
        what,
        path: path.to_owned(),
        error,
    };
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(refuse)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(refuse)
}

/// Devices need descriptors: a listener each, and what their client gives them. Says how many there
/// are, for that is how many devices there can be.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(limit) => tracing::info!(
            limit,
            "open files: enough for about {} devices",
            limit / FILES_PER_DEVICE
        ),
        Err(error) => tracing::warn!("cannot raise the limit of open files: {error}"),
    }
}
