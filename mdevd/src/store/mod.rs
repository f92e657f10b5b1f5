//! Definitions that survive: a small trait, and records with a version.

mod lock;
mod memory;
mod record;
mod redb;

use std::path::{Path, PathBuf};

use uuid::Uuid;

pub use self::redb::RedbStore;
pub use lock::{DirLock, LockError};
pub use memory::MemoryStore;
pub use record::{RecordError, decode, encode};

use crate::engine::Definition;

/// A store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has it.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// It cannot be opened.
    #[error("cannot open the store {}: {why}", path.display())]
    Open {
        /// Its file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Its file is not what was written.
    #[error(
        "the store {} is damaged ({why}); nothing was changed in it. Put a backup in its place, or move it \
         away and create the devices again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is of a version that kept it otherwise.
    #[error(
        "{} was written by an older mdevd, and this one does not read it; note the devices with that one \
         ('cvfctl list'), stop it, move the folder away, and create them again with this one",
        path.display()
    )]
    Older {
        /// The folder.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{what} the store failed: {why}")]
    Io {
        /// "opening", "reading", "writing to".
        what: &'static str,
        /// The system's answer.
        why: String,
    },
}

/// What the store holds under a name.
#[derive(Debug)]
pub struct Record {
    /// The name.
    pub name: String,
    /// The definition, or why it cannot be read.
    pub definition: Result<Definition, RecordError>,
}

/// Keeps definitions. Callable from any thread; blocks for as long as the disk takes.
pub trait Store: Send + Sync + 'static {
    /// Random, made with the store.
    fn id(&self) -> Uuid;

    /// The directory that it is in, if it is in one.
    fn dir(&self) -> Option<&Path> {
        None
    }

    /// Everything there is, in no particular order.
    ///
    /// # Errors
    /// The store cannot be read.
    fn load(&self) -> Result<Vec<Record>, StoreError>;

    /// Puts a definition under its name. On return it is on stable storage.
    ///
    /// # Errors
    /// It is not, and what was there before stays; a store that cannot be written even for that puts it
    /// right when it can.
    fn put(&self, definition: &Definition) -> Result<(), StoreError>;

    /// Takes a name out. On return that is on stable storage.
    ///
    /// # Errors
    /// It is not, and the name stays.
    fn remove(&self, name: &str) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
