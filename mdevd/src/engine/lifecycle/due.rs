//! What the daemon starts by itself once it serves: by the ordinary way, so with everybody asked and told.

use std::sync::atomic::{AtomicUsize, Ordering};

use nix::unistd::Uid;
use serde_json::json;

use super::super::catalog::{Catalog, failed};
use super::super::definition::Definition;
use super::super::entry::Entry;
use super::super::error::EngineError;
use super::super::events::Happening;
use super::super::jobs::About;
use super::start::Wish;
use crate::limits::STARTS_AT_ONCE;

const ATTEMPTED: &str = "start";

/// What became of the devices that the daemon was to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// They run.
    pub started: usize,
    /// Kept as failed.
    pub failed: usize,
}

/// A device to start: its place in the order, its sequence and its name.
type Turn = (i32, u64, String);

impl Catalog {
    /// Whether the daemon starts it, and it neither ran nor was stopped in this boot.
    pub(in crate::engine) fn is_to_start(&self, definition: &Definition) -> bool {
        let life = &definition.life;
        !life.boot.is_some_and(|boot| boot.is(self.boot)) && life.comes_back(self.boot)
    }

    /// Starts what [`Catalog::restore`] left to start: lower places in the order first and whole, of one place some at
    /// a time, older ones first. What cannot be started is kept as failed and stops nobody else; what was started,
    /// stopped, taken away or told otherwise meanwhile is left as it is. Each is a command like others: a job where
    /// scripts are asked. Blocks until all is done, or the catalog is shut down.
    pub fn start_due(&self) -> Due {
        let mut turns: Vec<Turn> = {
            let names = self.names.lock();
            let due = names.due.iter();
            due.map(|(sequence, (order, name))| (*order, *sequence, name.clone()))
                .collect()
        };
        turns.sort();
        let (started, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for same in turns.chunk_by(|one, other| one.0 == other.0) {
            let next = AtomicUsize::new(0);
            let work = || {
                while let Some(turn) = same.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match self.start_one_due(turn) {
                        Some(true) => started.fetch_add(1, Ordering::Relaxed),
                        Some(false) => refused.fetch_add(1, Ordering::Relaxed),
                        None => 0,
                    };
                }
            };
            std::thread::scope(|scope| {
                for _ in 1..STARTS_AT_ONCE.min(same.len()) {
                    let helper = std::thread::Builder::new().name("mdevd-start".to_owned());
                    // Where the system has no threads it is all done by this one.
                    if let Err(error) = helper.spawn_scoped(scope, work) {
                        tracing::warn!("devices are started one by one: {error}");
                        break;
                    }
                }
                work();
            });
        }
        Due {
            started: started.into_inner(),
            failed: refused.into_inner(),
        }
    }

    /// Whether it was started; `None`: it is not to be, any more.
    fn start_one_due(&self, (_, sequence, name): &Turn) -> Option<bool> {
        let mut names = loop {
            match self.settle(self.names.lock(), name, ATTEMPTED) {
                Ok(names) => break names,
                // Whoever is at work on it may be asking scripts that are slow.
                Err(EngineError::Changing { .. }) => {}
                Err(_) => return None,
            }
        };
        names.due.remove(sequence);
        let definition = match names.entries.get(name) {
            Some(Entry::Defined(definition))
                if definition.sequence == *sequence && self.is_to_start(definition) =>
            {
                Definition::clone(definition)
            }
            _ => return None,
        };
        let uuid = definition.uuid;
        let free = names.free_mac(ATTEMPTED, name, definition.mac);
        names.mark(&definition, "starting");
        drop(names);
        let started = match free {
            Err(error) => {
                let entry = failed(Some(definition), error.to_string());
                let told = Happening::changed(name, &["state"]);
                self.conclude_telling(name, Some(entry), None, told);
                Err(error)
            }
            Ok(()) => {
                let command = self.jobs.undertake(About {
                    method: "Start",
                    device: name.clone(),
                    uid: Uid::effective().as_raw(),
                });
                // As what failed before: it was let be, and is kept as failed if it cannot be.
                let entry = failed(Some(definition.clone()), String::new());
                let start = || self.start_marked(entry, definition, Wish::Daemons);
                command.run(|| start().map(|started| json!(started)))
            }
        };
        if let Err(error) = &started {
            tracing::error!(device = name, %uuid, "not started: {error}");
        }
        Some(started.is_ok())
    }
}
