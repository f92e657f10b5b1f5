//! The daemon's private bus socket: who may come in, and how many.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use nix::unistd::Uid;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

use super::guard::LastHeard;
use super::server::serve_peer;
use crate::engine::Engine;
use crate::limits::{MAX_BUS_CONNECTIONS, MAX_PAUSE, MIN_PAUSE};
use crate::session::{Access, Place, PlaceError};

/// The bus cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be where it should.
    #[error("cannot offer the control socket: {0}")]
    Place(#[from] PlaceError),
    /// The runtime refused it.
    #[error("cannot offer the control socket: {0}")]
    Io(#[from] io::Error),
}

/// A listening bus socket; removed when dropped.
#[derive(Debug)]
pub struct BusSocket {
    listener: UnixListener,
    path: PathBuf,
    /// `None`: it is the service manager's.
    _place: Option<Place>,
}

impl BusSocket {
    /// Makes sure of the place at `path`, for this process's user and root; nobody finds it yet.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn prepare(path: &Path) -> Result<Place, ServeError> {
        Ok(Place::prepare(
            path,
            Access {
                owner: None,
                group: None,
                mode: 0o600,
            },
        )?)
    }

    /// Listens at a prepared place. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn open(mut place: Place) -> Result<Self, ServeError> {
        let listener = UnixListener::from_std(place.open()?)?;
        Ok(Self {
            listener,
            path: place.path().to_owned(),
            _place: Some(place),
        })
    }

    /// Takes over a socket that listens already; who made it removes it. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn adopt(listener: std::os::unix::net::UnixListener) -> Result<Self, ServeError> {
        let address = listener.local_addr()?;
        Ok(Self {
            path: address
                .as_pathname()
                .unwrap_or(Path::new("(no path)"))
                .to_owned(),
            listener: UnixListener::from_std(listener)?,
            _place: None,
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves peers until dropped. When there are too many, the one not heard of for longest has to leave;
    /// those that wait for events are silent by nature, and leave last.
    pub async fn serve(&self, engine: Arc<dyn Engine>) {
        let clock = Instant::now();
        let mut peers = Peers::default();
        let mut pause = MIN_PAUSE;
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("cannot accept on the control socket: {error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                    continue;
                }
            };
            pause = MIN_PAUSE;
            let Some(uid) = admitted(&stream) else {
                continue;
            };
            let heard = LastHeard::now(clock);
            let (engine, last) = (engine.clone(), heard.clone());
            peers.seat(heard, async move {
                if let Err(error) = serve_peer(stream, uid, engine, last).await {
                    tracing::debug!(uid, "peer of the control socket not served: {error}");
                }
            });
        }
    }
}

/// The peers being served; dropping it sends them away.
#[derive(Default)]
struct Peers {
    tasks: JoinSet<()>,
    seats: Vec<(AbortHandle, LastHeard)>,
}

impl Peers {
    fn seat(&mut self, heard: LastHeard, peer: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.seats.retain(|(task, _)| !task.is_finished());
        if self.seats.len() >= MAX_BUS_CONNECTIONS {
            let rank = |&n: &usize| (self.seats[n].1.watches(), self.seats[n].1.at());
            let quietest = (0..self.seats.len()).min_by_key(rank);
            if let Some(quietest) = quietest {
                tracing::warn!("too many peers at the control socket: the quietest has to leave");
                self.seats.swap_remove(quietest).0.abort();
            }
        }
        self.seats.push((self.tasks.spawn(peer), heard));
    }
}

/// The peer's user, if it is ours or root.
fn admitted(stream: &UnixStream) -> Option<u32> {
    let peer = stream.peer_cred().ok()?;
    let uid = peer.uid();
    if uid == 0 || uid == Uid::effective().as_raw() {
        return Some(uid);
    }
    tracing::warn!(
        uid,
        pid = peer.pid(),
        "a peer of another user was turned away"
    );
    None
}
