//! Where the database's bytes are: a file in the state directory, or what a test has in its place.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::super::StoreError;
use super::database;
use crate::crash;

/// The file with all definitions.
const FILE: &str = "definitions.redb";
/// It while it is being made.
const UNFINISHED: &str = "definitions.redb.new";
/// What an mdevd with sled left, a folder.
const OLDER: &str = "definitions";

/// Bytes that can be had as a whole, and as redb's.
pub(super) trait Medium: Debug + Send + Sync + 'static {
    /// All bytes as they are now.
    fn bytes(&self) -> io::Result<Vec<u8>>;

    /// A way to read and write them, for one database at a time.
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Its name, for messages.
    fn path(&self) -> &Path;
}

/// The file of a state directory.
#[derive(Debug)]
pub(super) struct InDirectory {
    path: PathBuf,
}

impl InDirectory {
    /// Names the file in `dir`, and makes it if there is none. It has its name only when it is whole: a
    /// crash while it is made leaves nothing that the next start would trip over.
    ///
    /// # Errors
    /// It cannot be made; or `dir` has an older mdevd's store.
    pub(super) fn prepare(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let refuse = |why: String| StoreError::Open {
            path: path.clone(),
            why,
        };
        let exists = path
            .try_exists()
            .map_err(|error| refuse(error.to_string()))?;
        if !exists {
            let older = dir.join(OLDER);
            if older.join("db").exists() {
                return Err(StoreError::Older { path: older });
            }
            make(dir, &path).map_err(|why| {
                refuse(format!(
                    "it cannot be made: {why}; make room in its file system and make it writable for this user"
                ))
            })?;
        }
        match keep_names(dir) {
            Err(error) if !exists => return Err(refuse(error.to_string())),
            Err(error) => tracing::warn!("{}: synchronising it failed: {error}", dir.display()),
            Ok(()) => {}
        }
        Ok(Self { path })
    }
}

fn make(dir: &Path, path: &Path) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let unfinished = dir.join(UNFINISHED);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(said(error)),
        _ => {}
    }
    let made = open(&unfinished, true).map_err(said).and_then(|file| {
        let copy = file.try_clone().map_err(said)?;
        database::make(whole(file).map_err(said)?)?;
        crash::point("store: made");
        // redb closes without saying whether it could.
        copy.sync_all().map_err(said)
    });
    if made.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    made?;
    std::fs::rename(&unfinished, path).map_err(said)?;
    crash::point("store: named");
    Ok(())
}

/// Has the file's name survive, and that of the directory itself where its parent may be read. Also of a file
/// that is there already: who made it may have been killed before this.
fn keep_names(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()?;
    match dir.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        _ => Ok(()),
    }
}

/// Definitions are the operator's business and nobody else's.
fn open(path: &Path, new: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(new)
        .mode(0o600)
        .open(path)
}

fn whole(file: File) -> io::Result<Box<dyn StorageBackend>> {
    let inner = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Box::new(Pointed(Box::new(inner))))
}

impl Medium for InDirectory {
    fn bytes(&self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.path)
    }

    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        whole(open(&self.path, false)?)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// A backend with a crash point before everything that changes it.
#[derive(Debug)]
pub(super) struct Pointed(pub(super) Box<dyn StorageBackend>);

impl StorageBackend for Pointed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        crash::point("store: set length");
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        crash::point("store: synchronise");
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        crash::point("store: write");
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
