//! Keeps the exported objects as the engine is, and signals what changes.
//!
//! An event only says which device to look at; what is signalled is what is seen there. So events may be
//! taken together, and missed ones cost a look at everything, never a wrong object.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;
use zbus::Connection;
use zbus::zvariant::ObjectPath;

use super::super::convert::Dict;
use super::super::event::event_dict;
use super::super::job_signals::JobSignals;
use super::super::{MANAGER_INTERFACE, MANAGER_PATH};
use super::objects::{Change, Objects};
use super::path::{Object, ROOT};
use super::{OBJECT_MANAGER, PROPERTIES, properties};
use crate::engine::jobs::{JobListener, JobNews, Missed, News};
use crate::engine::{DeviceView, Engine, Heard, Listener, PfView, State};
use crate::limits::{MAX_EVENTS_AT_ONCE, MAX_PAGE};

/// Follows one engine for one connection.
pub(super) struct Follower {
    engine: Arc<dyn Engine>,
    objects: Arc<Mutex<Objects>>,
    connection: Connection,
    listener: Listener,
    news: JobListener,
    job_signals: JobSignals,
    done: watch::Sender<(u64, u64)>,
}

/// Numbers of the last event, and of the last news of a job, whose effects have been signalled.
pub(super) type Done = watch::Receiver<(u64, u64)>;

/// Events taken together.
#[derive(Default)]
struct Batch {
    devices: BTreeSet<String>,
    /// Those that ceased to be, whatever has their names now.
    ended: BTreeSet<String>,
    missed: bool,
    last: u64,
    signals: Vec<Dict>,
}

impl Batch {
    fn note(&mut self, heard: &Heard) {
        self.signals.push(event_dict(heard));
        match heard {
            Heard::Missed(_) => self.missed = true,
            Heard::Event(event) => {
                self.last = event.sequence;
                let device = event.what.device().to_owned();
                if event.what.ended() {
                    self.ended.insert(device.clone());
                }
                self.devices.insert(device);
            }
        }
    }
}

/// What a look at the engine saw.
struct Seen {
    devices: Vec<(String, Option<DeviceView>)>,
    pfs: Vec<PfView>,
}

impl Seen {
    fn apply(self, objects: &mut Objects) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, view) in self.devices {
            changes.extend(match view {
                // It shows what was before, and an event follows when the command is done.
                Some(view) if view.summary.state == State::Changing => None,
                Some(view) => objects.put(Object::Device(name), properties::of_device(view)),
                None => objects.remove_device(&name),
            });
        }
        for pf in self.pfs {
            let object = Object::Pf(pf.name.clone());
            changes.extend(objects.put(object, properties::of_pf(pf)));
        }
        changes.extend(objects.recount());
        changes
    }
}

/// A look at one device; `None`: there is none of that name.
fn see(engine: &dyn Engine, name: String) -> (String, Option<DeviceView>) {
    let view = engine.show(&name).ok();
    (name, view)
}

/// Does `work` where it may block; `None`: it failed, which was told.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work)
        .await
        .inspect_err(|error| {
            tracing::error!("the objects on the system bus are not up to date: {error}");
        })
        .ok()
}

impl Follower {
    /// Looks at everything; the objects are complete when this returns. Nothing is signalled yet.
    pub(super) async fn start(
        engine: Arc<dyn Engine>,
        objects: Arc<Mutex<Objects>>,
        connection: Connection,
    ) -> Self {
        // Before the look, so that nothing happens between the two unheard.
        let (listener, last) = engine.events().listen();
        let (news, jobs, last_news) = engine.jobs().listen();
        {
            let mut objects = objects.lock();
            for job in &jobs {
                objects.put(Object::Job(job.id), properties::of_job(job));
            }
        }
        let follower = Self {
            engine,
            objects,
            connection,
            listener,
            news,
            job_signals: JobSignals::of(&jobs),
            done: watch::Sender::new((last, last_news)),
        };
        follower.look_at_all().await;
        follower
    }

    /// Tells what has been dealt with.
    pub(super) fn done(&self) -> Done {
        self.done.subscribe()
    }

    /// Signals until the connection ends.
    pub(super) async fn run(mut self) {
        loop {
            let expiry = self.engine.jobs().next_expiry();
            let told = tokio::select! {
                heard = self.listener.next() => match heard {
                    Some(heard) => self.tell_events(heard).await,
                    None => return,
                },
                news = self.news.next() => self.tell_jobs(news).await,
                () = at(expiry) => {
                    self.engine.jobs().expire();
                    Ok(())
                }
            };
            if let Err(error) = told {
                tracing::debug!("the system bus takes no signals: {error}");
                return;
            }
        }
    }

    /// Tells an event, and what follows it at once.
    async fn tell_events(&mut self, heard: Heard) -> zbus::Result<()> {
        let mut batch = Batch::default();
        batch.note(&heard);
        while batch.signals.len() < MAX_EVENTS_AT_ONCE
            && let Some(heard) = self.listener.try_next()
        {
            batch.note(&heard);
        }
        let mut changes = self.end(&batch.ended);
        // What was missed happened before this, and is seen by the look.
        let before = self.engine.events().last_sequence();
        let (seen, last) = if batch.missed {
            (self.look_at_all().await, before)
        } else {
            let names = batch.devices.into_iter().collect();
            (self.look(names).await, batch.last)
        };
        changes.extend(seen);
        self.signal(batch.signals, changes).await?;
        self.done.send_modify(|done| done.0 = last.max(done.0));
        Ok(())
    }

    /// Tells news of a job, after what its command did to devices.
    async fn tell_jobs(&mut self, news: Result<Arc<JobNews>, Missed>) -> zbus::Result<()> {
        let before = self.engine.events().last_sequence();
        while self.done.borrow().0 < before
            && let Some(heard) = self.listener.try_next()
        {
            self.tell_events(heard).await?;
        }
        let (changes, due, last) = match news {
            Ok(news) => {
                let mut objects = self.objects.lock();
                let change = match &news.news {
                    News::Now(job) => objects.put(Object::Job(job.id), properties::of_job(job)),
                    News::Forgotten(id) => objects.remove_job(*id),
                };
                let due = self.job_signals.about(&news);
                (change.into_iter().collect(), due, news.sequence)
            }
            Err(Missed) => {
                let (listener, all, last) = self.engine.jobs().listen();
                self.news = listener;
                let shown: BTreeSet<u32> = all.iter().map(|job| job.id).collect();
                let mut objects = self.objects.lock();
                let gone = objects
                    .job_ids()
                    .into_iter()
                    .filter(|id| !shown.contains(id));
                let mut changes: Vec<_> = gone.filter_map(|id| objects.remove_job(id)).collect();
                changes.extend(
                    all.iter().filter_map(|job| {
                        objects.put(Object::Job(job.id), properties::of_job(job))
                    }),
                );
                (changes, self.job_signals.about_all(&all), last)
            }
        };
        self.signal(Vec::new(), changes).await?;
        for signal in due {
            signal.send(&self.connection).await?;
        }
        self.done.send_modify(|done| done.1 = last.max(done.1));
        Ok(())
    }

    fn end(&self, names: &BTreeSet<String>) -> Vec<Change> {
        let mut objects = self.objects.lock();
        let gone = names.iter().filter_map(|name| objects.remove_device(name));
        gone.collect()
    }

    /// Looks at every device there is, and at those that are exported and may be no more.
    async fn look_at_all(&self) -> Vec<Change> {
        let mut known: BTreeSet<String> = self.objects.lock().device_names().into_iter().collect();
        let mut changes = Vec::new();
        let mut after = Some(String::new());
        while let Some(from) = after {
            let engine = self.engine.clone();
            let Some(page) = blocking(move || engine.list(&from, MAX_PAGE)).await else {
                return changes;
            };
            let names: Vec<_> = page.devices.into_iter().map(|device| device.name).collect();
            for name in &names {
                known.remove(name);
            }
            changes.extend(self.look(names).await);
            after = Some(page.next).filter(|next| !next.is_empty());
        }
        changes.extend(self.look(known.into_iter().collect()).await);
        changes
    }

    /// Looks at these devices, and at the PFs; what has changed.
    async fn look(&self, names: Vec<String>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut names = Some(names);
        while let Some(these) = names {
            let engine = self.engine.clone();
            let see = move || Seen {
                devices: these.into_iter().map(|name| see(&*engine, name)).collect(),
                pfs: engine.pfs(),
            };
            let Some(seen) = blocking(see).await else {
                return changes;
            };
            let mut objects = self.objects.lock();
            changes.extend(seen.apply(&mut objects));
            // A place may have become free for one that had none.
            names = objects.next_in().map(|name| vec![name]);
        }
        changes
    }

    async fn signal(&self, events: Vec<Dict>, changes: Vec<Change>) -> zbus::Result<()> {
        let bus = &self.connection;
        let nobody = None::<&str>;
        for event in events {
            bus.emit_signal(nobody, MANAGER_PATH, MANAGER_INTERFACE, "Event", &event)
                .await?;
        }
        for change in changes {
            match change {
                Change::Added(object, properties) => {
                    let interfaces = HashMap::from([(object.interface(), properties)]);
                    let body = (path(&object)?, interfaces);
                    bus.emit_signal(nobody, ROOT, OBJECT_MANAGER, "InterfacesAdded", &body)
                        .await?;
                }
                Change::Removed(object) => {
                    let body = (path(&object)?, vec![object.interface()]);
                    bus.emit_signal(nobody, ROOT, OBJECT_MANAGER, "InterfacesRemoved", &body)
                        .await?;
                }
                Change::Altered(object, new) => {
                    let none = Vec::<&str>::new();
                    let body = (object.interface(), new, none);
                    bus.emit_signal(
                        nobody,
                        path(&object)?,
                        PROPERTIES,
                        "PropertiesChanged",
                        &body,
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }
}

/// Comes to pass then, or never.
async fn at(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then.into()).await,
        None => std::future::pending().await,
    }
}

fn path(object: &Object) -> zbus::Result<ObjectPath<'static>> {
    Ok(ObjectPath::try_from(object.path())?)
}
