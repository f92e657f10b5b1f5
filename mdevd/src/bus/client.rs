//! The other end: a peer of the daemon's private socket.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::zvariant::{DynamicType, OwnedFd, OwnedValue, Value};
use zbus::{Connection, Message};

use super::convert::{Dict, dict_to_json};
use super::{MANAGER_INTERFACE, MANAGER_PATH};
use crate::engine::ErrorKind;
use crate::limits::{CALL_DEADLINE, MAX_PAUSE, MIN_PAUSE};

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The daemon said no.
    #[error("{message}")]
    Refused {
        /// What sort; `None`: one this program does not know.
        kind: Option<ErrorKind>,
        /// Its sentence.
        message: String,
    },
    /// Nobody is there.
    #[error("cannot reach mdevd at {}: {why}", path.display())]
    Unreachable {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not, and what to do.
        why: String,
    },
    /// It is there, and does not answer in time. What was asked for may still be done.
    #[error(
        "mdevd at {} did not answer {} within {} s: it waits for callouts ('cvfctl jobs' shows that), or hangs or \
         is overloaded, its log may say more. What was asked for may still be done; see 'cvfctl list', or give it longer \
         with --timeout",
        path.display(), method, limit.as_secs_f32()
    )]
    TimedOut {
        /// Where it was asked.
        path: PathBuf,
        /// What was called.
        method: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It answers, but not as this program expects.
    #[error(
        "mdevd answered in a way that this cvfctl does not understand: {0}; are both of the same version?"
    )]
    Strange(String),
}

/// Options of a call.
pub type Options = HashMap<&'static str, Value<'static>>;

/// Calls `io.mdevd1.Manager`.
#[derive(Clone, Debug)]
pub struct ManagerClient {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    limit: Duration,
}

impl ManagerClient {
    /// Connects to the socket at `path`; every call has [`CALL_DEADLINE`].
    ///
    /// # Errors
    /// [`CallError::Unreachable`]; [`CallError::TimedOut`].
    pub async fn connect(path: &Path) -> Result<Self, CallError> {
        Self::connect_within(path, CALL_DEADLINE).await
    }

    /// Connects to the socket at `path`. Connecting, and every call, may take `limit`.
    ///
    /// # Errors
    /// [`CallError::Unreachable`]; [`CallError::TimedOut`].
    pub async fn connect_within(path: &Path, limit: Duration) -> Result<Self, CallError> {
        let unreachable = |why: String| CallError::Unreachable {
            path: path.to_owned(),
            why,
        };
        let connect = async {
            let stream = dial(path).await.map_err(|error| explain(&error))?;
            let builder = Builder::unix_stream(stream).p2p().method_timeout(limit);
            builder.build().await.map_err(|error| error.to_string())
        };
        let connection = match timeout(limit, connect).await {
            Ok(connected) => connected.map_err(unreachable)?,
            Err(_) => {
                return Err(CallError::TimedOut {
                    path: path.to_owned(),
                    method: "the connection".to_owned(),
                    limit,
                });
            }
        };
        Ok(Self {
            connection,
            path: path.to_owned(),
            limit,
        })
    }

    pub(super) async fn call<B>(&self, method: &str, body: &B) -> Result<Message, CallError>
    where
        B: serde::Serialize + DynamicType,
    {
        let destination = None::<zbus::names::BusName<'_>>;
        let interface = Some(MANAGER_INTERFACE);
        let connection = &self.connection;
        let call = connection.call_method(destination, MANAGER_PATH, interface, method, body);
        // A call that begins while the daemon goes away would wait for its whole time.
        let reply = tokio::select! {
            biased;
            reply = call => reply,
            () = connection.closed() => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        };
        reply.map_err(|error| match error {
            zbus::Error::MethodError(name, message, _) => CallError::Refused {
                kind: ErrorKind::from_dbus_name(&name),
                message: message.unwrap_or_else(|| name.to_string()),
            },
            zbus::Error::InputOutput(error) if error.kind() == io::ErrorKind::TimedOut => {
                CallError::TimedOut {
                    path: self.path.clone(),
                    method: method.to_owned(),
                    limit: self.limit,
                }
            }
            zbus::Error::InputOutput(error) => CallError::Unreachable {
                path: self.path.clone(),
                why: explain(&error),
            },
            other => CallError::Strange(other.to_string()),
        })
    }

    pub(super) async fn ask<B>(&self, method: &str, body: &B) -> Result<Json, CallError>
    where
        B: serde::Serialize + DynamicType,
    {
        let reply = self.call(method, body).await?;
        let dict: Dict = reply
            .body()
            .deserialize()
            .map_err(|error| strange(&error))?;
        Ok(dict_to_json(&dict))
    }

    async fn ask_all(&self, method: &str) -> Result<Vec<Json>, CallError> {
        let reply = self.call(method, &(Options::new(),)).await?;
        let all: Vec<HashMap<String, OwnedValue>> = reply
            .body()
            .deserialize()
            .map_err(|error| strange(&error))?;
        Ok(all.iter().map(dict_to_json).collect())
    }

    /// Makes a device; an empty name has one made.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create(&self, name: &str, options: Options) -> Result<Json, CallError> {
        self.ask("Create", &(name, options)).await
    }

    /// Takes a device away.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn destroy(&self, name: &str, force: bool) -> Result<(), CallError> {
        let options: Options = if force {
            [("force", true.into())].into_iter().collect()
        } else {
            Options::new()
        };
        self.call("Destroy", &(name, options)).await.map(drop)
    }

    /// Stores a definition; an empty name has one made.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn define(&self, name: &str, options: Options) -> Result<Json, CallError> {
        self.ask("Define", &(name, options)).await
    }

    /// Forgets a definition.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn undefine(&self, name: &str) -> Result<Json, CallError> {
        self.ask("Undefine", &(name, Options::new())).await
    }

    /// Composes what is defined.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn start(&self, name: &str) -> Result<Json, CallError> {
        self.ask("Start", &(name, Options::new())).await
    }

    /// Retires a device and keeps its definition.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn stop(&self, name: &str, force: bool) -> Result<Json, CallError> {
        let options: Options = [("force", force.into())].into_iter().collect();
        self.ask("Stop", &(name, options)).await
    }

    /// One page of definitions, and where the next one begins; of `names` where there are any.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn export(
        &self,
        names: &[String],
        after: &str,
        limit: u32,
    ) -> Result<(Vec<Json>, String), CallError> {
        let mut options = Options::new();
        if !names.is_empty() {
            options.insert("names", names.to_vec().into());
        }
        let reply = self.call("Export", &(after, limit, options)).await?;
        let (definitions, next): (Vec<HashMap<String, OwnedValue>>, String) = reply
            .body()
            .deserialize()
            .map_err(|error| strange(&error))?;
        Ok((definitions.iter().map(dict_to_json).collect(), next))
    }

    /// Defines what a document says.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn import(&self, document: &str, options: Options) -> Result<Json, CallError> {
        self.ask("Import", &(document, options)).await
    }

    /// What can be made.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn types(&self, queue_pairs: Option<u64>) -> Result<Json, CallError> {
        let pairs = queue_pairs.map(|pairs| ("queue_pairs", pairs.into()));
        let options: Options = pairs.into_iter().collect();
        self.ask("ListTypes", &(options,)).await
    }

    /// Changes attributes of a device while it runs.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn set(&self, name: &str, attributes: Options) -> Result<Json, CallError> {
        self.ask("Set", &(name, attributes)).await
    }

    /// Asks the guest's driver to announce itself.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn announce(&self, name: &str) -> Result<(), CallError> {
        let body = (name, Options::new());
        self.call("Announce", &body).await.map(drop)
    }

    /// Has the daemon work rings that hardware works.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn take_over(&self, name: &str) -> Result<Json, CallError> {
        self.ask("TakeOver", &(name, Options::new())).await
    }

    /// Begins to look at a device's frames: the end of a pipe from which they are read as pcapng.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn capture(
        &self,
        name: &str,
        options: Options,
    ) -> Result<std::os::fd::OwnedFd, CallError> {
        let reply = self.call("Capture", &(name, options)).await?;
        let body = reply.body();
        let reader: OwnedFd = body.deserialize().map_err(|error| strange(&error))?;
        Ok(reader.into())
    }

    /// One page: devices, and where the next one begins.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn list(&self, after: &str, limit: u32) -> Result<(Vec<Json>, String), CallError> {
        let reply = self.call("List", &(after, limit, Options::new())).await?;
        let (devices, next): (Vec<HashMap<String, OwnedValue>>, String) = reply
            .body()
            .deserialize()
            .map_err(|error| strange(&error))?;
        Ok((devices.iter().map(dict_to_json).collect(), next))
    }

    /// Everything about one device.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn show(&self, name: &str) -> Result<Json, CallError> {
        self.ask("Show", &(name, Options::new())).await
    }

    /// Counters of one device.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn stats(&self, name: &str) -> Result<Json, CallError> {
        self.ask("Stats", &(name, Options::new())).await
    }

    /// One page of counters, and where the next one begins; `pairs`: by queue pair, too.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn list_stats(
        &self,
        after: &str,
        limit: u32,
        pairs: bool,
    ) -> Result<(Vec<Json>, String), CallError> {
        let mut options = Options::new();
        if pairs {
            options.insert("pairs", true.into());
        }
        let reply = self.call("ListStats", &(after, limit, options)).await?;
        let (stats, next): (Vec<HashMap<String, OwnedValue>>, String) = reply
            .body()
            .deserialize()
            .map_err(|error| strange(&error))?;
        Ok((stats.iter().map(dict_to_json).collect(), next))
    }

    /// The PFs.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn pfs(&self) -> Result<Vec<Json>, CallError> {
        self.ask_all("ListPfs").await
    }

    /// One PF.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn pf(&self, name: &str) -> Result<Json, CallError> {
        self.ask("ShowPf", &(name, Options::new())).await
    }

    /// The profiles.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn profiles(&self) -> Result<Vec<Json>, CallError> {
        self.ask_all("ListProfiles").await
    }

    /// One profile.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn profile(&self, name: &str) -> Result<Json, CallError> {
        self.ask("ShowProfile", &(name, Options::new())).await
    }

    /// What would become of a guest's request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn explain(&self, request: &str, about: Options) -> Result<Json, CallError> {
        self.ask("Explain", &(request, about)).await
    }

    /// Reads the profiles' files anew.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn reload_profiles(&self) -> Result<Json, CallError> {
        self.ask("ReloadProfiles", &(Options::new(),)).await
    }

    /// Has the daemon read its configuration again.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn reload(&self) -> Result<Json, CallError> {
        self.ask("Reload", &(Options::new(),)).await
    }

    /// Has the daemon stop; `force`: with clients connected, too.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn shutdown(&self, force: bool) -> Result<Json, CallError> {
        let options: Options = [("force", force.into())].into_iter().collect();
        self.ask("Shutdown", &(options,)).await
    }

    /// The daemon's version.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn version(&self) -> Result<Json, CallError> {
        self.ask("Version", &(Options::new(),)).await
    }
}

/// Connects as soon as the daemon's backlog has room: a full one is no refusal (connect(2), `EAGAIN`).
/// Whoever calls has a deadline.
pub(super) async fn dial(path: &Path) -> io::Result<UnixStream> {
    let mut pause = MIN_PAUSE;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            connected => return connected,
        }
    }
}

/// Reads an answer into its type.
///
/// # Errors
/// [`CallError::Strange`].
pub(crate) fn typed<T: DeserializeOwned>(answer: Json) -> Result<T, CallError> {
    serde_json::from_value(answer).map_err(|error| strange(&error))
}

pub(super) fn strange(error: &impl ToString) -> CallError {
    CallError::Strange(error.to_string())
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("{error}; is it running? Start mdevd, or give --address")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "{error}; only the daemon's user and root may: run this as one of them, as with sudo"
            )
        }
        _ => error.to_string(),
    }
}
