//! Joining the bus, staying there, and coming back.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use zbus::connection::Builder;
use zbus::{Connection, MessageStream};

use super::BUS_NAME;
use super::authority::{AdminGroup, Authority};
use super::face::Face;
use super::follow::{Done, Follower};
use super::objects::Objects;
use super::serve::serve;
use crate::engine::Engine;
use crate::limits::{
    JOIN_DEADLINE, MAX_BUS_PAUSE, MAX_EXPORTED_DEVICES, MIN_BUS_PAUSE, STEADY_BUS,
};

/// RequestName flags: fail rather than wait in a queue.
const DO_NOT_QUEUE: u32 = 4;
/// RequestName replies: the name is ours.
const PRIMARY_OWNER: u32 = 1;

/// Why the daemon is not on the bus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot join the system bus: {0}")]
pub struct JoinError(String);

/// The daemon's place on the system bus.
pub struct SystemBus {
    engine: Arc<dyn Engine>,
    group: Option<AdminGroup>,
    limit: usize,
    /// What the place that was taken last has told.
    done: Mutex<Option<Done>>,
}

/// A place that was taken; left when dropped.
pub struct Joined {
    face: Arc<Face>,
    follower: Follower,
    messages: MessageStream,
    connection: Connection,
}

impl SystemBus {
    /// For `engine`; members of `group` may manage devices where there is no polkit.
    pub fn new(engine: Arc<dyn Engine>, group: Option<AdminGroup>) -> Self {
        Self {
            engine,
            group,
            limit: MAX_EXPORTED_DEVICES,
            done: Mutex::default(),
        }
    }

    /// The same with objects for at most `limit` devices.
    #[must_use]
    pub fn with_object_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Takes the name, with all objects behind it. Bounded in time.
    ///
    /// # Errors
    /// [`JoinError`]: why not, and what to do.
    pub async fn join(&self) -> Result<Joined, JoinError> {
        match timeout(JOIN_DEADLINE, self.try_join()).await {
            Ok(joined) => joined,
            Err(_) => Err(JoinError("it does not answer in time".to_owned())),
        }
    }

    async fn try_join(&self) -> Result<Joined, JoinError> {
        let refused = |error: zbus::Error| JoinError(error.to_string());
        let connection = connect().await.map_err(refused)?;
        // Questions about callers have a connection of their own: their answers must come while calls wait.
        let questions = connect().await.map_err(refused)?;
        // From here on calls are kept until they are served.
        let messages = MessageStream::from(&connection);
        let objects = Arc::new(Mutex::new(Objects::new(self.limit)));
        let follower =
            Follower::start(self.engine.clone(), objects.clone(), connection.clone()).await;
        *self.done.lock() = Some(follower.done());
        let authority = Authority::new(questions, self.group.clone());
        let face = Face::new(self.engine.clone(), objects, authority, follower.done());
        request_name(&connection).await?;
        Ok(Joined {
            face: Arc::new(face),
            follower,
            messages,
            connection,
        })
    }

    /// Waits until what has come of jobs is told on the bus, where the daemon is on one.
    pub async fn told(&self) {
        let last = self.engine.jobs().last_sequence();
        let done = self.done.lock().clone();
        if let Some(mut done) = done {
            // Gone with the bus: nobody is there to be told.
            let _ = done.wait_for(|done| done.1 >= last).await;
        }
    }

    /// Is on the bus whenever it can be, beginning with `joined`; never returns.
    pub async fn stay(&self, mut joined: Option<Joined>) {
        let mut pause = MIN_BUS_PAUSE;
        let mut told = None;
        loop {
            if let Some(joined) = joined.take() {
                tracing::info!(name = BUS_NAME, "on the system bus");
                told = None;
                let since = Instant::now();
                joined.serve().await;
                tracing::warn!("the system bus is gone; devices are not affected");
                if since.elapsed() >= STEADY_BUS {
                    pause = MIN_BUS_PAUSE;
                } else {
                    // One that lets us in only to close is not asked without end.
                    sleep(pause).await;
                    pause = (pause * 2).min(MAX_BUS_PAUSE);
                }
            }
            match self.join().await {
                Ok(new) => {
                    joined = Some(new);
                    continue;
                }
                // Told once as long as it stays the same.
                Err(error) if told.as_ref() != Some(&error) => {
                    tracing::info!(
                        "{error}; trying again now and then (system-bus = \"off\" ends that)"
                    );
                    told = Some(error);
                }
                Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_BUS_PAUSE);
        }
    }
}

impl Joined {
    /// Serves until the bus goes away.
    pub async fn serve(self) {
        let closed = self.connection.clone();
        tokio::select! {
            () = serve(self.face, self.connection, self.messages) => {}
            () = self.follower.run() => {}
            () = closed.closed() => {}
        }
    }
}

async fn connect() -> zbus::Result<Connection> {
    Builder::system()?.build().await
}

async fn request_name(connection: &Connection) -> Result<(), JoinError> {
    let reply = connection
        .call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "RequestName",
            &(BUS_NAME, DO_NOT_QUEUE),
        )
        .await;
    let reply = match reply {
        Ok(reply) => reply,
        Err(zbus::Error::MethodError(name, text, _))
            if name.as_str() == "org.freedesktop.DBus.Error.AccessDenied" =>
        {
            let text = text.unwrap_or_default();
            return Err(JoinError(format!(
                "it does not let this user have the name {BUS_NAME} ({text}); put examples/dbus/{BUS_NAME}.conf \
                 into /etc/dbus-1/system.d"
            )));
        }
        Err(error) => return Err(JoinError(error.to_string())),
    };
    match reply.body().deserialize::<u32>() {
        Ok(PRIMARY_OWNER) => Ok(()),
        Ok(_) => Err(JoinError(format!(
            "another process has the name {BUS_NAME}; end it, or start this daemon with --system-bus off"
        ))),
        Err(error) => Err(JoinError(error.to_string())),
    }
}
