//! The daemon from start to stop.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::bus::system::{AdminGroup, JoinError, SystemBus};
use crate::bus::{BusSocket, ServeError};
use crate::config::{self, BUS_SOCKET, Config, DEVICE_DIR};
use crate::device::{BackendError, RealBackend};
use crate::engine::Catalog;
use crate::limits::FILES_PER_DEVICE;
use crate::notify::notify;
use crate::profiles::{NoProfile, Profiles};
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
    #[error("the default profile '{name}' cannot be: {why}")]
    DefaultProfile {
        /// Its name.
        name: String,
        /// Why not.
        why: NoProfile,
    },
    /// The system bus was to be joined at any rate.
    #[error("{0}; it is wanted at any rate (system-bus = \"on\")")]
    SystemBus(#[from] JoinError),
    /// Signals cannot be received, or a thread not be started.
    #[error("the system refused what the daemon needs: {0}")]
    System(#[from] io::Error),
}

/// A running daemon, before it serves.
struct Daemon {
    catalog: Arc<Catalog>,
    bus: Place,
    _runtime_lock: DirLock,
}

/// Runs until SIGTERM or SIGINT, then takes everything away again.
///
/// # Errors
/// [`DaemonError`]: it did not start.
pub async fn run(config: Config) -> Result<(), DaemonError> {
    // Before anything else, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    raise_descriptor_limit();
    let runtime = Handle::current();
    let (wanted, group) = (config.system_bus, config.bus_admin_group.clone());
    let daemon = blocking(move || start(&config, runtime)).await??;
    let bus = BusSocket::open(daemon.bus)?;
    let group = blocking(move || group.and_then(admin_group)).await?;
    let system = SystemBus::new(daemon.catalog.clone(), group);
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
    tracing::info!(socket = %bus.path().display(), "ready");
    notify("READY=1");
    tokio::select! {
        () = bus.serve(daemon.catalog.clone()) => {}
        () = on_system_bus => {}
        _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
    }
    notify("STOPPING=1");
    drop(bus);
    blocking(move || daemon.catalog.shut_down()).await?;
    tracing::info!("stopped");
    Ok(())
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

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
}

fn start(config: &Config, runtime: Handle) -> Result<Daemon, DaemonError> {
    make_dir("state", &config.state_dir, 0o700)?;
    // Clients of other users, a VM's for example, must be able to reach their sockets.
    make_dir("runtime", &config.runtime_dir, 0o755)?;
    let lock = DirLock::acquire(&config.runtime_dir, "runtime")?;
    let store = RedbStore::open(&config.state_dir)?;
    let bus = BusSocket::prepare(&config.runtime_dir.join(BUS_SOCKET))?;
    let devices = config.runtime_dir.join(DEVICE_DIR);
    make_dir("runtime", &devices, 0o755)?;
    let backend = RealBackend::start(&devices, &config.pfs, runtime)?;
    for pf in &config.pfs {
        tracing::info!("PF {pf}");
    }
    let profiles = Profiles::new(config.profile_dir.as_deref(), &config.default_profile);
    if let Err(why) = profiles.get(profiles.default_name()) {
        let name = profiles.default_name().to_owned();
        return Err(DaemonError::DefaultProfile { name, why });
    }
    let catalog = Catalog::new(
        Arc::new(backend),
        Arc::new(store),
        Arc::new(profiles),
        config.sockets.clone(),
    );
    let restored = catalog.restore()?;
    if restored != crate::engine::Restored::default() {
        tracing::info!(
            ready = restored.ready,
            failed = restored.failed,
            "devices restored"
        );
    }
    Ok(Daemon {
        catalog: Arc::new(catalog),
        bus,
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
