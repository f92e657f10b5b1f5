//! Definitions in sled.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{DirLock, Record, Store, StoreError, decode, encode};
use crate::engine::Definition;

/// Bytes of memory that sled may use for caching: definitions are small and read once.
const CACHE: u64 = 1 << 20;
/// Key of the store's id, in a tree of its own.
const ID: &[u8] = b"id";

/// A directory with definitions, held by one process at a time.
#[derive(Debug)]
pub struct SledStore {
    db: ::sled::Db,
    /// sled's log. Its own flush asks the kernel to write, which neither waits for the disk's cache
    /// nor for the file's length; this is what is synchronised before a reply.
    log: File,
    devices: ::sled::Tree,
    id: Uuid,
    // Released last: fields are dropped in order.
    _lock: DirLock,
}

impl SledStore {
    /// Opens or makes the store in `dir`, which exists.
    ///
    /// # Errors
    /// Another process holds it; it cannot be read or written; it is damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = DirLock::acquire(dir, "state")?;
        let path = dir.join("definitions");
        let refuse = |path: &PathBuf| {
            let path = path.clone();
            move |why: String| StoreError::Open { path, why }
        };
        let config = ::sled::Config::new()
            .path(&path)
            .cache_capacity(CACHE)
            .mode(::sled::Mode::LowSpace)
            // Every change is flushed by hand before its reply; no thread needs to wake for it.
            .flush_every_ms(None);
        // sled panics on some kinds of damage.
        let db = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| "it is damaged; restore it from a backup or remove it".to_owned())
            .and_then(|opened| opened.map_err(|error| error.to_string()))
            .map_err(refuse(&path))?;
        let trees = || -> ::sled::Result<(::sled::Tree, Uuid)> {
            let meta = db.open_tree("meta")?;
            let id = match meta
                .get(ID)?
                .and_then(|bytes| Uuid::from_slice(&bytes).ok())
            {
                Some(id) => id,
                None => {
                    let id = Uuid::new_v4();
                    meta.insert(ID, id.as_bytes())?;
                    id
                }
            };
            Ok((db.open_tree("devices")?, id))
        };
        let (devices, id) = trees().map_err(|error| refuse(&path)(error.to_string()))?;
        let io = |error: std::io::Error| refuse(&path)(error.to_string());
        let log = File::open(path.join("db")).map_err(io)?;
        let store = Self {
            db,
            log,
            devices,
            id,
            _lock: lock,
        };
        store.flush()?;
        // The names of the files just made must survive too.
        for made in [path.as_path(), dir] {
            File::open(made)
                .and_then(|made| made.sync_all())
                .map_err(io)?;
        }
        Ok(store)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(io("flushing"))?;
        let synced = self.log.sync_data();
        synced.map_err(|error| StoreError::Io {
            what: "flushing",
            why: error.to_string(),
        })
    }
}

fn io(what: &'static str) -> impl Fn(::sled::Error) -> StoreError {
    move |error| StoreError::Io {
        what,
        why: error.to_string(),
    }
}

impl Store for SledStore {
    fn id(&self) -> Uuid {
        self.id
    }

    fn load(&self) -> Result<Vec<Record>, StoreError> {
        self.devices
            .iter()
            .map(|pair| {
                let (name, bytes) = pair.map_err(io("reading"))?;
                let name = String::from_utf8_lossy(&name).into_owned();
                Ok(Record {
                    name,
                    definition: decode(&bytes),
                })
            })
            .collect()
    }

    fn put(&self, definition: &Definition) -> Result<(), StoreError> {
        let key = definition.name.as_bytes();
        let before = self
            .devices
            .insert(key, encode(definition))
            .map_err(io("writing to"))?;
        self.flush().inspect_err(|_| {
            // Not on disk, so not in memory either.
            let _ = match before {
                Some(before) => self.devices.insert(key, before),
                None => self.devices.remove(key),
            };
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let before = self
            .devices
            .remove(name.as_bytes())
            .map_err(io("writing to"))?;
        self.flush().inspect_err(|_| {
            if let Some(before) = before {
                let _ = self.devices.insert(name.as_bytes(), before);
            }
        })
    }
}
