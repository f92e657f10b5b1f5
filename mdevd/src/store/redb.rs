//! Definitions in redb, one file.

mod core;
mod database;
mod medium;

use std::path::{Path, PathBuf};

use uuid::Uuid;

use self::core::Core;
use self::medium::InDirectory;
use super::{DirLock, Record, Store, StoreError, decode, encode};
use crate::engine::Definition;

/// A directory with definitions, held by one process at a time.
///
/// The file is examined as a whole before anything is written to it; a damaged one is refused and left
/// as it is. What cannot be written, for want of room or of the right to, is still read: devices come
/// back, changes are refused, and work again as soon as the file can be written, without a restart.
#[derive(Debug)]
pub struct RedbStore {
    dir: PathBuf,
    core: Core<InDirectory>,
    // Released last: fields are dropped in order.
    _lock: DirLock,
}

impl RedbStore {
    /// Opens or makes the store in `dir`, which exists.
    ///
    /// # Errors
    /// Another process holds it; it cannot be read or made; it is damaged; it is an older mdevd's.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = DirLock::acquire(dir, "state")?;
        let medium = InDirectory::prepare(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            core: Core::open(medium)?,
            _lock: lock,
        })
    }
}

impl Store for RedbStore {
    fn id(&self) -> Uuid {
        self.core.id()
    }

    fn dir(&self) -> Option<&Path> {
        Some(&self.dir)
    }

    fn load(&self) -> Result<Vec<Record>, StoreError> {
        let record = |(name, bytes): (Vec<u8>, Vec<u8>)| Record {
            name: String::from_utf8_lossy(&name).into_owned(),
            definition: decode(&bytes),
        };
        Ok(self.core.all()?.into_iter().map(record).collect())
    }

    fn put(&self, definition: &Definition) -> Result<(), StoreError> {
        self.core
            .change(definition.name.as_bytes(), Some(encode(definition)))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.core.change(name.as_bytes(), None)
    }
}

#[cfg(test)]
mod tests;
