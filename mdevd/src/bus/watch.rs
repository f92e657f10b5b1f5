//! A peer of the private socket that asked to be told events.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zbus::Connection;

use super::event::event_dict;
use super::guard::LastHeard;
use super::job_signals::JobSignals;
use super::{MANAGER_INTERFACE, MANAGER_PATH};
use crate::engine::jobs::{JobListener, Jobs, Missed};
use crate::engine::{Engine, Heard, Listener};

/// One peer's watch: at most one task, which ends with the peer. Clones are the same watch.
#[derive(Clone, Debug)]
pub struct Watch {
    heard: LastHeard,
    task: Arc<Mutex<Option<Telling>>>,
}

#[derive(Debug)]
struct Telling {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Nothing is told yet to the peer whose seat `heard` is.
    pub fn new(heard: LastHeard) -> Self {
        Self {
            heard,
            task: Arc::default(),
        }
    }

    /// Tells the peer events from now on; the number is that of the last one before.
    pub(super) fn start(&self, engine: &Arc<dyn Engine>, connection: Connection) -> u64 {
        let engine = engine.clone();
        let (jobs, known, _) = engine.jobs().listen();
        let jobs = (jobs, JobSignals::of(&known), engine.jobs().clone());
        let (listener, last) = engine.events().listen();
        let (stop, stopped) = oneshot::channel();
        let mut task = self.task.lock();
        // A second request replaces the first: the peer asked to begin anew.
        if let Some(before) = task.take() {
            let _ = before.stop.send(());
        }
        *task = Some(Telling {
            stop,
            task: tokio::spawn(async move {
                let _ = tell(connection, listener, jobs, (engine, stopped)).await;
            }),
        });
        self.heard.watching(true);
        last
    }

    /// Tells nothing more. False: nothing was told.
    pub(super) fn stop(&self) -> bool {
        self.heard.watching(false);
        let telling = self.task.lock().take();
        telling.is_some_and(|telling| telling.stop.send(()).is_ok())
    }

    /// The peer is gone: nothing is told any more, not even to its end.
    pub(super) fn cut(&self) {
        if let Some(telling) = self.task.lock().take() {
            telling.task.abort();
        }
    }
}

/// A message that has begun is always sent to its end, else the peer could not read what follows.
async fn tell(
    connection: Connection,
    mut listener: Listener,
    (mut news, mut signals, jobs): (JobListener, JobSignals, Jobs),
    (engine, mut stopped): (Arc<dyn Engine>, oneshot::Receiver<()>),
) -> zbus::Result<()> {
    let mut told = 0;
    loop {
        // Neither waits for the other to fall silent.
        let heard = tokio::select! {
            _ = &mut stopped => return Ok(()),
            heard = listener.next() => match heard {
                Some(heard) => {
                    told = tell_event(&connection, &heard).await?.max(told);
                    continue;
                }
                None => return Ok(()),
            },
            heard = news.next() => heard,
        };
        // What a command did to devices comes before its job's end.
        let before = engine.events().last_sequence();
        while told < before
            && let Some(heard) = listener.try_next()
        {
            told = tell_event(&connection, &heard).await?.max(told);
        }
        let due = match heard {
            Ok(news) => signals.about(&news),
            Err(Missed) => {
                let (new, all, _) = jobs.listen();
                news = new;
                signals.about_all(&all)
            }
        };
        for signal in due {
            signal.send(&connection).await?;
        }
    }
}

/// The number of the last event that it told of; 0 where some were missed.
async fn tell_event(connection: &Connection, heard: &Heard) -> zbus::Result<u64> {
    let event = event_dict(heard);
    connection
        .emit_signal(
            None::<&str>,
            MANAGER_PATH,
            MANAGER_INTERFACE,
            "Event",
            &event,
        )
        .await?;
    Ok(match heard {
        Heard::Event(event) => event.sequence,
        Heard::Missed(_) => 0,
    })
}
