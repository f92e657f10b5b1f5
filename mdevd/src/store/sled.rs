//! Definitions in sled.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::sled::IVec;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{DirLock, Record, Store, StoreError, decode, encode};
use crate::engine::Definition;

/// Bytes of memory that sled may use for caching: definitions are small and read once.
const CACHE: u64 = 1 << 20;
const DAMAGED: &str = "it is damaged; restore it from a backup or remove it";
/// Key of the store's id, in a tree of its own.
const ID: &[u8] = b"id";

/// A directory with definitions, held by one process at a time.
///
/// sled remembers its first failed write and repeats it for ever. So after a failure the database is
/// opened anew by the next change, and what was refused meanwhile is taken back in it: a disk that was
/// full costs the changes that it refused, and nothing else.
#[derive(Debug)]
pub struct SledStore {
    path: PathBuf,
    state: Mutex<State>,
    id: Uuid,
    // Released last: fields are dropped in order.
    _lock: DirLock,
}

#[derive(Debug, Default)]
struct State {
    /// `None` since a failure.
    open: Option<Guarded>,
    /// What failed changes found under their keys. The file may or may not have those changes.
    undo: BTreeMap<Vec<u8>, Option<IVec>>,
}

/// sled flushes when it is dropped, and panics when that fails in some ways.
#[derive(Debug)]
struct Guarded(Option<Open>);

impl Drop for Guarded {
    fn drop(&mut self) {
        let open = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(open)));
    }
}

#[derive(Debug)]
struct Open {
    devices: ::sled::Tree,
    db: ::sled::Db,
    /// sled's log. Its own flush asks the kernel to write, which neither waits for the disk's cache
    /// nor for the file's length; this is what is synchronised before a reply.
    log: File,
}

impl SledStore {
    /// Opens or makes the store in `dir`, which exists.
    ///
    /// # Errors
    /// Another process holds it; it cannot be read or written; it is damaged.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = DirLock::acquire(dir, "state")?;
        let path = dir.join("definitions");
        let refuse = |why: String| StoreError::Open {
            path: path.clone(),
            why,
        };
        let guarded = Open::at(&path).map_err(refuse)?;
        let open = guarded.get()?;
        let id = open.id().map_err(|error| refuse(explain(&error)))?;
        open.flush()?;
        // The names of the files just made must survive too.
        for made in [path.as_path(), dir] {
            File::open(made)
                .and_then(|made| made.sync_all())
                .map_err(|error| refuse(error.to_string()))?;
        }
        let state = State {
            open: Some(guarded),
            undo: BTreeMap::new(),
        };
        Ok(Self {
            path,
            state: Mutex::new(state),
            id,
            _lock: lock,
        })
    }

    fn change(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let state = &mut *self.state.lock();
        let open = state.ready(&self.path)?;
        let before = open.devices.get(key).map_err(io("reading"))?;
        let done = open
            .write(key, value.map(IVec::from))
            .and_then(|()| open.flush());
        done.inspect_err(|_| {
            state.undo.insert(key.to_owned(), before);
            state.open = None;
            // At once, if that can be: until it is done, a restart may find the change.
            let _ = state.ready(&self.path);
        })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.undo.is_empty()
            && let Err(error) = state.ready(&self.path)
        {
            tracing::warn!(%error, "a refused change may be found at the next start");
        }
    }
}

impl State {
    /// The database, opened anew and put right if something failed before.
    fn ready(&mut self, path: &Path) -> Result<&Open, StoreError> {
        let guarded = match self.open.take() {
            Some(guarded) => guarded,
            None => {
                let guarded = Open::at(path).map_err(|why| StoreError::Io {
                    what: "opening",
                    why,
                })?;
                let open = guarded.get()?;
                for (key, before) in &self.undo {
                    open.write(key, before.clone())?;
                }
                open.flush()?;
                self.undo.clear();
                guarded
            }
        };
        self.open.insert(guarded).get()
    }
}

impl Guarded {
    fn get(&self) -> Result<&Open, StoreError> {
        self.0.as_ref().ok_or_else(|| StoreError::Io {
            what: "reading",
            why: "it is closed".to_owned(),
        })
    }
}

impl Open {
    fn at(path: &Path) -> Result<Guarded, String> {
        let config = ::sled::Config::new()
            .path(path)
            .cache_capacity(CACHE)
            .mode(::sled::Mode::LowSpace)
            // Every change is flushed by hand before its reply; no thread needs to wake for it.
            .flush_every_ms(None);
        // sled panics on some kinds of damage.
        let db = catch_unwind(AssertUnwindSafe(|| config.open()))
            .map_err(|_| DAMAGED.to_owned())?
            .map_err(|error| explain(&error))?;
        let open = Self {
            devices: db.open_tree("devices").map_err(|error| explain(&error))?,
            log: File::open(path.join("db")).map_err(|error| error.to_string())?,
            db,
        };
        Ok(Guarded(Some(open)))
    }

    /// The store's id, made when there is none.
    fn id(&self) -> ::sled::Result<Uuid> {
        let meta = self.db.open_tree("meta")?;
        let known = meta.get(ID)?;
        if let Some(id) = known.and_then(|bytes| Uuid::from_slice(&bytes).ok()) {
            return Ok(id);
        }
        let id = Uuid::new_v4();
        meta.insert(ID, id.as_bytes())?;
        Ok(id)
    }

    fn write(&self, key: &[u8], value: Option<IVec>) -> Result<(), StoreError> {
        let written = match value {
            Some(value) => self.devices.insert(key, value),
            None => self.devices.remove(key),
        };
        written.map(drop).map_err(io("writing to"))
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(io("flushing"))?;
        self.log.sync_data().map_err(|error| StoreError::Io {
            what: "flushing",
            why: error.to_string(),
        })
    }
}

fn io(what: &'static str) -> impl Fn(::sled::Error) -> StoreError {
    move |error| StoreError::Io {
        what,
        why: explain(&error),
    }
}

/// sled's error in an operator's words.
fn explain(error: &::sled::Error) -> String {
    match error {
        // sled repeats the system's answer as text that is meant for programmers.
        ::sled::Error::Io(error) => match error.kind() {
            _ if error.raw_os_error().is_some() => error.to_string(),
            std::io::ErrorKind::Other => error.to_string(),
            kind => kind.to_string(),
        },
        ::sled::Error::Corruption { .. } => DAMAGED.to_owned(),
        other => other.to_string(),
    }
}

impl Store for SledStore {
    fn id(&self) -> Uuid {
        self.id
    }

    fn load(&self) -> Result<Vec<Record>, StoreError> {
        let state = &mut *self.state.lock();
        let records = state.ready(&self.path)?.devices.iter();
        records
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
        self.change(definition.name.as_bytes(), Some(encode(definition)))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.change(name.as_bytes(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_said_in_an_operators_words() {
        let corrupt = ::sled::Error::Corruption { at: None, bt: () };
        assert_eq!(explain(&corrupt), DAMAGED);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        // As sled passes it on the second time.
        let again = std::io::Error::new(full.kind(), "Os { code: 28, .. }");
        assert_eq!(explain(&::sled::Error::Io(again)), full.to_string());
        let other = std::io::Error::other("could not acquire lock");
        assert_eq!(explain(&::sled::Error::Io(other)), "could not acquire lock");
    }
}
