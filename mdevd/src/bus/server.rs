//! One peer from its first byte to its last.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;
use zbus::Guid;
use zbus::connection::Builder;

use super::guard::{Guarded, LastHeard};
use super::manager::Manager;
use super::sasl::{Sasl, SaslStep};
use super::watch::Watch;
use crate::engine::Engine;
use crate::limits::SASL_DEADLINE;

/// Serves a peer whose user is `uid` until it leaves, and notes when it is heard of.
///
/// # Errors
/// Why it was not served: it did not authenticate in time or at all.
pub async fn serve_peer(
    mut stream: UnixStream,
    uid: u32,
    engine: Arc<dyn Engine>,
    heard: LastHeard,
) -> io::Result<()> {
    let guid = Guid::try_from(Uuid::new_v4().as_simple().to_string()).map_err(io::Error::other)?;
    timeout(SASL_DEADLINE, authenticate(&mut stream, uid, guid.as_str()))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no BEGIN in time")))?;
    let (gone, left) = oneshot::channel();
    let watch = Watch::new(heard.clone());
    // However this ends, the peer is told nothing any more.
    let _cut = Cut(watch.clone());
    let socket = Guarded::new(stream, heard, gone);
    let connection = Builder::authenticated_socket(socket, guid)
        .and_then(|builder| {
            builder
                .p2p()
                .serve_at(super::MANAGER_PATH, Manager::of_peer(engine, watch, uid))
        })
        .map_err(io::Error::other)?
        .build()
        .await
        .map_err(io::Error::other)?;
    // The sender lives in the reader: it is dropped when the peer has left, or the reader has failed.
    let _ = left.await;
    drop(connection);
    Ok(())
}

struct Cut(Watch);

impl Drop for Cut {
    fn drop(&mut self) {
        self.0.cut();
    }
}

async fn authenticate(stream: &mut UnixStream, uid: u32, guid: &str) -> io::Result<()> {
    let mut sasl = Sasl::new(uid, guid);
    loop {
        stream.readable().await?;
        let mut byte = [0];
        match stream.try_read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        match sasl.feed(byte[0]) {
            None => {}
            Some(SaslStep::Reply(line)) => stream.write_all(line.as_bytes()).await?,
            Some(SaslStep::Begin) => return Ok(()),
            Some(SaslStep::Refuse(why)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}
