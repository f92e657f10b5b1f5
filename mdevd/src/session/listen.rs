//! One device's listener: one client at a time, for as long as the device lives.

use std::pin::Pin;

use libcvf::control::Identity;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::visit::Visits;
use crate::engine::Client;
use crate::limits::{MAX_PAUSE, MIN_PAUSE};

/// What a client meets.
pub trait Guest: Send + Sync + 'static {
    /// Serves one client until it leaves and nothing of it is left; returns what was unusual about
    /// that. Dropping the future cuts the client off, at any point.
    fn serve(&self, stream: UnixStream) -> Pin<Box<dyn Future<Output = Option<String>> + Send>>;
}

/// Accepts until `stop` resolves, however it does. A second client is turned away while one is there.
pub async fn listen(
    identity: Identity,
    listener: UnixListener,
    guest: impl Guest,
    visits: Visits,
    mut stop: oneshot::Receiver<()>,
) {
    let mut session = None;
    let mut pause = MIN_PAUSE;
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => return,
            why = present(&mut session) => {
                session = None;
                tracing::info!(device = identity.device, uuid = %identity.uuid(), why, "client left");
                visits.left(why);
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if session.is_none() => {
                    pause = MIN_PAUSE;
                    let client = client(&stream);
                    tracing::info!(device = identity.device, uuid = %identity.uuid(), %client, "client connected");
                    visits.arrived(client);
                    session = Some(guest.serve(stream));
                }
                Ok((stream, _)) => {
                    let intruder = client(&stream);
                    tracing::warn!(device = identity.device, uuid = %identity.uuid(), client = %intruder, "turned away: one is there already");
                    visits.turned_away();
                }
                Err(error) => {
                    tracing::warn!(device = identity.device, uuid = %identity.uuid(), "cannot accept a client: {error}");
                    // The present client is served meanwhile.
                    tokio::select! {
                        _ = &mut stop => return,
                        why = present(&mut session) => {
                            session = None;
                            tracing::info!(device = identity.device, uuid = %identity.uuid(), why, "client left");
                            visits.left(why);
                        }
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                    }
                }
            },
        }
    }
}

type Session = Pin<Box<dyn Future<Output = Option<String>> + Send>>;

/// The present session's end; never, if there is none.
async fn present(session: &mut Option<Session>) -> Option<String> {
    match session {
        Some(session) => session.await,
        None => std::future::pending().await,
    }
}

fn client(stream: &UnixStream) -> Client {
    let peer = stream.peer_cred().ok();
    let pid = peer
        .and_then(|peer| u32::try_from(peer.pid()?).ok())
        .unwrap_or(0);
    Client {
        pid,
        uid: peer.map_or(u32::MAX, |peer| peer.uid()),
        gid: peer.map_or(u32::MAX, |peer| peer.gid()),
    }
}
